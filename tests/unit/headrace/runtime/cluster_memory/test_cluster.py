"""What the memory cluster adds to the contract: driving it without a loop, faults, counting."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from headrace.errors import Conflict, Expired, NotFound, Unavailable
from headrace.kubernetes.resources import (
    CONFIG_MAPS,
    JOBS,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    ROLLOUTS,
    TRAFFIC_SPLITS,
    Manifest,
)
from headrace.runtime.clock import LoopClock, VirtualClock
from headrace.runtime.cluster import MergePatch, Selection
from headrace.runtime.cluster_memory import (
    CRASHING,
    NEVER_READY,
    UNPULLABLE,
    MemoryClient,
    MemoryCluster,
    MemoryClusterSettings,
    PodBehaviour,
    Request,
)

T = TypeVar("T")


def done(call: Coroutine[Any, Any, T]) -> T:
    """Drive a call as the simulator does: it must not suspend."""
    try:
        call.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise AssertionError("the call suspended")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def memory(clock: VirtualClock) -> MemoryCluster:
    settings = MemoryClusterSettings(pod_ready_seconds=3, pod_termination_seconds=2)
    return MemoryCluster(clock, settings)


@pytest.fixture
def client(memory: MemoryCluster) -> MemoryClient:
    return memory.client("test")


def config_map(name: str, **body: Any) -> Manifest:
    return {"metadata": {"name": name, "namespace": "shop"}, **body}


def replica_set(replicas: int, image: str = "web:v1", **pod: Any) -> Manifest:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": image}], **pod},
    }
    selector = {"matchLabels": {"app": "web"}}
    spec = {"replicas": replicas, "selector": selector, "template": template}
    return {"metadata": {"name": "web", "namespace": "shop"}, "spec": spec}


def job(command: str, **spec: Any) -> Manifest:
    container = {"name": "main", "image": "busybox:v1", "command": ["sh", "-c", command]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {"metadata": {"name": "job", "namespace": "shop"}, "spec": {"template": template} | spec}


def pods(client: MemoryClient) -> list[Manifest]:
    return [*done(client.list(PODS)).items]


def ready(client: MemoryClient) -> int:
    status = done(client.get(REPLICA_SETS, "shop", "web"))["status"]
    return int(status.get("readyReplicas", 0))


def advance(memory: MemoryCluster, clock: VirtualClock, seconds: float) -> None:
    """Move time on, stopping wherever the cluster has something to do."""
    end = clock.now() + seconds
    memory.step()
    while (wake_at := memory.wake_at()) is not None and wake_at <= end:
        clock.advance(max(0.0, wake_at - clock.now()))
        memory.step()
    clock.advance(end - clock.now())


def test_time_moves_pods_step_by_step(
    memory: MemoryCluster, client: MemoryClient, clock: VirtualClock
) -> None:
    done(client.create(REPLICA_SETS, replica_set(2)))
    memory.step()
    assert memory.wake_at() == clock.now() + 3
    assert ready(client) == 0
    advance(memory, clock, 2.9)
    assert ready(client) == 0
    advance(memory, clock, 0.2)
    assert ready(client) == 2
    assert memory.wake_at() is None


def test_a_generated_name_that_is_taken_is_drawn_again(client: MemoryClient) -> None:
    """Five letters name so many pods twice; the API server tries again, too."""
    body = {"metadata": {"generateName": "job-", "namespace": "shop"}}
    for _ in range(12_000):
        done(client.create(CONFIG_MAPS, body))


def test_a_pod_lives_on_while_it_terminates(
    memory: MemoryCluster, client: MemoryClient, clock: VirtualClock
) -> None:
    done(client.create(REPLICA_SETS, replica_set(1)))
    advance(memory, clock, 5)
    done(client.patch(REPLICA_SETS, "shop", "web", MergePatch({"spec": {"replicas": 0}})))
    memory.step()
    assert done(client.get(REPLICA_SETS, "shop", "web"))["status"]["replicas"] == 0
    (pod,) = pods(client)
    assert pod["metadata"]["deletionTimestamp"]
    advance(memory, clock, 2)
    assert pods(client) == []


@pytest.mark.parametrize(
    ("behaviour", "phase", "reason"),
    [
        (NEVER_READY, "Running", None),
        (CRASHING, "Running", "CrashLoopBackOff"),
        (UNPULLABLE, "Pending", "ImagePullBackOff"),
    ],
)
def test_an_image_can_be_told_to_fail(
    memory: MemoryCluster,
    client: MemoryClient,
    clock: VirtualClock,
    behaviour: PodBehaviour,
    phase: str,
    reason: str | None,
) -> None:
    memory.behave("web:bad*", behaviour)
    done(client.create(REPLICA_SETS, replica_set(1, "web:bad-1")))
    advance(memory, clock, 1000)
    assert ready(client) == 0
    status = pods(client)[0]["status"]
    assert status["phase"] == phase
    state = status["containerStatuses"][0]["state"]
    assert state.get("waiting", {}).get("reason") == reason


def test_a_behaviour_told_later_holds_for_running_pods_too(
    memory: MemoryCluster, client: MemoryClient, clock: VirtualClock
) -> None:
    done(client.create(REPLICA_SETS, replica_set(2)))
    advance(memory, clock, 5)
    memory.behave("web:*", CRASHING)
    advance(memory, clock, 1)
    assert ready(client) == 0
    memory.behave("web:*", PodBehaviour(ready_seconds=0))
    advance(memory, clock, 1)
    assert ready(client) == 2


def test_readiness_gates_hold_a_pod_back(
    memory: MemoryCluster, client: MemoryClient, clock: VirtualClock
) -> None:
    gates = [{"conditionType": "example.com/target"}]
    done(client.create(REPLICA_SETS, replica_set(1, readinessGates=gates)))
    advance(memory, clock, 5)
    assert ready(client) == 0
    (pod,) = pods(client)
    conditions = [*pod["status"]["conditions"], {"type": "example.com/target", "status": "True"}]
    patch = MergePatch({"status": {"conditions": conditions}})
    done(client.patch(PODS, "shop", pod["metadata"]["name"], patch, subresource="status"))
    memory.step()
    assert ready(client) == 1


def test_unready_and_cheap_pods_go_first(
    memory: MemoryCluster, client: MemoryClient, clock: VirtualClock
) -> None:
    done(client.create(REPLICA_SETS, replica_set(3)))
    advance(memory, clock, 5)
    cheap = pods(client)[1]["metadata"]["name"]
    annotations = {"controller.kubernetes.io/pod-deletion-cost": "-10"}
    done(client.patch(PODS, "shop", cheap, MergePatch({"metadata": {"annotations": annotations}})))
    done(client.patch(REPLICA_SETS, "shop", "web", MergePatch({"spec": {"replicas": 4}})))
    memory.step()
    done(client.patch(REPLICA_SETS, "shop", "web", MergePatch({"spec": {"replicas": 2}})))
    advance(memory, clock, 3)
    assert ready(client) == 2
    assert cheap not in [pod["metadata"]["name"] for pod in pods(client)]


def test_a_failed_job_is_tried_again_with_back_off(
    memory: MemoryCluster, client: MemoryClient, clock: VirtualClock
) -> None:
    done(client.create(JOBS, job("sleep 1; exit 3", backoffLimit=1)))
    advance(memory, clock, 5)
    assert done(client.get(JOBS, "shop", "job"))["status"]["failed"] == 1
    advance(memory, clock, 30)
    status = done(client.get(JOBS, "shop", "job"))["status"]
    assert status["failed"] == 2
    assert status["conditions"][0]["reason"] == "BackoffLimitExceeded"


def test_a_job_fails_at_its_deadline(
    memory: MemoryCluster, client: MemoryClient, clock: VirtualClock
) -> None:
    done(client.create(JOBS, job("sleep 100", activeDeadlineSeconds=5)))
    advance(memory, clock, 4)
    assert done(client.get(JOBS, "shop", "job"))["status"]["active"] == 1
    advance(memory, clock, 4)
    status = done(client.get(JOBS, "shop", "job"))["status"]
    assert status["conditions"][0]["reason"] == "DeadlineExceeded"
    assert "active" not in status


def test_requests_are_counted_by_identity(memory: MemoryCluster) -> None:
    router, controller = memory.client("traffic-router"), memory.client("rollout-controller")
    done(controller.create(TRAFFIC_SPLITS, config_map("split")))
    for _ in range(3):
        done(router.get(TRAFFIC_SPLITS, "shop", "split"))
    patch = MergePatch({"spec": {"service": "web"}})
    done(router.patch(TRAFFIC_SPLITS, "shop", "split", patch))
    counts = Counter((request.identity, request.verb) for request in memory.requests)
    assert counts == {
        ("rollout-controller", "create"): 1,
        ("traffic-router", "get"): 3,
        ("traffic-router", "patch"): 1,
    }
    assert memory.requests[-1].body == patch.body


def test_a_request_can_be_made_to_fail(memory: MemoryCluster, client: MemoryClient) -> None:
    done(client.create(ROLLOUTS, config_map("web")))

    def refuse_status(request: Request) -> None:
        if request.subresource == "status":
            raise Conflict("told to")

    memory.intercept = refuse_status
    patch = MergePatch({"status": {"phase": "Paused"}})
    with pytest.raises(Conflict, match="told to"):
        done(client.patch(ROLLOUTS, "shop", "web", patch, subresource="status"))
    assert "status" not in done(client.get(ROLLOUTS, "shop", "web"))


def test_a_watch_can_be_polled(memory: MemoryCluster, client: MemoryClient) -> None:
    since = done(client.list(CONFIG_MAPS)).resource_version
    watch = client.open_watch(CONFIG_MAPS, Selection("shop"), since)
    assert watch.poll() == []
    created = done(client.create(CONFIG_MAPS, config_map("a")))
    (event,) = watch.poll()
    assert (event.type, event.manifest) == ("ADDED", created)
    memory.send_bookmarks()
    (bookmark,) = watch.poll()
    assert bookmark.type == "BOOKMARK"
    assert bookmark.manifest["metadata"]["resourceVersion"] == str(int(since) + 1)


def test_a_watch_from_no_version_begins_with_what_is_there(client: MemoryClient) -> None:
    done(client.create(CONFIG_MAPS, config_map("a")))
    watch = client.open_watch(CONFIG_MAPS, Selection(), "")
    assert [event.type for event in watch.poll()] == ["ADDED"]


def test_an_expired_watch_gives_first_what_it_had(
    memory: MemoryCluster, client: MemoryClient
) -> None:
    since = done(client.list(CONFIG_MAPS)).resource_version
    watch = client.open_watch(CONFIG_MAPS, Selection(), since)
    done(client.create(CONFIG_MAPS, config_map("a")))
    memory.expire_watches()
    assert len(watch.poll()) == 1
    with pytest.raises(Expired):
        watch.poll()
    with pytest.raises(Expired):
        client.open_watch(CONFIG_MAPS, Selection(), since)


def test_history_is_bounded(clock: VirtualClock) -> None:
    memory = MemoryCluster(clock, MemoryClusterSettings(history_max=3))
    client = memory.client("test")
    versions = [
        done(client.create(CONFIG_MAPS, config_map(name)))["metadata"]["resourceVersion"]
        for name in "abcde"
    ]
    assert len(client.open_watch(CONFIG_MAPS, Selection(), versions[1]).poll()) == 3
    with pytest.raises(Expired):
        client.open_watch(CONFIG_MAPS, Selection(), versions[0])


def test_a_version_of_the_future_is_not_there_yet(client: MemoryClient) -> None:
    with pytest.raises(Unavailable):
        client.open_watch(CONFIG_MAPS, Selection(), "999999")


def test_serves_only_the_versions_it_is_told(clock: VirtualClock) -> None:
    served = {"": ["v1"], "split.smi-spec.io": ["v1alpha2"]}
    client = MemoryCluster(clock, MemoryClusterSettings(served=served)).client("test")
    assert done(client.versions("split.smi-spec.io")) == ("v1alpha2",)
    with pytest.raises(NotFound):
        done(client.list(TRAFFIC_SPLITS))
    done(client.list(TRAFFIC_SPLITS.at_version("v1alpha2")))


def test_equal_histories_give_equal_objects_and_other_clusters_other_uids() -> None:
    def story(name: str) -> list[Manifest]:
        memory = MemoryCluster(VirtualClock(), MemoryClusterSettings(name=name))
        client = memory.client("test")
        done(client.create(REPLICA_SETS, replica_set(3)))
        memory.step()
        return pods(client)

    assert story("one") == story("one")
    uids = [{pod["metadata"]["uid"] for pod in story(name)} for name in ("one", "two")]
    assert uids[0].isdisjoint(uids[1])


def test_the_kube_system_namespace_tells_clusters_apart(client: MemoryClient) -> None:
    assert done(client.get(NAMESPACES, None, "kube-system"))["metadata"]["uid"]


@pytest.mark.looptime
async def test_runs_by_itself_until_cancelled() -> None:
    clock = LoopClock()
    memory = MemoryCluster(clock, MemoryClusterSettings(pod_ready_seconds=3, bookmark_seconds=10))
    client = memory.client("test")
    running = asyncio.create_task(memory.run())
    await client.create(REPLICA_SETS, replica_set(2))
    await asyncio.sleep(3.1)
    status = (await client.get(REPLICA_SETS, "shop", "web"))["status"]
    assert status["readyReplicas"] == 2
    events = client.watch(CONFIG_MAPS, Selection(), (await client.list(PODS)).resource_version)
    assert (await anext(events)).type == "BOOKMARK"
    await events.aclose()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
