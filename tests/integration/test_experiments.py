"""Experiments on memory ports with the real services, in virtual time: alone and as a step."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from experiment_world import (
    HASH,
    ROUTED,
    Canary,
    World,
    analysis,
    current_of,
    experiment_step,
    part,
    rollout,
    running,
    template,
)

from headrace.errors import Conflict, Forbidden, Unavailable
from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    EXPERIMENTS,
    REPLICA_SETS,
    ROLLOUTS,
    SERVICES,
    Manifest,
)
from headrace.model.meta import parse_time
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import (
    PodBehaviour,
    Request,
)

pytestmark = [pytest.mark.looptime, pytest.mark.spec("experiment 3")]


# An Experiment on its own


@pytest.mark.spec("experiment 1.2")
@pytest.mark.spec("experiment 4")
@pytest.mark.spec("experiment 4.1")
@pytest.mark.spec("experiment 4.2")
@pytest.mark.spec("experiment 4.4")
@pytest.mark.spec("experiment 6")
@pytest.mark.spec("experiment 7")
@pytest.mark.spec("experiment 10.10")
async def test_an_experiment_runs_for_its_duration_and_goes_down_after_its_delay() -> None:
    async with running() as world:
        spec = {"templates": [template("a"), template("b")], "duration": "60s"}
        await world.create({**spec, "scaleDownDelaySeconds": 20})
        await world.until_phase("Running")
        status = await world.status()
        began = parse_time(status["availableAt"])
        assert began == pytest.approx(world.clock.now(), abs=3)
        assert [t["status"] for t in status["templateStatuses"]] == ["Running", "Running"]
        assert [t["availableReplicas"] for t in status["templateStatuses"]] == [2, 2]
        assert await world.size("exp-a") == 2

        await world.until_phase("Successful")
        assert world.clock.now() == pytest.approx(began + 60, abs=2)
        assert await world.size("exp-a") == 2
        await asyncio.sleep(15)
        assert await world.size("exp-a") == 2
        await asyncio.sleep(10)
        assert [await world.size("exp-a"), await world.size("exp-b")] == [0, 0]

        since = len(world.cluster.requests)
        await asyncio.sleep(60)
        assert world.writes(since) == []
        status = await world.status()
        assert [t["availableReplicas"] for t in status["templateStatuses"]] == [0, 0]
        (condition,) = status["conditions"]
        assert (condition["type"], condition["status"]) == ("Progressing", "False")
        assert condition["reason"] == "ExperimentCompleted"
        assert condition["message"] == 'Experiment "exp" has successfully ran and completed.'
        told = await world.events()
    assert told[:2] == [
        ("Normal", "NewReplicaSetCreated", 'Created new replica set "exp-a" with size 0'),
        ("Normal", "NewReplicaSetCreated", 'Created new replica set "exp-b" with size 0'),
    ]
    assert ("Normal", "ScalingReplicaSet", "Scaled up ReplicaSet exp-a from 0 to 2") in told
    assert ("Normal", "ScalingReplicaSet", "Scaled down ReplicaSet exp-b from 2 to 0") in told
    phases = [message for _, reason, message in told if reason.startswith("Experiment")]
    assert phases == [
        "Experiment transitioned from  -> Pending",
        "Experiment transitioned from Pending -> Running",
        "Experiment transitioned from Running -> Successful",
    ]


@pytest.mark.spec("cli-and-clients 9")
async def test_a_transition_is_told_once_however_often_its_claim_is_tried() -> None:
    async with running() as world:
        tried: list[str] = []

        def refuse(request: Request) -> None:
            is_claim = (request.verb, request.resource) == ("patch", "experiments")
            if is_claim and request.identity != "person":
                tried.append(request.name)
                if len(tried) % 2:
                    raise Conflict("the object has been modified")

        world.cluster.intercept = refuse
        await world.create({"templates": [template("a")], "duration": "60s"})
        await world.until_phase("Successful")
        told = await world.events()
    assert len(tried) > 4
    assert len(told) == len(set(told))


@pytest.mark.spec("experiment 1.1")
async def test_an_experiment_without_a_duration_runs_until_it_is_terminated() -> None:
    async with running() as world:
        await world.create({"templates": [template()], "scaleDownDelaySeconds": 0})
        await world.until_phase("Running")
        since = len(world.cluster.requests)
        await asyncio.sleep(600)
        assert world.writes(since) == []
        await world.patch({"spec": {"terminate": True}})
        await world.until_phase("Successful")
        ended = world.clock.now()
        await asyncio.sleep(3)
        assert await world.size("exp-a") == 0
        assert world.clock.now() - ended < 4


@pytest.mark.spec("experiment 10.7")
async def test_a_duration_that_cannot_be_read_never_passes() -> None:
    async with running() as world:
        await world.create({"templates": [template()], "duration": "soon"})
        await world.until_phase("Running")
        await asyncio.sleep(900)
        assert (await world.status())["phase"] == "Running"


@pytest.mark.spec("experiment 10.5")
async def test_a_running_experiment_is_rescaled_but_its_template_stays() -> None:
    async with running() as world:
        await world.create({"templates": [template()]})
        await world.until_phase("Running")
        changed = template(replicas=3)
        changed["template"]["spec"]["containers"][0]["image"] = "app:other"
        await world.patch({"spec": {"templates": [changed]}})
        await asyncio.sleep(5)
        replica_set = await world.person.get(REPLICA_SETS, "default", "exp-a")
        assert replica_set["spec"]["replicas"] == 3
        assert replica_set["spec"]["template"]["spec"]["containers"][0]["image"] == "app:a"
        assert (await world.status())["phase"] == "Running"


@pytest.mark.spec("experiment 10.6")
async def test_a_removed_template_is_ignored() -> None:
    async with running() as world:
        await world.create({"templates": [template("a"), template("b")], "duration": "30s"})
        await world.until_phase("Running")
        await world.patch({"spec": {"templates": [template("a")]}})
        await world.until_phase("Successful")
        await asyncio.sleep(60)
        assert [await world.size("exp-a"), await world.size("exp-b")] == [0, 2]


@pytest.mark.spec("experiment 4.4")
@pytest.mark.spec("experiment 8")
async def test_pods_that_never_come_fail_the_experiment_at_the_deadline() -> None:
    async with running() as world:
        world.cluster.behave("app:a", PodBehaviour(ready_seconds=None))
        spec = {"templates": [template("a"), template("b")], "progressDeadlineSeconds": 30}
        await world.create(spec)
        await world.until_phase("Failed")
        text = "Template 'a' exceeded its progressDeadlineSeconds (30)"
        assert (await world.status())["message"] == text
        await asyncio.sleep(60)
        status = await world.status()
        assert [t["status"] for t in status["templateStatuses"]] == ["Failed", "Successful"]
        assert [await world.size("exp-a"), await world.size("exp-b")] == [0, 0]
        told = await world.events()
    message = f"Template 'a' transitioned from Progressing -> Failed: {text}"
    assert ("Warning", "TemplateFailed", message) in told
    assert ("Warning", "ExperimentFailed", "Experiment transitioned from Pending -> Failed") in told


@pytest.mark.spec("experiment 10.8")
async def test_pods_that_flap_bring_the_experiment_back_to_pending() -> None:
    async with running() as world:
        await world.create({"templates": [template(replicas=1)]})
        await world.until_phase("Running")
        available_at = (await world.status())["availableAt"]
        world.cluster.behave("app:a", PodBehaviour(ready_seconds=20.0))
        await world.kill_pods("a")
        await world.until_phase("Pending")
        assert (await world.template())["status"] == "Progressing"
        await world.until_phase("Running")
        assert (await world.status())["availableAt"] == available_at


@pytest.mark.spec("experiment 10.3")
async def test_a_name_of_any_length_is_taken() -> None:
    name = "e" * 60
    async with running() as world:
        await world.create({"templates": [template("candidate")]}, name)
        await world.until_phase("Running", name)
        assert await world.size(f"{name}-candidate") == 2


# Analyses


@pytest.mark.spec("experiment 5")
async def test_a_required_analysis_ends_the_experiment_well() -> None:
    async with running() as world:
        await world.add_template("good", interval="5s", count=3)
        await world.add_template("long", interval="5s")
        required = analysis(
            "good",
            requiredForCompletion=True,
            args=[{"name": "hash", "value": "{{templates.a.podTemplateHash}}"}],
        )
        await world.create({"templates": [template()], "analyses": [required, analysis("long")]})
        await world.until_phase("Successful")
        status = await world.status()
        assert status["message"] == "Required AnalysisRuns completed"
        assert [run["phase"] for run in status["analysisRuns"]] == ["Successful", "Successful"]
        run = await world.person.get(ANALYSIS_RUNS, "default", "exp-good")
        assert run["spec"]["args"] == [{"name": "hash", "value": await world.hash("exp-a")}]
        assert run["metadata"]["annotations"]["headrace.io/key"] == "default/exp"
        told = await world.events()
    assert ("Normal", "AnalysisRunTerminating", "Terminating long (exp-long)") in told
    message = "AnalysisRun 'good' transitioned from Running -> Successful"
    assert ("Normal", "AnalysisRunSuccessful", message) in told


@pytest.mark.spec("experiment 5")
@pytest.mark.spec("experiment 6")
@pytest.mark.parametrize(
    ("ratio", "metric", "phase"),
    [
        (0.5, {"failureLimit": 0}, "Failed"),
        (0.9, {"failureCondition": "result[0] < 0.8", "inconclusiveLimit": 0}, "Inconclusive"),
    ],
)
async def test_a_bad_analysis_ends_the_experiment_early(
    ratio: float, metric: dict[str, Any], phase: str
) -> None:
    async with running() as world:
        world.ratios.values["bad"] = ratio
        await world.add_template("bad", interval="5s", **metric)
        spec = {"templates": [template()], "analyses": [analysis("bad")], "duration": "1h"}
        await world.create(spec)
        await world.until_phase(phase)
        assert (await world.status())["message"].startswith(f'Metric "ratio" assessed {phase}')
        await asyncio.sleep(40)
        assert await world.size("exp-a") == 0
        told = await world.events()
    kinds = [(type, reason) for type, reason, _ in told]
    assert ("Warning", f"AnalysisRun{phase}") in kinds
    assert ("Warning", f"Experiment{phase}") in kinds


@pytest.mark.spec("experiment 6")
async def test_analyses_that_are_not_required_end_with_the_duration() -> None:
    async with running() as world:
        await world.add_template("long", interval="5s")
        spec = {"templates": [template()], "analyses": [analysis("long")], "duration": "20s"}
        await world.create(spec)
        await world.until_phase("Successful")
        await asyncio.sleep(10)
        run = await world.person.get(ANALYSIS_RUNS, "default", "exp-long")
        assert run["spec"]["terminate"] is True
        assert (await world.status())["analysisRuns"][0]["phase"] == "Successful"


@pytest.mark.spec("experiment 6")
async def test_a_required_analysis_keeps_the_experiment_running_beyond_its_duration() -> None:
    async with running() as world:
        await world.add_template("slow", interval="10s", count=6)
        slow = analysis("slow", requiredForCompletion=True)
        spec = {"templates": [template()], "analyses": [slow], "duration": "10s"}
        await world.create({**spec, "scaleDownDelaySeconds": 0})
        await world.until_phase("Running")
        await asyncio.sleep(20)
        assert (await world.status())["phase"] == "Running"
        assert (await world.template())["status"] == "Successful"
        assert await world.size("exp-a") == 0
        await world.until_phase("Successful")


@pytest.mark.spec("experiment 5")
async def test_a_missing_analysis_template_ends_the_experiment_before_it_runs() -> None:
    async with running() as world:
        await world.create({"templates": [template()], "analyses": [analysis("none")]})
        await world.until_phase("Error")
        text = (
            "AnalysisTemplate verification failed for analysis 'none': "
            'analysistemplate.argoproj.io "none" not found'
        )
        status = await world.status()
        assert status["message"] == text
        assert status["analysisRuns"] == [
            {"name": "none", "analysisRun": "", "phase": "Error", "message": text}
        ]


@pytest.mark.spec("experiment 5")
async def test_an_argument_that_nothing_resolves_is_told() -> None:
    async with running() as world:
        await world.add_template("good")
        broken = analysis("good", args=[{"name": "hash", "value": "{{templates.z.name}}"}])
        await world.create({"templates": [template()], "analyses": [broken]})
        await world.until_phase("Error")
        assert (await world.status())["message"] == (
            "Failed to create AnalysisRun for analysis 'good': "
            "failed to resolve {{templates.z.name}}"
        )


# Services


@pytest.mark.spec("experiment 4.3")
async def test_a_service_lives_as_long_as_the_pods() -> None:
    async with running() as world:
        templates = [
            template("a", port=True, service={}),
            template("b", port=True, service={"name": "named"}),
            template("c", service={}),
            template("d", port=True),
        ]
        await world.create({"templates": templates, "duration": "30s", "scaleDownDelaySeconds": 0})
        await world.until_phase("Running")
        service = await world.person.get(SERVICES, "default", "exp-a")
        pod_hash = await world.hash("exp-a")
        assert service["spec"]["selector"] == {"app": "a", HASH: pod_hash}
        port = {"name": "http", "port": 8080, "targetPort": 8080, "protocol": "TCP"}
        assert service["spec"]["ports"] == [port]
        a, b, c, d = [await world.template(name) for name in "abcd"]
        assert (a["serviceName"], a["podTemplateHash"]) == ("exp-a", pod_hash)
        assert (b["serviceName"], b["podTemplateHash"]) == ("named", await world.hash("exp-b"))
        assert "serviceName" not in c
        assert "podTemplateHash" not in c
        assert "serviceName" not in d
        since = len(world.cluster.requests)
        await asyncio.sleep(10)
        assert world.writes(since) == []

        await world.until_phase("Successful")
        await asyncio.sleep(10)
        assert await world.find(SERVICES, "exp-a") is None
        assert await world.find(SERVICES, "named") is None
        assert "serviceName" not in await world.template("a")


@pytest.mark.spec("experiment 4.3")
async def test_a_service_of_somebody_else_is_an_error() -> None:
    async with running() as world:
        metadata = {"name": "taken", "namespace": "default"}
        foreign = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {}}
        await world.person.create(SERVICES, foreign)
        wanted = template(port=True, service={"name": "taken"})
        await world.create({"templates": [wanted]})
        await world.until_phase("Error")
        assert (await world.template())["message"] == (
            "Failed to create Service taken for template 'a': service taken already exists and "
            "is not owned by experiment template a"
        )
        await asyncio.sleep(60)
        assert (await world.find(SERVICES, "taken") or {})["spec"] == {}


# Failures and collisions


@pytest.mark.spec("experiment 4.1")
async def test_a_name_that_is_somebody_elses_ends_in_the_deadline() -> None:
    async with running() as world:
        await world.person.create(REPLICA_SETS, foreign_replica_set("exp-a"))
        await world.create({"templates": [template()], "progressDeadlineSeconds": 60})
        await world.until_phase("Pending")
        await asyncio.sleep(5)
        assert (await world.template())["collisionCount"] == 1
        assert (await world.status())["phase"] == "Pending"
        await world.until_phase("Failed")
        since = len(world.cluster.requests)
        await asyncio.sleep(60)
        assert world.writes(since) == []
        assert (await world.find(REPLICA_SETS, "exp-a") or {})["spec"]["replicas"] == 7


@pytest.mark.spec("experiment 4.1")
async def test_a_name_that_becomes_free_is_taken() -> None:
    async with running() as world:
        await world.person.create(REPLICA_SETS, foreign_replica_set("exp-a"))
        await world.create({"templates": [template()]})
        await asyncio.sleep(20)
        await world.person.delete(REPLICA_SETS, "default", "exp-a")
        await world.until_phase("Running")


@pytest.mark.spec("experiment 4.1")
async def test_a_replica_set_that_may_not_be_created_is_an_error() -> None:
    async with running() as world:

        def refuse(request: Request) -> None:
            if (request.verb, request.resource) == ("create", "replicasets"):
                raise Forbidden("quota exceeded")

        world.cluster.intercept = refuse
        await world.create({"templates": [template()]})
        await world.until_phase("Error")
        text = "Failed to create ReplicaSet for template 'a': quota exceeded"
        assert (await world.status())["message"] == text
        told = await world.events()
        since = len(world.cluster.requests)
        await asyncio.sleep(60)
        assert world.writes(since) == []
    message = 'Failed to create new replica set "exp-a": quota exceeded'
    assert ("Normal", "ReplicaSetCreateError", message) in told


@pytest.mark.spec("experiment 4.2")
async def test_a_replica_set_that_may_not_be_scaled_is_an_error() -> None:
    async with running() as world:

        def refuse(request: Request) -> None:
            if (request.verb, request.resource) == ("patch", "replicasets"):
                raise Forbidden("not you")

        world.cluster.intercept = refuse
        await world.create({"templates": [template()]})
        await world.until_phase("Error")
        assert (await world.status())["message"] == (
            "Unable to scale ReplicaSet for template 'a' to desired replica count '2': not you"
        )
        told = await world.events()
    message = "Failed to scale exp-a up: not you"
    assert ("Warning", "ReplicaSetUpdateError", message) in told


@pytest.mark.spec("experiment 9")
@pytest.mark.spec("cli-and-clients 2.1")
async def test_a_retry_begins_from_scratch_with_the_same_replica_sets() -> None:
    async with running() as world:
        await world.add_template("good", interval="5s", count=2)
        required = analysis("good", requiredForCompletion=True)
        await world.create(
            {"templates": [template()], "analyses": [required], "scaleDownDelaySeconds": 10}
        )
        await world.until_phase("Successful")
        await asyncio.sleep(15)
        assert await world.size("exp-a") == 0
        uid = (await world.find(REPLICA_SETS, "exp-a") or {})["metadata"]["uid"]

        await world.patch({"status": None})
        await world.until_phase("Running")
        replica_set = await world.find(REPLICA_SETS, "exp-a") or {}
        assert replica_set["metadata"]["uid"] == uid
        assert "scale-down-deadline" not in replica_set["metadata"].get("annotations", {})
        await world.until_phase("Successful")
        assert (await world.status())["analysisRuns"][0]["analysisRun"] == "exp-good.1"


@pytest.mark.spec("experiment 9")
async def test_a_retry_at_once_measures_again() -> None:
    async with running() as world:
        await world.add_template("good")
        required = analysis("good", requiredForCompletion=True)
        await world.create({"templates": [template()], "analyses": [required]})
        await world.until_phase("Successful")
        began = (await world.status())["availableAt"]
        await world.patch({"status": None})
        await world.until_phase("Successful")
        status = await world.status()
        assert status["analysisRuns"][0]["analysisRun"] == "exp-good.1"
        assert parse_time(status["availableAt"]) - parse_time(began) == 1


@pytest.mark.spec("experiment 2")
async def test_an_invalid_experiment_is_told_and_left_alone() -> None:
    async with running() as world:
        await world.create({"templates": [template(minReadySeconds=700)]})

        async def is_told() -> bool:
            return bool((await world.status()).get("conditions"))

        await world.until("the condition", is_told)
        status = await world.status()
        assert set(status) == {"conditions"}
        condition = status["conditions"][0]
        assert (condition["type"], condition["status"], condition["reason"]) == (
            "InvalidSpec",
            "True",
            "InvalidSpec",
        )
        since = len(world.cluster.requests)
        await asyncio.sleep(60)
        assert world.writes(since) == []
        await world.patch({"spec": {"templates": [template()]}})
        await world.until_phase("Running")
        kinds = [each["type"] for each in (await world.status())["conditions"]]
        assert kinds == ["Progressing"]


def foreign_replica_set(name: str) -> Manifest:
    labels = {"app": "foreign"}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {
            "replicas": 7,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "x", "image": "x:1"}]},
            },
        },
    }


# The experiment step of a canary


@pytest.mark.spec("canary 8")
@pytest.mark.spec("experiment 9")
@pytest.mark.spec("experiment 10.1")
@pytest.mark.spec("experiment 10.2")
async def test_a_step_runs_its_experiment_and_goes_on() -> None:
    async with running() as world:
        canary = Canary(world)
        templates = [
            part("base", "stable", metadata={"labels": {"role": "base"}}),
            part("new", "canary", replicas=2, service={}),
        ]
        await world.add_template("good", interval="5s", count=2)
        args = [
            {"name": "hash", "valueFrom": {"podTemplateHashValue": "Latest"}},
        ]
        step = experiment_step(*templates, duration="30s", analyses=[analysis("good", args=args)])
        await canary.deploy(rollout({"setWeight": 25}, step, {"pause": {}}))
        await canary.release("app:v2")
        name = await canary.experiment()
        status = await canary.status()
        assert name == f"app-{status['currentPodHash']}-2-1"
        assert status["headrace"]["waiting"]["reason"] == "Experiment"
        manifest = await world.person.get(EXPERIMENTS, "default", name)
        metadata = manifest["metadata"]
        assert metadata["labels"] == {
            "team": "a",
            HASH: status["currentPodHash"],
            "step-index": "1",
        }
        assert metadata["annotations"]["rollout.argoproj.io/revision"] == "2"
        base, new = manifest["spec"]["templates"]
        assert base["template"]["spec"]["containers"][0]["image"] == "app:v1"
        assert new["template"]["spec"]["containers"][0]["image"] == "app:v2"
        assert base["selector"]["matchLabels"]["role"] == "base"
        assert "service" not in base
        assert new["service"] == {}
        given = manifest["spec"]["analyses"][0]["args"]
        assert given == [{"name": "hash", "value": status["currentPodHash"]}]

        await canary.until_experiment(name, "Running")
        hashes = [await world.hash(f"{name}-base"), await world.hash(f"{name}-new")]
        assert not {status["currentPodHash"], status["stableRS"]} & set(hashes)
        replica_set = await world.person.get(REPLICA_SETS, "default", f"{name}-base")
        assert replica_set["spec"]["selector"]["matchLabels"][HASH] == hashes[0]
        await canary.until_experiment(name, "Successful")
        await canary.until("paused", lambda status: status.get("pauseConditions"))
        status = await canary.status()
        assert status["currentStepIndex"] == 2
        assert not current_of(status)
        await asyncio.sleep(5)
        assert [await world.size(f"{name}-base"), await world.size(f"{name}-new")] == [0, 0]
        told = await world.events("app")
    assert ("Normal", "ExperimentCreated", f"Created Experiment '{name}'") in told
    message = "Rollout step 2/3 completed (experiment)"
    assert ("Normal", "RolloutStepCompleted", message) in told
    message = "AnalysisRun 'good' transitioned from Pending -> Running"
    assert ("Warning", "AnalysisRunRunning", message) in told


@pytest.mark.spec("canary 5.5")
@pytest.mark.spec("canary 8")
async def test_an_experiment_with_weights_gets_its_share_and_gives_it_back() -> None:
    async with running() as world:
        canary = Canary(world)
        templates = [part("base", "stable", weight=5), part("new", "canary", weight=10)]
        step = experiment_step(*templates, duration="30s")
        await canary.deploy(rollout({"setWeight": 25}, step, {"pause": {}}, **ROUTED))
        await canary.release("app:v2")
        name = await canary.experiment()
        base, new = f"{name}-base", f"{name}-new"
        await canary.is_split(
            **{"canary": 25, base.replace("-", "_"): 5, new.replace("-", "_"): 10, "stable": 60}
        )
        await canary.until("weights", lambda s: s["canary"]["weights"].get("additional"))
        weights = (await canary.status())["canary"]["weights"]
        assert weights["stable"]["weight"] == 60
        assert weights["additional"] == [
            {"weight": 5, "serviceName": base, "podTemplateHash": await world.hash(base)},
            {"weight": 10, "serviceName": new, "podTemplateHash": await world.hash(new)},
        ]
        shown = f"[{{5 {base} {await world.hash(base)}}} {{10 {new} {await world.hash(new)}}}]"
        await canary.until_experiment(name, "Successful")
        await canary.is_split(canary=25, stable=75)
        await asyncio.sleep(10)
        assert [await world.size(base), await world.size(new)] == [0, 0]
        assert await world.find(SERVICES, base) is None
        told = [message for _, _, message in await world.events("app")]
        since = len(world.cluster.requests)
        await asyncio.sleep(60)
        assert world.writes(since) == []
    assert f"Traffic weight updated additional: {shown}" in told
    assert "Traffic weight updated additional: []" in told


@pytest.mark.spec("canary 8")
async def test_pods_and_services_stay_until_no_route_names_them() -> None:
    async with running() as world:
        canary = Canary(world)
        step = experiment_step(part("new", "canary", weight=10), duration="30s")
        await canary.deploy(rollout({"setWeight": 25}, step, {"pause": {}}, **ROUTED))
        await canary.release("app:v2")
        name = await canary.experiment()
        new = f"{name}-new"
        await canary.is_split(**{"canary": 25, new.replace("-", "_"): 10, "stable": 65})

        def refuse(request: Request) -> None:
            if request.resource == "trafficsplits" and request.verb == "patch":
                raise Unavailable("the mesh is away")

        world.cluster.intercept = refuse
        await canary.until_experiment(name, "Successful")
        await canary.until("paused", lambda status: status.get("pauseConditions"))
        await asyncio.sleep(60)
        assert await world.size(new) == 1
        assert await world.find(SERVICES, new) is not None
        world.cluster.intercept = None
        await canary.is_split(canary=25, stable=75)
        await asyncio.sleep(10)
        assert await world.size(new) == 0
        assert await world.find(SERVICES, new) is None


@pytest.mark.spec("canary 8")
@pytest.mark.spec("canary 3.3")
async def test_an_experiment_that_fails_aborts_and_a_retry_makes_another() -> None:
    async with running() as world:
        canary = Canary(world)
        world.ratios.values["bad"] = 0.0
        await world.add_template("bad", interval="5s", failureLimit=0)
        step = experiment_step(part("new", "canary", weight=10), analyses=[analysis("bad")])
        await canary.deploy(rollout({"setWeight": 25}, step, {"pause": {}}, **ROUTED))
        await canary.release("app:v2")
        name = await canary.experiment()
        await canary.until_phase("Degraded")
        status = await canary.status()
        assert status["message"].startswith(
            "RolloutAborted: Rollout aborted update to revision 2: Experiment analysis phase is "
            'error/failed: Metric "ratio" assessed Failed'
        )
        assert not current_of(status)
        await canary.is_split(canary=0, stable=100)
        await asyncio.sleep(10)
        assert await world.size(f"{name}-new") == 0

        world.ratios.values["bad"] = 1.0
        await canary.patch_status({"abort": False})
        second = await canary.experiment()
        assert second == f"{name}-1"
        await canary.until_experiment(second, "Running")


@pytest.mark.spec("canary 8")
async def test_an_inconclusive_experiment_pauses_and_is_tried_again_on_resume() -> None:
    async with running() as world:
        canary = Canary(world)
        world.ratios.values["odd"] = 0.9
        await world.add_template(
            "odd", interval="5s", failureCondition="result[0] < 0.8", inconclusiveLimit=0
        )
        step = experiment_step(part("new", "canary"), analyses=[analysis("odd")])
        await canary.deploy(rollout({"setWeight": 25}, step, {"pause": {}}))
        await canary.release("app:v2")
        name = await canary.experiment()
        await canary.until_phase("Paused")
        status = await canary.status()
        assert status["pauseConditions"][0]["reason"] == "InconclusiveExperiment"
        assert current_of(status) == name
        await asyncio.sleep(60)
        since = len(world.cluster.requests)
        await asyncio.sleep(60)
        assert world.writes(since) == []

        await canary.patch_status({"pauseConditions": None})
        await canary.until("another", lambda s: current_of(s) not in ("", name))
        assert await canary.experiment() == f"{name}-1"


async def weighed_experiment(world: World) -> tuple[Canary, str]:
    """Return a canary whose step runs an Experiment with a tenth of the traffic, and its name."""
    canary = Canary(world)
    step = experiment_step(part("new", "canary", weight=10))
    await canary.deploy(rollout({"setWeight": 25}, step, **ROUTED))
    await canary.release("app:v2")
    name = await canary.experiment()
    await canary.until_experiment(name, "Running")
    return canary, name


@pytest.mark.spec("canary 8")
async def test_an_abort_ends_the_experiment_at_once() -> None:
    async with running() as world:
        canary, name = await weighed_experiment(world)
        await asyncio.sleep(5)
        await canary.patch_status({"abort": True})
        await canary.is_split(canary=0, stable=100)
        await canary.until_experiment(name, "Successful")
        manifest = await world.person.get(EXPERIMENTS, "default", name)
        assert manifest["spec"]["terminate"] is True
        assert (await canary.status())["phase"] == "Degraded"


@pytest.mark.spec("canary 8")
async def test_experiments_beyond_the_history_limit_are_deleted() -> None:
    async with running() as world:
        canary = Canary(world)
        step = experiment_step(part("new", "canary", weight=10), duration="5s")
        manifest = rollout({"setWeight": 25}, step, **ROUTED)
        manifest["spec"]["analysis"] = {"successfulRunHistoryLimit": 0}
        await canary.deploy(manifest)
        await canary.release("app:v2")
        name = await canary.experiment()
        await canary.until_phase("Healthy")

        async def is_gone() -> bool:
            return await world.find(EXPERIMENTS, name) is None

        await world.until("the Experiment is deleted", is_gone)
        await asyncio.sleep(5)
        assert await world.find(REPLICA_SETS, f"{name}-new") is None


@pytest.mark.spec("canary 8")
async def test_a_template_of_no_known_version_is_told_as_the_wait() -> None:
    async with running() as world:
        canary = Canary(world)
        await canary.deploy(rollout({"setWeight": 25}, experiment_step(part("x", "other"))))
        await canary.release("app:v2")
        text = "Invalid template step SpecRef: must be canary or stable"
        await canary.until(
            "told", lambda s: s["headrace"].get("waiting", {}).get("unblock") == text
        )
        assert (await canary.status())["currentStepIndex"] == 1


@pytest.mark.spec("experiment 10.4")
async def test_a_paused_rollout_does_not_stop_its_experiment() -> None:
    async with running() as world:
        canary = Canary(world)
        step = experiment_step(part("new", "canary"), duration="30s")
        await canary.deploy(rollout({"setWeight": 25}, step, {"pause": {}}))
        await canary.release("app:v2")
        name = await canary.experiment()
        await canary.until_experiment(name, "Running")
        paused = MergePatch({"spec": {"paused": True}})
        await world.person.patch(ROLLOUTS, "default", "app", paused)
        await canary.until_experiment(name, "Successful")
        await asyncio.sleep(30)
        assert (await canary.status())["currentStepIndex"] == 1
        await world.person.patch(
            ROLLOUTS, "default", "app", MergePatch({"spec": {"paused": False}})
        )
        await canary.until("the next step", lambda status: status["currentStepIndex"] == 2)


@pytest.mark.spec("canary 8")
@pytest.mark.spec("canary 10.8")
@pytest.mark.parametrize("is_over", [True, False])
async def test_steps_edited_in_mid_update_begin_another_experiment(is_over: bool) -> None:
    async with running() as world:
        canary = Canary(world)
        step = experiment_step(part("base", "stable"), duration="10s" if is_over else "1h")
        await canary.deploy(rollout({"setWeight": 25}, step, {"pause": {}}))
        await canary.release("app:v2")
        first = await canary.experiment()
        if is_over:
            await canary.until_phase("Paused")
        steps = [{"setWeight": 50}, step, {"pause": {}}]
        body = MergePatch({"spec": {"strategy": {"canary": {"steps": steps}}}})
        await world.person.patch(ROLLOUTS, "default", "app", body)
        await canary.until_experiment(f"{first}-1", "Running")
        status = await canary.status()
        assert (current_of(status), status["currentStepIndex"]) == (f"{first}-1", 1)
        await canary.until_experiment(first, "Successful")


@pytest.mark.spec("canary 8")
@pytest.mark.spec("canary 10.8")
async def test_an_experiment_that_asks_for_the_same_goes_on_over_an_edit() -> None:
    async with running() as world:
        canary = Canary(world)
        step = experiment_step(part("base", "stable"), duration="1h")
        await canary.deploy(rollout(step, {"pause": {}}))
        await canary.release("app:v2")
        first = await canary.experiment()
        await canary.until_experiment(first, "Running")
        steps = [step, {"setWeight": 50}, {"pause": {}}]
        body = MergePatch({"spec": {"strategy": {"canary": {"steps": steps}}}})
        await world.person.patch(ROLLOUTS, "default", "app", body)
        await asyncio.sleep(10)
        (found,) = (await world.person.list(EXPERIMENTS)).items
        assert not found["spec"].get("terminate")
        assert found["status"]["phase"] == "Running"
        assert current_of(await canary.status()) == first


@pytest.mark.spec("canary 8")
async def test_an_experiment_that_was_passed_does_not_count_when_its_step_comes_again() -> None:
    async with running() as world:
        canary = Canary(world)
        step = experiment_step(part("base", "stable"), duration="10s")
        await canary.deploy(rollout({"setWeight": 25}, step, {"pause": {}}))
        await canary.release("app:v2")
        first = await canary.experiment()
        await canary.until_phase("Paused")
        back = {"currentStepIndex": 1, "pauseConditions": None, "controllerPause": False}
        body = MergePatch({"status": back})
        await world.person.patch(ROLLOUTS, "default", "app", body, subresource="status")
        await canary.until_experiment(f"{first}-1", "Running")
        assert (await canary.status())["currentStepIndex"] == 1


@pytest.mark.spec("canary 3.3")
@pytest.mark.spec("canary 8")
async def test_a_retry_of_an_abort_that_was_cut_short_begins_another_experiment() -> None:
    async with running() as world:
        canary = Canary(world)
        step = experiment_step(part("new", "canary"))
        await canary.deploy(rollout({"setWeight": 25}, step, {"pause": {}}))
        await canary.release("app:v2")
        first = await canary.experiment()
        await canary.until_experiment(first, "Running")
        asked: list[str] = []

        def refuse(request: Request) -> None:
            if request.verb == "patch" and request.identity == "rollout-controller":
                asked.append(request.resource)
                if request.resource == "rollouts" and "experiments" in asked:
                    raise Forbidden("denied by a webhook")

        world.cluster.intercept = refuse
        await canary.patch_status({"abort": True})
        await canary.until_experiment(first, "Successful")
        world.cluster.intercept = None
        await canary.patch_status({"abort": False})
        await canary.until_experiment(f"{first}-1", "Running")
        assert (await canary.status())["currentStepIndex"] == 1


@pytest.mark.spec("canary 8")
async def test_an_experiment_that_was_left_for_that_of_another_step_is_tried_anew() -> None:
    async with running() as world:
        canary = Canary(world)
        world.ratios.values["unclear"] = 0.5
        await world.add_template(
            "unclear", failureCondition="result[0] < 0.1", inconclusiveLimit=0, interval="5s"
        )
        steps = (
            experiment_step(part("one", "canary"), analyses=[analysis("unclear")]),
            experiment_step(part("two", "canary")),
        )
        await canary.deploy(rollout(*steps, {"pause": {}}))
        await canary.release("app:v2")
        first = await canary.experiment()
        await canary.until_phase("Paused")
        other = {"currentStepIndex": 1, "pauseConditions": None, "controllerPause": False}
        await canary.patch_status(other)
        await canary.until_experiment(f"{first[:-1]}1", "Running")
        await canary.patch_status({"currentStepIndex": 0})
        await canary.until_experiment(f"{first}-1", "Inconclusive")


@pytest.mark.spec("canary 8")
@pytest.mark.spec("bluegreen 1")
async def test_a_canary_that_becomes_blue_green_ends_its_experiment() -> None:
    async with running() as world:
        canary, name = await weighed_experiment(world)
        blue_green = {"activeService": "stable", "autoPromotionEnabled": False}
        strategy = {"canary": None, "blueGreen": blue_green}
        body = MergePatch({"spec": {"strategy": strategy}})
        await world.person.patch(ROLLOUTS, "default", "app", body)
        await canary.until_experiment(name, "Successful")
        await canary.until("no Experiment", lambda status: not current_of(status))


@pytest.mark.spec("experiment 2")
async def test_a_step_tells_why_its_experiment_is_refused() -> None:
    async with running() as world:
        canary = Canary(world)
        step = experiment_step(part("same", "canary"), part("same", "stable"))
        await canary.deploy(rollout(step, {"pause": {}}))
        await canary.release("app:v2")
        name = await canary.experiment()

        def is_told(status: dict[str, Any]) -> bool:
            waiting = status["headrace"].get("waiting") or {}
            text = f"Experiment {name} has repeated template name 'same' in templates"
            return (waiting.get("reason"), waiting.get("unblock")) == ("Failure", text)

        await canary.until("the refusal", is_told)
        await canary.until("stuck", lambda status: status["headrace"]["waiting"].get("stuck"))


@pytest.mark.spec("canary 8")
async def test_an_index_that_is_set_back_after_the_promotion_begins_no_experiment() -> None:
    async with running() as world:
        canary = Canary(world)
        await canary.deploy(rollout(experiment_step(part("new", "canary")), {"pause": {}}))
        since = len(world.cluster.requests)
        await canary.patch_status({"currentStepIndex": 0})
        await asyncio.sleep(5)
        assert (await canary.status())["currentStepIndex"] == 2
        created = [each for each in world.writes(since) if each.verb == "create"]
        assert [each.resource for each in created if each.resource != "events"] == []
