"""Clients that know nothing of Headrace: their requests as literals, sent by plain HTTP.

The requests are those of the existing kubectl plugin (cli-and-clients 2), kubectl's own, and the
reading of Argo CD (cli-and-clients 7), written out here: nothing of Headrace is imported, so that
a test cannot agree with it by construction. The services run as processes on the lab.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace_lab.application import CANARY, NAME, STABLE, Application
from headrace_lab.borrow import borrowed_lab
from headrace_lab.errors import ApiError
from headrace_lab.lab import Lab
from headrace_lab.recording import REPLICA_SETS, ROLLOUTS
from headrace_lab.services import Fleet, three

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120), pytest.mark.spec("canary 2.6")]

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
CONFLICT = 409
STEPS = [
    {"setWeight": 10},
    {"pause": {}},
    {"setWeight": 50},
    {"pause": {}},
    {"setWeight": 75},
    {"pause": {}},
]
FIRST, SECOND, THIRD = 1, 3, 5
REPLICAS = 2

Object = dict[str, Any]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with borrowed_lab(tmp_path_factory.mktemp("lab")) as borrowed:
        yield borrowed


@pytest.fixture(scope="module")
def fleet(lab: Lab) -> Iterator[Fleet]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    services = three(lab, {"instance-id": f"plugin-{worker}"}, is_short=False)
    try:
        yield services.start()
    finally:
        services.stop()


@pytest.fixture
def application(request: pytest.FixtureRequest, lab: Lab, fleet: Fleet) -> Iterator[Application]:
    number = time.time_ns() // 10**6 % 10**7
    name = request.node.name.partition("[")[0].removeprefix("test_").replace("_", "-")
    with Application(lab, f"{name[:40].rstrip('-')}-{number}", fleet.instance_id) as made:
        made.apply_example("canary-manual-approval", lighten)
        made.wait_phase("Healthy")
        yield made
    assert fleet.crashes() == []


def lighten(manifest: Object) -> None:
    """Give the example other steps, and pods that are ready at once."""
    if manifest["kind"] != "Rollout":
        return
    spec = manifest["spec"]
    spec["replicas"] = REPLICAS
    spec["strategy"]["canary"]["steps"] = STEPS
    container = {"name": NAME, "image": "registry.test/app:v1"}
    spec["template"]["spec"] = {"terminationGracePeriodSeconds": 0, "containers": [container]}


class Plugin:
    """Sends what the plugin sends for a Rollout; every request is a literal of its own."""

    def __init__(self, application: Application) -> None:
        self._api = application.api
        namespace = f"/namespaces/{application.namespace}"
        self.rollouts = f"/apis/argoproj.io/v1alpha1{namespace}/rollouts"
        self.rollout = f"{self.rollouts}/{NAME}"
        self.replica_sets = f"/apis/apps/v1{namespace}/replicasets"

    def get(self, path: str) -> Any:
        return self._api.request("GET", path)

    def patch(self, body: str, *, subresource: str = "", content_type: str = MERGE) -> Object:
        path = f"{self.rollout}/{subresource}" if subresource else self.rollout
        patched: Object = self._api.request(
            "PATCH", path, json.loads(body), content_type=content_type
        )
        return patched

    def patch_status(self, body: str) -> Object:
        return self.patch(body, subresource="status")

    def put(self, rollout: Object) -> Object:
        replaced: Object = self._api.request("PUT", self.rollout, rollout)
        return replaced

    def set_image(self, image: str) -> None:
        """Read, change, write the whole object; again on a conflict."""
        for _ in range(5):
            rollout = self.get(self.rollout)
            rollout["spec"]["template"]["spec"]["containers"][0]["image"] = image
            try:
                self.put(rollout)
            except ApiError as error:
                if error.status != CONFLICT:
                    raise
            else:
                return
        raise AssertionError("five conflicts")


@pytest.fixture
def plugin(application: Application) -> Plugin:
    return Plugin(application)


def release(application: Application, plugin: Plugin, tag: str = "v2") -> None:
    """Release a version and wait until it is paused at its first weight."""
    plugin.set_image(f"registry.test/app:{tag}")
    application.wait_paused(FIRST)
    application.wait_weight(10)


# promote


def test_promote_in_a_pause_ends_it(application: Application, plugin: Plugin) -> None:
    release(application, plugin)
    answer = plugin.patch_status('{"status":{"pauseConditions":null}}')
    assert "pauseConditions" not in answer["status"]
    assert answer["status"]["controllerPause"] is True  # the sign that the user resumed
    application.wait_paused(SECOND)
    assert application.weights() == {STABLE: 50, CANARY: 50}
    plugin.patch_status('{"status":{"pauseConditions":null}}')
    application.wait_paused(THIRD)
    plugin.patch_status('{"status":{"pauseConditions":null}}')
    application.wait_phase("Healthy")
    indexes = [
        each["status"].get("currentStepIndex")
        for each in application.recording.versions(ROLLOUTS, NAME)
        if each.get("status", {}).get("currentPodHash") == application.hash_of("v2")
    ]
    assert indexes == sorted(indexes)
    status = application.status()
    assert status["stableRS"] == status["currentPodHash"] == application.hash_of("v2")
    assert status["currentStepIndex"] == len(STEPS)
    assert "controllerPause" not in status


def test_promote_while_a_step_runs_skips_it(application: Application, plugin: Plugin) -> None:
    # Pods of the new version can never be there: its step goes on and on.
    plugin.set_image("registry.test/does-not-exist:bad")
    application.wait(
        lambda: (
            application.status().get("currentStepIndex") == 0
            and application.status().get("currentPodHash") == application.hash_of("bad") != ""
        ),
        "the first step of the new version",
    )
    assert not application.status().get("pauseConditions")
    plugin.patch_status('{"status":{"pauseConditions":null, "currentStepIndex":1}}')
    application.wait_paused(FIRST)
    assert application.canary_weight == 0  # nobody is sent to pods that are not there


def test_promote_of_a_rollout_paused_in_its_spec_resumes_and_skips(
    application: Application, plugin: Plugin
) -> None:
    plugin.patch('{"spec":{"paused":true}}')
    application.wait(lambda: application.phase() == "Paused", "paused by its spec")
    plugin.set_image("registry.test/app:v2")
    application.wait(
        lambda: (
            application.status().get("currentPodHash") != application.status()["stableRS"]
            and application.status().get("currentStepIndex") == 0
        ),
        "the new version is seen",
    )
    plugin.patch_status('{"status":{"pauseConditions":null, "currentStepIndex":1}}')
    plugin.patch('{"spec":{"paused":false}}')
    application.wait_paused(FIRST)


def test_promote_of_a_finished_rollout_does_nothing(
    application: Application, plugin: Plugin
) -> None:
    before = application.rollout()
    answer = plugin.patch_status(
        f'{{"status":{{"pauseConditions":null, "currentStepIndex":{len(STEPS)}}}}}'
    )
    assert answer["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    application.recording.stays(lambda: application.phase() == "Healthy", "Healthy", 0.5)


def test_full_promotion_goes_to_the_end(application: Application, plugin: Plugin) -> None:
    release(application, plugin)
    plugin.patch_status('{"status":{"promoteFull":true}}')
    application.wait_phase("Healthy")
    status = application.status()
    assert status["stableRS"] == application.hash_of("v2")
    assert "promoteFull" not in status
    assert not status.get("pauseConditions")


def test_skipping_all_steps_promotes(application: Application, plugin: Plugin) -> None:
    release(application, plugin)
    plugin.patch_status(f'{{"status":{{"currentStepIndex":{len(STEPS)}}}}}')
    application.wait_phase("Healthy")
    assert application.status()["stableRS"] == application.hash_of("v2")


def test_skipping_one_step_goes_on_from_the_next(application: Application, plugin: Plugin) -> None:
    release(application, plugin)
    plugin.patch_status('{"status":{"currentStepIndex":2}}')
    application.wait_weight(50)
    application.wait(lambda: application.status().get("currentStepIndex") == SECOND, "next pause")


INCONCLUSIVE = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "AnalysisTemplate",
    "metadata": {"name": "undecided"},
    "spec": {
        "metrics": [
            {
                "name": "undecided",
                "successCondition": "result[0] > 2",
                "failureCondition": "result[0] < 0",
                "provider": {"prometheus": {"query": "vector(1)"}},
            }
        ]
    },
}


def test_promote_of_an_inconclusive_analysis_skips_it(
    application: Application, plugin: Plugin
) -> None:
    template = json.loads(json.dumps(INCONCLUSIVE))
    provider = template["spec"]["metrics"][0]["provider"]["prometheus"]
    provider["address"] = application.lab.prometheus_url
    application.apply(template)
    analysis = {"analysis": {"templates": [{"templateName": "undecided"}]}}
    steps = json.dumps([{"setWeight": 10}, analysis, {"setWeight": 50}, {"pause": {}}])
    plugin.patch(f'{{"spec":{{"strategy":{{"canary":{{"steps":{steps}}}}}}}}}')
    application.wait_phase("Healthy")
    plugin.set_image("registry.test/app:v2")
    application.wait(
        lambda: (
            application.status().get("pauseConditions", [{}])[0].get("reason")
            == "InconclusiveAnalysisRun"
        ),
        "the analysis is inconclusive",
    )
    status = plugin.get(plugin.rollout)["status"]
    assert status["canary"]["currentStepAnalysisRunStatus"]["status"] == "Inconclusive"
    assert status["controllerPause"] is True
    assert status["phase"] == "Paused"
    plugin.patch_status(
        '{"status":{"pauseConditions":null, "controllerPause":false, "currentStepIndex":2}}'
    )
    application.wait_paused(SECOND)
    application.wait_weight(50)


# abort, retry, undo, set image, pause, restart


def test_abort_takes_all_traffic_back_and_retry_begins_again(
    application: Application, plugin: Plugin
) -> None:
    release(application, plugin)
    plugin.patch_status('{"status":{"abort":true}}')
    application.wait_phase("Degraded")
    status = application.status()
    assert status["message"] == "RolloutAborted: Rollout aborted update to revision 2"
    assert status["currentStepIndex"] == 0
    assert status["abortedAt"]
    application.wait_weight(0)
    plugin.patch_status('{"status":{"abort":false}}')
    application.wait_paused(FIRST)
    application.wait_weight(10)
    assert "abortedAt" not in application.status()


def test_undo_restores_the_template_of_the_revision_before(
    application: Application, plugin: Plugin
) -> None:
    release(application, plugin)
    rollout = plugin.get(plugin.rollout)
    labels = rollout["spec"]["selector"]["matchLabels"]
    assert labels == {"app": NAME}
    listed = plugin.get(f"{plugin.replica_sets}?labelSelector=app%3D{NAME}")
    owned = {
        int(item["metadata"]["annotations"]["rollout.argoproj.io/revision"]): item
        for item in listed["items"]
        for owner in item["metadata"]["ownerReferences"]
        if owner["controller"] and owner["uid"] == rollout["metadata"]["uid"]
    }
    assert sorted(owned) == [1, 2]
    template = owned[1]["spec"]["template"]
    del template["metadata"]["labels"]["rollouts-pod-template-hash"]
    body = json.dumps([{"op": "replace", "path": "/spec/template", "value": template}])
    plugin.patch(body, content_type=JSON_PATCH)
    application.wait_phase("Healthy")  # back to stable at once, without steps
    status = application.status()
    assert status["currentPodHash"] == status["stableRS"] == application.hash_of("v1")
    application.wait_weight(0)
    application.wait(lambda: application.sizes == {"v1": REPLICAS, "v2": 0}, "v2 is gone")


def test_an_update_of_an_old_version_is_a_conflict(
    application: Application, plugin: Plugin
) -> None:
    old = plugin.get(plugin.rollout)
    plugin.patch('{"metadata":{"annotations":{"example.com/touched":"yes"}}}')
    with pytest.raises(ApiError) as caught:
        plugin.put(old)
    assert caught.value.status == CONFLICT
    release(application, plugin)
    assert application.rollout()["metadata"]["annotations"]["example.com/touched"] == "yes"


def test_pause_holds_a_rollout_where_it_is(application: Application, plugin: Plugin) -> None:
    plugin.patch('{"spec":{"paused":true}}')
    application.wait_phase("Paused")
    assert application.status()["message"] == "manually paused"
    plugin.set_image("registry.test/app:v2")
    application.wait(lambda: application.hash_of("v2"), "the new ReplicaSet")
    application.recording.stays(lambda: application.sizes["v2"] == 0, "v2 is held", 1.0)
    plugin.patch('{"spec":{"paused":false}}')
    application.wait_paused(FIRST)


def test_restart_replaces_every_pod(application: Application, plugin: Plugin) -> None:
    pods = f"/api/v1/namespaces/{application.namespace}/pods"
    before = {item["metadata"]["uid"] for item in plugin.get(pods)["items"]}
    time.sleep(1)  # restartAt counts whole seconds: the pods must be older
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    plugin.patch(f'{{\n\t"spec": {{\n\t\t"restartAt": "{now}"\n\t}}\n}}')
    application.wait(
        lambda: application.status().get("restartedAt") == now, "restarted", seconds=90
    )
    application.wait_phase("Healthy")
    living = [
        item["metadata"]["uid"]
        for item in plugin.get(pods)["items"]
        if "deletionTimestamp" not in item["metadata"]
    ]
    assert not before & set(living)
    messages = [
        each.get("status", {}).get("message")
        for each in application.recording.versions(ROLLOUTS, NAME)
    ]
    assert "rollout is restarting" in messages


# get, list, status


def test_what_get_reads_makes_the_tree(application: Application, plugin: Plugin) -> None:
    release(application, plugin)
    namespace = f"/namespaces/{application.namespace}"
    [rollout] = plugin.get(f"{plugin.rollouts}?fieldSelector=metadata.name%3D{NAME}")["items"]
    status = rollout["status"]
    assert status["observedGeneration"] == str(rollout["metadata"]["generation"])
    assert status["canary"]["weights"]["canary"]["weight"] == 10
    counts = {name: status[name] for name in ("replicas", "updatedReplicas", "readyReplicas")}
    assert counts == {"replicas": 3, "updatedReplicas": 1, "readyReplicas": 3}
    tree = {}
    for item in plugin.get(plugin.replica_sets)["items"]:
        [owner] = item["metadata"]["ownerReferences"]
        assert owner["uid"] == rollout["metadata"]["uid"]
        assert owner["controller"]
        revision = item["metadata"]["annotations"]["rollout.argoproj.io/revision"]
        pod_hash = item["metadata"]["labels"]["rollouts-pod-template-hash"]
        tree[revision] = {status["stableRS"]: "stable", status["currentPodHash"]: "canary"}[
            pod_hash
        ]
    assert tree == {"1": "stable", "2": "canary"}
    pods = plugin.get(f"/api/v1{namespace}/pods")["items"]
    assert {item["metadata"]["ownerReferences"][0]["kind"] for item in pods} == {"ReplicaSet"}
    for plural in ("experiments", "analysisruns"):
        assert plugin.get(f"/apis/argoproj.io/v1alpha1{namespace}/{plural}")["items"] == []


def plugin_phase(rollout: Object) -> tuple[str, str]:
    """What the plugin's `status` and `get` show (cli-and-clients 3)."""
    status = rollout.get("status", {})
    observed = status.get("observedGeneration", "")
    if observed.isdecimal() and int(observed) < rollout["metadata"]["generation"]:
        return "Progressing", "waiting for rollout spec update to be observed"
    if status.get("controllerPause") and not status.get("pauseConditions"):
        return "Progressing", "waiting for rollout to unpause"
    return status.get("phase", ""), status.get("message", "")


