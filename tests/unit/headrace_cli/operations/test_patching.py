import io
from collections.abc import Callable
from typing import Any

import pytest

from headrace.errors import Conflict, NotFound
from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    DEPLOYMENTS,
    EXPERIMENTS,
    REPLICA_SETS,
    ROLLOUTS,
    Resource,
)
from headrace.runtime.clock import VirtualClock
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import MemoryCluster, Request
from headrace_cli.bus_options import BusOptions, Via
from headrace_cli.failures import Failure
from headrace_cli.operations import changes, patching, ways
from headrace_cli.output import Terminal
from headrace_cli.session import Session

CONTAINERS = {"containers": [{"name": "web", "image": "registry.test/web:v2"}]}
TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": CONTAINERS}
STEPS = [{"setWeight": 10}, {"pause": {}}]


class World:
    """A memory cluster with one Rollout, seen by a user of the command line."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.memory = MemoryCluster(self.clock)
        self.out = io.StringIO()
        self.admin = self.memory.client("admin")
        user = self.memory.client("user")
        self.session = Session(user, "demo", self.clock, Terminal(self.out, self.out, {}))
        self.way = ways.choose(self.session, Via.KUBERNETES, BusOptions())

    async def create(self, resource: Resource, name: str, **body: Any) -> dict[str, Any]:
        metadata = {"name": name, "namespace": "demo", **body.pop("metadata", {})}
        created = await self.admin.create(resource, {"metadata": metadata, **body})
        if "status" in body and resource.has_status:
            status = MergePatch({"status": body["status"]})
            created = await self.admin.patch(resource, "demo", name, status, subresource="status")
        return created

    async def rollout(self, status: Any = None, **spec: Any) -> dict[str, Any]:
        selector = {"matchLabels": {"app": "web"}}
        strategy = {"canary": {"steps": STEPS}}
        full = {"selector": selector, "template": TEMPLATE, "strategy": strategy, **spec}
        return await self.create(ROLLOUTS, "web", spec=full, status=status or {})

    def writes(self) -> list[tuple[str, str, str, Any]]:
        return [
            (request.verb, f"{request.resource}/{request.name}", request.subresource, request.body)
            for request in self.memory.requests
            if request.identity == "user" and request.verb not in ("get", "list")
        ]


@pytest.fixture
def world() -> World:
    return World()


async def test_abort_and_retry_write_the_status(world: World) -> None:
    await world.rollout()
    await changes.abort(world.session, world.way, "web")
    await changes.retry(world.session, world.way, "web")
    assert world.writes() == [
        ("patch", "rollouts/web", "status", {"status": {"abort": True}}),
        ("patch", "rollouts/web", "status", {"status": {"abort": False}}),
    ]
    assert world.out.getvalue() == "rollout 'web' aborted\nrollout 'web' retried\n"


VOID = [
    (
        {"currentPodHash": "a", "stableRS": "a"},
        "its newest revision is the stable one already",
    ),
    (
        {"currentPodHash": "b", "stableRS": "a", "promoteFull": True},
        "its full promotion is requested, which ends every abort",
    ),
]


@pytest.mark.parametrize(("status", "why"), VOID)
async def test_an_abort_without_effect_is_sent_and_told(
    world: World, status: dict[str, Any], why: str
) -> None:
    await world.rollout(status)
    await changes.abort(world.session, world.way, "web")
    assert world.writes() == [
        ("patch", "rollouts/web", "status", {"status": {"abort": True}}),
    ]
    assert world.out.getvalue() == (
        f"rollout 'web' aborted\nThe abort has no effect: {why}. "
        "`headrace undo web` goes back to the version before.\n"
    )


async def test_pause_and_restart_write_the_spec(world: World) -> None:
    await world.rollout()
    await changes.pause(world.session, world.way, "web")
    await changes.restart(world.session, world.way, "web", delay="10s", seconds=10)
    assert world.writes() == [
        ("patch", "rollouts/web", "", {"spec": {"paused": True}}),
        ("patch", "rollouts/web", "", {"spec": {"restartAt": "2023-11-14T22:13:30Z"}}),
    ]
    assert world.out.getvalue() == "rollout 'web' paused\nrollout 'web' restarts in 10s\n"


async def test_promote_writes_status_and_spec(world: World) -> None:
    status = {"pauseConditions": [{"reason": "CanaryPauseStep", "startTime": "now"}]}
    await world.rollout(status, paused=True)
    await changes.promote(world.session, world.way, "web")
    assert world.writes() == [
        ("patch", "rollouts/web", "status", {"status": {"pauseConditions": None}}),
        ("patch", "rollouts/web", "", {"spec": {"paused": False}}),
    ]
    assert world.out.getvalue() == "rollout 'web' promoted\n"


async def test_full_promotion_says_so(world: World) -> None:
    await world.rollout({"currentPodHash": "b", "stableRS": "a"})
    await changes.promote(world.session, world.way, "web", full=True)
    body = {"status": {"promoteFull": True}}
    assert world.writes() == [("patch", "rollouts/web", "status", body)]
    assert world.out.getvalue() == "rollout 'web' fully promoted\n"


async def test_skips_write_the_index(world: World) -> None:
    await world.rollout({"currentStepIndex": 0})
    await changes.skip(world.session, world.way, "web", all_steps=False)
    await changes.skip(world.session, world.way, "web", all_steps=True)
    assert [body for _, _, _, body in world.writes()] == [
        {"status": {"currentStepIndex": 1}},
        {"status": {"currentStepIndex": 2}},
    ]


async def test_refusing_to_skip_is_told(world: World) -> None:
    await world.rollout(strategy={"canary": {}})
    with pytest.raises(Failure, match="Cannot skip steps of a rollout without steps"):
        await changes.skip(world.session, world.way, "web", all_steps=True)


async def test_without_a_status_subresource_the_object_is_patched(world: World) -> None:
    await world.rollout({"pauseConditions": [{"reason": "x", "startTime": "now"}]})
    world.memory.intercept = _refuse(lambda request: request.subresource == "status", NotFound)
    await changes.promote(world.session, world.way, "web")
    assert world.writes()[-1] == (
        "patch",
        "rollouts/web",
        "",
        {"spec": {"paused": False}, "status": {"pauseConditions": None}},
    )


async def test_what_does_not_exist_is_named(world: World) -> None:
    expected = 'Rollout "nope" in namespace "demo" not found; see: headrace list rollouts -n demo'
    for command in (changes.abort, changes.promote, changes.pause):
        with pytest.raises(Failure) as caught:
            await command(world.session, world.way, "nope")
        assert str(caught.value) == expected
    with pytest.raises(Failure) as caught:
        await patching.terminate_analysis_run(world.session, "nope")
    place = "see: kubectl get analysisruns -n demo"
    assert str(caught.value) == f'AnalysisRun "nope" in namespace "demo" not found; {place}'


async def test_set_image_replaces_the_object_under_its_version(world: World) -> None:
    created = await world.rollout()
    await changes.set_image(world.session, world.way, "web", "web", "registry.test/web:v3")
    [(verb, target, _, body)] = world.writes()
    assert (verb, target) == ("update", "rollouts/web")
    assert body["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]
    container = body["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "registry.test/web:v3"
    assert world.out.getvalue() == 'rollout "web" image updated\n'


async def test_set_image_tries_five_times_against_others(world: World) -> None:
    await world.rollout()
    world.memory.intercept = _refuse(lambda request: request.verb == "update", Conflict)
    with pytest.raises(Failure, match="was changed by somebody else"):
        await changes.set_image(world.session, world.way, "web", "*", "x")
    assert len(world.writes()) == 5


async def test_set_image_changes_the_deployment_that_is_referred_to(world: World) -> None:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web-deploy"}
    await world.rollout(workloadRef=reference, template=None)
    await world.create(DEPLOYMENTS, "web-deploy", spec={"template": TEMPLATE})
    await changes.set_image(world.session, world.way, "web", "*", "new")
    assert [target for _, target, _, _ in world.writes()] == ["deployments/web-deploy"]
    assert world.out.getvalue() == 'deployment "web-deploy" image updated\n'


async def replica_set(world: World, uid: str, revision: str, image: str) -> None:
    labels = {"app": "web", "rollouts-pod-template-hash": revision}
    container = {"name": "web", "image": image}
    owner = {"apiVersion": "v1", "kind": "Rollout", "name": "web", "uid": uid, "controller": True}
    await world.create(
        REPLICA_SETS,
        f"web-{revision}",
        metadata={
            "labels": labels,
            "annotations": {"rollout.argoproj.io/revision": revision},
            "ownerReferences": [owner],
        },
        spec={
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    )


async def test_undo_writes_the_template_back(world: World) -> None:
    rollout = await world.rollout()
    for revision, image in (("1", "registry.test/web:v1"), ("2", "registry.test/web:v2")):
        await replica_set(world, rollout["metadata"]["uid"], revision, image)
    await changes.undo(world.session, world.way, "web", 0)
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "registry.test/web:v1"}]},
    }
    operation = {"op": "replace", "path": "/spec/template", "value": template}
    assert world.writes() == [("patch", "rollouts/web", "", [operation])]
    assert world.out.getvalue() == "rollout 'web' undo\n"


async def test_undo_to_what_is_there_is_skipped(world: World) -> None:
    rollout = await world.rollout()
    await replica_set(world, rollout["metadata"]["uid"], "2", "registry.test/web:v2")
    await changes.undo(world.session, world.way, "web", 2)
    assert world.writes() == []
    assert world.out.getvalue() == (
        "skipped rollback (current template already matches revision 2)"
    )


@pytest.mark.spec("cli-and-clients 2.5")
@pytest.mark.parametrize("resource", [DEPLOYMENTS, REPLICA_SETS], ids=lambda each: each.kind)
async def test_undo_writes_into_the_workload_that_is_referred_to(
    world: World, resource: Resource
) -> None:
    reference = {"apiVersion": "apps/v1", "kind": resource.kind, "name": "base"}
    rollout = await world.rollout(workloadRef=reference, template=None)
    spec = {"selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE}
    await world.create(resource, "base", spec=spec)
    for revision, image in (("1", "registry.test/web:v1"), ("2", "registry.test/web:v2")):
        await replica_set(world, rollout["metadata"]["uid"], revision, image)
    await changes.undo(world.session, world.way, "web", 1)
    [(verb, target, _, operations)] = world.writes()
    assert (verb, target) == ("patch", f"{resource.plural}/base")
    assert operations[0]["path"] == "/spec/template"
    assert operations[0]["value"]["spec"]["containers"][0]["image"] == "registry.test/web:v1"


async def test_undo_names_what_cannot_be_restored(world: World) -> None:
    reference = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web"}
    rollout = await world.rollout(workloadRef=reference, template=None)
    await replica_set(world, rollout["metadata"]["uid"], "1", "a")
    await replica_set(world, rollout["metadata"]["uid"], "2", "b")
    with pytest.raises(Failure, match="workload of type StatefulSet is not supported"):
        await changes.undo(world.session, world.way, "web", 0)


async def test_experiments_and_runs_are_patched_as_a_whole(world: World) -> None:
    await world.create(EXPERIMENTS, "ab", spec={}, status={"phase": "Failed"})
    await world.create(ANALYSIS_RUNS, "rate", spec={})
    await patching.retry_experiment(world.session, "ab")
    await patching.terminate_experiment(world.session, "ab")
    await patching.terminate_analysis_run(world.session, "rate")
    assert world.writes() == [
        ("patch", "experiments/ab", "", {"status": None}),
        ("patch", "experiments/ab", "", {"spec": {"terminate": True}}),
        ("patch", "analysisruns/rate", "", {"spec": {"terminate": True}}),
    ]
    assert world.out.getvalue() == (
        "experiment 'ab' retried\nexperiment 'ab' retried\nanalysisRun 'rate' terminated\n"
    )


def _refuse(
    is_meant: Callable[[Request], bool], error: type[Exception]
) -> Callable[[Request], None]:
    def intercept(request: Request) -> None:
        if request.identity == "user" and is_meant(request):
            raise error("refused by the test")

    return intercept