def test_status_shows_the_sequence_that_scripts_wait_for(
    application: Application, plugin: Plugin
) -> None:
    begin = len(application.recording.versions(ROLLOUTS, NAME))
    release(application, plugin)
    plugin.patch_status('{"status":{"promoteFull":true}}')
    application.wait_phase("Healthy")
    seen: list[tuple[str, str]] = []
    for version in application.recording.versions(ROLLOUTS, NAME)[begin:]:
        phase = plugin_phase(version)
        if not seen or seen[-1] != phase:
            seen.append(phase)
    assert seen[0] == ("Progressing", "waiting for rollout spec update to be observed")
    assert ("Progressing", "more replicas need to be updated") in seen
    assert ("Paused", "CanaryPauseStep") in seen
    assert seen[-1] == ("Healthy", "")
    assert [phase for phase, _ in seen].count("Healthy") == 1  # never too early
    assert "Degraded" not in {phase for phase, _ in seen}


# kubectl


@pytest.fixture
def kubectl(application: Application) -> Callable[..., str]:
    command = Path(sys.executable).parent / "kubectl"
    environ = {**os.environ, "KUBECONFIG": str(application.lab.kubeconfig("person"))}

    def run(*words: str) -> str:
        done = subprocess.run(
            [str(command), "--namespace", application.namespace, *words],
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_kubectl_shows_and_drives_a_rollout(
    application: Application, kubectl: Callable[..., str]
) -> None:
    heading, row = kubectl("get", "ro", NAME).splitlines()
    assert heading.split() == ["NAME", "DESIRED", "CURRENT", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert row.split()[:5] == [NAME, "2", "2", "2", "2"]

    kubectl("scale", "rollout", NAME, "--replicas=3")
    application.wait(lambda: application.status().get("availableReplicas") == 3, "three pods")
    kubectl("wait", "--for=jsonpath={.status.phase}=Healthy", f"rollout/{NAME}", "--timeout=30s")
    kubectl("wait", "--for=condition=Available", f"rollout/{NAME}", "--timeout=30s")
    kubectl("wait", "--for=condition=Healthy", f"rollout/{NAME}", "--timeout=30s")
    scale = json.loads(kubectl("get", "--raw", _scale_path(application)))
    assert scale["spec"]["replicas"] == scale["status"]["replicas"] == 3
    assert scale["status"]["selector"] == f"app={NAME}"

    image = '[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"%s"}]'
    kubectl("patch", "rollout", NAME, "--type=json", "-p", image % "registry.test/app:v2")
    kubectl("wait", "--for=jsonpath={.status.phase}=Paused", f"rollout/{NAME}", "--timeout=30s")
    kubectl(
        "patch",
        "rollout",
        NAME,
        "--subresource=status",
        "--type=merge",
        "-p",
        '{"status":{"pauseConditions":null}}',
    )
    application.wait_paused(SECOND)
    described = kubectl("describe", "rollout", NAME)
    for words in ("Rollout is paused (CanaryPauseStep)", "RolloutStepCompleted", "Phase:"):
        assert words in described


def _scale_path(application: Application) -> str:
    namespace = application.namespace
    return f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/rollouts/{NAME}/scale"


# Argo CD (cli-and-clients 7.1, 7.2)


def argo_health(rollout: Object) -> str:
    """Argo CD's health of a Rollout."""
    status = rollout.get("status")
    if not status:
        return "Progressing"
    generation = rollout["metadata"]["generation"]
    observed = status.get("observedGeneration", "")
    if observed.isdecimal() and int(observed) <= generation and int(observed) != generation:
        return "Progressing"
    phase = status.get("phase")
    assert phase, "a status without phase: Argo CD would guess"
    return "Suspended" if phase == "Paused" else str(phase)


def argo_actions(rollout: Object) -> set[str]:
    """The actions that Argo CD enables."""
    spec, status = rollout["spec"], rollout.get("status", {})
    promoted = status.get("currentPodHash") == status.get("stableRS")
    aborted = bool(status.get("abort"))
    paused = bool(spec.get("paused"))
    pauses = status.get("pauseConditions")
    steps = spec["strategy"]["canary"]["steps"]
    rules = {
        "resume": bool(pauses) if pauses is not None else paused,
        "abort": not promoted and not aborted,
        "retry": not promoted and aborted,
        "pause": not promoted and not aborted and not paused,
        "restart": True,
        "promote-full": not promoted,
        "skip-current-step": bool(steps) and status.get("currentStepIndex") != len(steps),
    }
    return {action for action, is_enabled in rules.items() if is_enabled}


IN_PAUSE = {"resume", "abort", "pause", "restart", "promote-full", "skip-current-step"}
MOVING = IN_PAUSE - {"resume"}
ABORTED = {"retry", "restart", "promote-full", "skip-current-step"}
FINISHED = {"restart"}


def test_argo_cd_understands_the_whole_story(application: Application, plugin: Plugin) -> None:
    def stands(health: str, actions: set[str]) -> None:
        rollout = plugin.get(plugin.rollout)
        assert (argo_health(rollout), argo_actions(rollout)) == (health, actions)

    stands("Healthy", FINISHED)
    release(application, plugin)
    stands("Suspended", IN_PAUSE)
    plugin.patch_status('{"status":{"abort":true}}')  # action abort
    application.wait_phase("Degraded")
    stands("Degraded", ABORTED)
    plugin.patch_status('{"status":{"abort":null}}')  # action retry
    application.wait_paused(FIRST)
    stands("Suspended", IN_PAUSE)
    plugin.patch_status('{"status":{"pauseConditions":null}}')  # action resume
    application.wait_paused(SECOND)
    # Action skip-current-step: the pause at SECOND is skipped, no step more.
    plugin.patch_status('{"status":{"pauseConditions":null,"currentStepIndex":4}}')
    application.wait_paused(THIRD)
    stands("Suspended", IN_PAUSE)
    plugin.patch('{"spec":{"paused":true}}')  # action pause
    application.wait(lambda: application.rollout()["spec"].get("paused"), "paused by its spec")
    stands_in = argo_actions(plugin.get(plugin.rollout))
    assert stands_in == IN_PAUSE - {"pause"}
    plugin.patch('{"spec":{"paused":false}}')
    plugin.patch_status('{"status":{"promoteFull":true}}')  # action promote-full
    application.wait_phase("Healthy")
    stands("Healthy", FINISHED)
    assert_argo_cd_was_never_misled(application)


def assert_argo_cd_was_never_misled(application: Application) -> None:
    """Look at every version of the Rollout that ever was."""
    versions = application.recording.versions(ROLLOUTS, NAME)
    assert len(versions) > 10
    known = {"Healthy", "Progressing", "Degraded", "Suspended"}
    reconciled: set[int] = set()
    for version in versions:
        status, generation = version.get("status", {}), version["metadata"]["generation"]
        assert argo_health(version) in known
        if status.get("observedGeneration") == str(generation):
            reconciled.add(generation)
        if generation not in reconciled:
            assert argo_health(version) == "Progressing"
        if status.get("currentPodHash") != status.get("stableRS"):
            assert argo_health(version) != "Healthy"
            assert "currentStepIndex" in status  # Argo CD reads it without asking
        actions = argo_actions(version)
        assert "restart" in actions
        assert not {"abort", "retry"} <= actions
        assert ("retry" in actions) == (bool(status.get("abort")) and "promote-full" in actions)


def test_replica_sets_have_one_controller(application: Application) -> None:
    """Argo CD's resource tree and the garbage collector follow these references."""
    [replica_set] = application.recording.all(REPLICA_SETS)
    [owner] = replica_set["metadata"]["ownerReferences"]
    assert owner == {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "name": NAME,
        "uid": application.rollout()["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
