"""What every Cluster promises, run on the memory cluster and on a real API server."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pytest

from headrace.errors import (
    AlreadyExists,
    Conflict,
    Expired,
    Forbidden,
    NotFound,
    PreconditionFailed,
    RateLimited,
    Rejected,
)
from headrace.kubernetes.patches import pointer
from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    CONFIG_MAPS,
    JOBS,
    LEASES,
    NAMESPACES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    ROLLOUTS,
    SECRETS,
    SERVICES,
    TRAFFIC_SPLITS,
    Manifest,
    Resource,
)
from headrace.runtime.clock import SystemClock
from headrace.runtime.cluster import Cluster, JsonPatch, MergePatch, Selection, WatchEvent
from headrace.runtime.cluster_kube import KubeCluster, KubeClusterSettings, Kubeconfig
from headrace.runtime.cluster_memory import MemoryCluster, MemoryClusterSettings
from headrace_lab.lab import Lab

DEADLINE_SECONDS = 25.0

_numbers = itertools.count(1)


@dataclass
class World:
    """One cluster, and a namespace of one's own in it."""

    cluster: Cluster
    namespace: str

    async def create(self, resource: Resource, name: str, **body: Any) -> Manifest:
        labels = body.pop("labels", {})
        extra = body.pop("metadata", {})
        metadata = {"name": name, "namespace": self.namespace, "labels": labels, **extra}
        return await self.cluster.create(resource, {"metadata": metadata, **body})

    async def get(self, resource: Resource, name: str) -> Manifest:
        return await self.cluster.get(resource, self.namespace, name)

    async def patch(self, resource: Resource, name: str, body: dict[str, Any]) -> Manifest:
        return await self.cluster.patch(resource, self.namespace, name, MergePatch(body))

    async def patch_status(self, resource: Resource, name: str, body: dict[str, Any]) -> Manifest:
        return await self.cluster.patch(
            resource, self.namespace, name, MergePatch(body), subresource="status"
        )

    async def json_patch(
        self, resource: Resource, name: str, *operations: dict[str, Any]
    ) -> Manifest:
        return await self.cluster.patch(resource, self.namespace, name, JsonPatch(operations))

    async def delete(self, resource: Resource, name: str, **options: Any) -> None:
        await self.cluster.delete(resource, self.namespace, name, **options)

    async def list(self, resource: Resource, **selectors: str) -> tuple[Manifest, ...]:
        listing = await self.cluster.list(resource, Selection(self.namespace, **selectors))
        return listing.items

    async def version(self, resource: Resource) -> str:
        return (await self.cluster.list(resource, Selection(self.namespace))).resource_version

    async def take(
        self, resource: Resource, since: str, count: int, **selectors: str
    ) -> Sequence[WatchEvent]:
        """Return the next `count` changes after a version, bookmarks aside."""
        selection = Selection(self.namespace, **selectors)
        found: list[WatchEvent] = []
        async with (
            asyncio.timeout(DEADLINE_SECONDS),
            aclosing(self.cluster.watch(resource, selection, since)) as events,
        ):
            async for event in events:
                if event.type != "BOOKMARK":
                    found.append(event)
                if len(found) == count:
                    return found
        raise AssertionError(f"the watch ended after {found}")

    async def gone(self, resource: Resource, name: str) -> bool:
        try:
            await self.get(resource, name)
        except NotFound:
            return True
        return False


T = TypeVar("T")


async def eventually(read: Callable[[], Awaitable[T]], holds: Callable[[T], bool]) -> T:
    value = await read()
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not holds(value):
                await asyncio.sleep(0.05)
                value = await read()
    except TimeoutError:
        pytest.fail(f"never came true, last seen: {value}")
    return value


def replica_set(name: str, replicas: int, **spec: Any) -> dict[str, Any]:
    """Return labels and spec of a ReplicaSet."""
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": "registry.test/pause:v1"}],
        },
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, **spec}
    return {"labels": labels, "spec": {**spec, "template": template}}


def job(command: str, **spec: Any) -> dict[str, Any]:
    """Return the spec of a Job that runs a shell command."""
    container = {"name": "main", "image": "busybox:v1", "command": ["sh", "-c", command]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {"spec": {"template": template, **spec}}


def rollout(replicas: int = 1) -> dict[str, Any]:
    """Return the spec of a Rollout."""
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "registry.test/pause:v1"}]},
    }
    selector = {"matchLabels": {"app": "web"}}
    strategy = {"canary": {"steps": [{"setWeight": 10}]}}
    spec = {"replicas": replicas, "selector": selector, "template": template}
    return {"spec": {**spec, "strategy": strategy}}


def owned_by(owner: Manifest) -> dict[str, Any]:
    """Return metadata that names an owner."""
    reference = {key: owner[key] for key in ("apiVersion", "kind")}
    reference |= {key: owner["metadata"][key] for key in ("name", "uid")}
    return {"ownerReferences": [{**reference, "controller": True, "blockOwnerDeletion": True}]}


def version_of(manifest: Manifest) -> int:
    return int(manifest["metadata"]["resourceVersion"])


def names(manifests: tuple[Manifest, ...]) -> list[str]:
    return [manifest["metadata"]["name"] for manifest in manifests]


class ClusterContract:
    """Inherited by one class per adapter, which gives the `world`."""

    # Reading and creating.

    async def test_stores_what_was_created(self, world: World) -> None:
        created = await world.create(CONFIG_MAPS, "a", data={"key": "value"}, labels={"app": "x"})
        metadata = created["metadata"]
        assert created["data"] == {"key": "value"}
        assert (created["kind"], created["apiVersion"]) == ("ConfigMap", "v1")
        assert metadata["uid"]
        assert version_of(created) > 0
        assert metadata["creationTimestamp"].endswith("Z")
        assert await world.get(CONFIG_MAPS, "a") == created

    async def test_readers_cannot_change_what_is_stored(self, world: World) -> None:
        created = await world.create(CONFIG_MAPS, "a", data={"key": "value"})
        created["data"]["key"] = "changed"
        found = await world.get(CONFIG_MAPS, "a")
        found["data"]["key"] = "changed"
        assert (await world.get(CONFIG_MAPS, "a"))["data"] == {"key": "value"}

    async def test_refuses_a_second_object_of_the_same_name(self, world: World) -> None:
        await world.create(CONFIG_MAPS, "a")
        with pytest.raises(AlreadyExists):
            await world.create(CONFIG_MAPS, "a")

    async def test_completes_a_generated_name(self, world: World) -> None:
        metadata = {"generateName": "job-", "namespace": world.namespace}
        created = await world.cluster.create(CONFIG_MAPS, {"metadata": metadata})
        name = created["metadata"]["name"]
        assert name.startswith("job-")
        assert len(name) > len("job-")

    async def test_says_what_does_not_exist(self, world: World) -> None:
        with pytest.raises(NotFound):
            await world.get(CONFIG_MAPS, "absent")
        with pytest.raises(NotFound):
            await world.patch(CONFIG_MAPS, "absent", {"data": {}})
        with pytest.raises(NotFound):
            await world.delete(CONFIG_MAPS, "absent")
        with pytest.raises(NotFound):
            await world.cluster.list(Resource("absent.example.com", "v1", "things", "Thing"))

    async def test_refuses_an_object_without_a_name(self, world: World) -> None:
        with pytest.raises(Rejected):
            await world.cluster.create(
                CONFIG_MAPS, {"metadata": {"namespace": world.namespace}, "data": {}}
            )

    async def test_lists_by_namespace_and_selector(self, world: World) -> None:
        for name, labels in (("a", {"app": "x"}), ("b", {"app": "y"}), ("c", {"tier": "t"})):
            await world.create(CONFIG_MAPS, name, labels={**labels, "own": "yes"})
        assert names(await world.list(CONFIG_MAPS, labels="own")) == ["a", "b", "c"]
        assert names(await world.list(CONFIG_MAPS, labels="app=x")) == ["a"]
        assert names(await world.list(CONFIG_MAPS, labels="own=yes,app!=x")) == ["b", "c"]
        assert names(await world.list(CONFIG_MAPS, labels="app in (x, y)")) == ["a", "b"]
        assert names(await world.list(CONFIG_MAPS, labels="own,app notin (x,z)")) == ["b", "c"]
        assert names(await world.list(CONFIG_MAPS, labels="own,!app")) == ["c"]
        assert names(await world.list(CONFIG_MAPS, fields="metadata.name=b")) == ["b"]
        everywhere = await world.cluster.list(CONFIG_MAPS, Selection(labels="own=yes"))
        assert set(names(everywhere.items)) >= {"a", "b", "c"}

    async def test_listed_objects_are_complete(self, world: World) -> None:
        created = await world.create(CONFIG_MAPS, "a", data={"key": "value"})
        assert await world.list(CONFIG_MAPS, fields="metadata.name=a") == (created,)

    async def test_refuses_a_malformed_selector(self, world: World) -> None:
        with pytest.raises(Rejected):
            await world.list(CONFIG_MAPS, labels="app in x")

    # Patching.

    async def test_a_merge_patch_changes_only_what_it_names(self, world: World) -> None:
        created = await world.create(CONFIG_MAPS, "a", data={"x": "1", "y": "2"})
        patched = await world.patch(CONFIG_MAPS, "a", {"data": {"x": "3", "y": None}})
        assert patched["data"] == {"x": "3"}
        assert patched["metadata"]["uid"] == created["metadata"]["uid"]
        assert version_of(patched) > version_of(created)
        assert await world.get(CONFIG_MAPS, "a") == patched

    async def test_a_patch_that_changes_nothing_is_no_write(self, world: World) -> None:
        created = await world.create(CONFIG_MAPS, "a", data={"x": "1"})
        patched = await world.patch(CONFIG_MAPS, "a", {"data": {"x": "1"}})
        assert version_of(patched) == version_of(created)

    async def test_a_patch_of_an_older_version_is_a_conflict(self, world: World) -> None:
        created = await world.create(CONFIG_MAPS, "a", data={"x": "1"})
        version = created["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": version}, "data": {"x": "2"}}
        patched = await world.patch(CONFIG_MAPS, "a", patch)
        with pytest.raises(Conflict) as caught:
            await world.patch(CONFIG_MAPS, "a", patch)
        assert type(caught.value) is Conflict
        assert await world.get(CONFIG_MAPS, "a") == patched

    async def test_replaces_a_whole_object(self, world: World) -> None:
        created = await world.create(CONFIG_MAPS, "a", data={"x": "1", "y": "2"})
        replaced = await world.cluster.replace(CONFIG_MAPS, {**created, "data": {"z": "3"}})
        assert replaced["data"] == {"z": "3"}
        assert await world.get(CONFIG_MAPS, "a") == replaced

    async def test_replacing_leaves_the_status_alone(self, world: World) -> None:
        created = await world.create(ROLLOUTS, "web", **rollout())
        await world.patch_status(ROLLOUTS, "web", {"status": {"phase": "Paused"}})
        read = await world.get(ROLLOUTS, "web")
        changed = {**read, "spec": {**read["spec"], "paused": True}, "status": {"phase": "Healthy"}}
        replaced = await world.cluster.replace(ROLLOUTS, changed)
        assert replaced["spec"]["paused"] is True
        assert replaced["status"] == {"phase": "Paused"}
        assert replaced["metadata"]["generation"] == created["metadata"]["generation"] + 1

    async def test_replacing_an_older_version_is_a_conflict(self, world: World) -> None:
        created = await world.create(CONFIG_MAPS, "a", data={"x": "1"})
        replaced = await world.cluster.replace(CONFIG_MAPS, {**created, "data": {"x": "2"}})
        with pytest.raises(Conflict):
            await world.cluster.replace(CONFIG_MAPS, {**created, "data": {"x": "3"}})
        assert await world.get(CONFIG_MAPS, "a") == replaced

    async def test_what_does_not_exist_cannot_be_replaced(self, world: World) -> None:
        created = await world.create(CONFIG_MAPS, "a")
        await world.delete(CONFIG_MAPS, "a")
        with pytest.raises(NotFound):
            await world.cluster.replace(CONFIG_MAPS, created)

    async def test_identity_cannot_be_patched(self, world: World) -> None:
        await world.create(CONFIG_MAPS, "a")
        for metadata in ({"uid": "other"}, {"name": "b"}):
            with pytest.raises(Rejected):
                await world.patch(CONFIG_MAPS, "a", {"metadata": metadata})

    async def test_a_json_patch_holds_when_its_tests_do(self, world: World) -> None:
        created = await world.create(
            CONFIG_MAPS, "a", data={"x": "1"}, metadata={"annotations": {"example.com/a": "1"}}
        )
        annotation = pointer("metadata", "annotations", "example.com/a")
        patched = await world.json_patch(
            CONFIG_MAPS,
            "a",
            {
                "op": "test",
                "path": "/metadata/resourceVersion",
                "value": created["metadata"]["resourceVersion"],
            },
            {"op": "test", "path": annotation, "value": "1"},
            {"op": "test", "path": "/data/absent", "value": None},
            {"op": "replace", "path": annotation, "value": "2"},
            {"op": "replace", "path": "/data/new", "value": "3"},
            {"op": "move", "from": "/data/x", "path": "/data/y"},
            {"op": "copy", "from": "/data/y", "path": "/data/z"},
            {"op": "remove", "path": "/data/y"},
        )
        assert patched["metadata"]["annotations"] == {"example.com/a": "2"}
        assert patched["data"] == {"new": "3", "z": "1"}

    @pytest.mark.parametrize(
        "operation",
        [
            {"op": "test", "path": "/data/x", "value": "2"},
            {"op": "test", "path": "/data/x", "value": None},
            {"op": "test", "path": "/binaryData/x", "value": "1"},
            {"op": "remove", "path": "/data/absent"},
            {"op": "add", "path": "/absent/x/y", "value": "1"},
        ],
    )
    async def test_a_json_patch_fails_when_the_object_differs(
        self, world: World, operation: dict[str, Any]
    ) -> None:
        created = await world.create(CONFIG_MAPS, "a", data={"x": "1"})
        change = {"op": "add", "path": "/data/z", "value": "1"}
        with pytest.raises(PreconditionFailed):
            await world.json_patch(CONFIG_MAPS, "a", change, operation)
        assert await world.get(CONFIG_MAPS, "a") == created

    # Status and generation.

    async def test_status_is_written_only_through_its_subresource(self, world: World) -> None:
        created = await world.create(ROLLOUTS, "web", **rollout(), status={"phase": "Healthy"})
        assert "status" not in created
        both = {"spec": {"replicas": 2}, "status": {"phase": "Paused"}}
        patched = await world.patch(ROLLOUTS, "web", both)
        assert patched["spec"]["replicas"] == 2
        assert "status" not in patched
        both = {"spec": {"replicas": 3}, "status": {"phase": "Paused"}}
        patched = await world.patch_status(
            ROLLOUTS, "web", {**both, "metadata": {"labels": {"own": "yes"}}}
        )
        assert patched["spec"]["replicas"] == 2
        assert patched["status"] == {"phase": "Paused"}
        assert "labels" not in patched["metadata"]

    async def test_a_status_patch_of_an_older_version_is_a_conflict(self, world: World) -> None:
        created = await world.create(ROLLOUTS, "web", **rollout())
        await world.patch(ROLLOUTS, "web", {"spec": {"replicas": 2}})
        version = created["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": version}, "status": {"phase": "Paused"}}
        with pytest.raises(Conflict):
            await world.patch_status(ROLLOUTS, "web", patch)

    async def test_keeps_our_part_of_the_status(self, world: World) -> None:
        await world.create(ROLLOUTS, "web", **rollout())
        patched = await world.patch_status(
            ROLLOUTS, "web", {"status": {"headrace": {"waiting": {"reason": "RouteNotApplied"}}}}
        )
        assert patched["status"]["headrace"]["waiting"]["reason"] == "RouteNotApplied"

    async def test_generation_counts_changes_of_the_spec(self, world: World) -> None:
        created = await world.create(ROLLOUTS, "web", **rollout())
        assert created["metadata"]["generation"] == 1
        patched = await world.patch(ROLLOUTS, "web", {"metadata": {"labels": {"own": "yes"}}})
        assert patched["metadata"]["generation"] == 1
        patched = await world.patch_status(ROLLOUTS, "web", {"status": {"phase": "Paused"}})
        assert patched["metadata"]["generation"] == 1
        patched = await world.patch(ROLLOUTS, "web", {"spec": {"replicas": 5}})
        assert patched["metadata"]["generation"] == 2

    async def test_without_a_subresource_status_is_a_field_like_others(self, world: World) -> None:
        spec: dict[str, Any] = {"metrics": []}
        created = await world.create(ANALYSIS_RUNS, "run", spec=spec, status={"phase": "Pending"})
        assert created["status"] == {"phase": "Pending"}
        patched = await world.patch(ANALYSIS_RUNS, "run", {"status": {"phase": "Running"}})
        assert patched["status"] == {"phase": "Running"}
        assert patched["metadata"]["generation"] == 2
        patched = await world.patch(ANALYSIS_RUNS, "run", {"metadata": {"labels": {"a": "b"}}})
        assert patched["metadata"]["generation"] == 2
        with pytest.raises(NotFound):
            await world.patch_status(ANALYSIS_RUNS, "run", {"status": {"phase": "Failed"}})

    async def test_the_oldest_kinds_have_no_generation(self, world: World) -> None:
        secret = await world.create(SECRETS, "a", stringData={"x": "1"})
        config = await world.create(CONFIG_MAPS, "a")
        lease = await world.create(LEASES, "a", spec={"holderIdentity": "me"})
        service = await world.create(
            SERVICES, "a", spec={"ports": [{"port": 80}], "selector": {"app": "x"}}
        )
        for manifest in (secret, config, lease, service):
            assert "generation" not in manifest["metadata"]

    # Deleting.

    async def test_deletes_only_under_its_preconditions(self, world: World) -> None:
        created = await world.create(CONFIG_MAPS, "a")
        uid, version = (created["metadata"][key] for key in ("uid", "resourceVersion"))
        await world.patch(CONFIG_MAPS, "a", {"data": {"x": "1"}})
        with pytest.raises(PreconditionFailed):
            await world.delete(CONFIG_MAPS, "a", uid="other")
        with pytest.raises(PreconditionFailed):
            await world.delete(CONFIG_MAPS, "a", uid=uid, resource_version=version)
        await world.delete(CONFIG_MAPS, "a", uid=uid)
        assert await world.gone(CONFIG_MAPS, "a")

    async def test_a_finalizer_holds_what_is_deleted(self, world: World) -> None:
        metadata = {"finalizers": ["headrace.io/test"]}
        created = await world.create(ROLLOUTS, "web", **rollout(), metadata=metadata)
        assert created["metadata"]["generation"] == 1
        await world.delete(ROLLOUTS, "web")
        held = await world.get(ROLLOUTS, "web")
        assert held["metadata"]["deletionTimestamp"]
        assert held["metadata"]["generation"] == 2
        await world.patch(ROLLOUTS, "web", {"metadata": {"finalizers": None}})
        assert await world.gone(ROLLOUTS, "web")

    async def test_a_created_again_object_is_another_one(self, world: World) -> None:
        first = await world.create(CONFIG_MAPS, "a")
        await world.delete(CONFIG_MAPS, "a")
        second = await world.create(CONFIG_MAPS, "a")
        assert second["metadata"]["uid"] != first["metadata"]["uid"]
        assert version_of(second) > version_of(first) + 1

    async def test_objects_go_with_their_owner(self, world: World) -> None:
        owner = await world.create(CONFIG_MAPS, "owner")
        await world.create(CONFIG_MAPS, "owned", metadata=owned_by(owner))
        await world.create(CONFIG_MAPS, "other")
        await world.delete(CONFIG_MAPS, "owner")
        await eventually(lambda: world.gone(CONFIG_MAPS, "owned"), bool)
        assert not await world.gone(CONFIG_MAPS, "other")

    async def test_objects_of_an_absent_owner_go_too(self, world: World) -> None:
        owner = await world.create(CONFIG_MAPS, "owner")
        await world.delete(CONFIG_MAPS, "owner")
        await world.create(CONFIG_MAPS, "owned", metadata=owned_by(owner))
        await eventually(lambda: world.gone(CONFIG_MAPS, "owned"), bool)

    async def test_orphans_stay(self, world: World) -> None:
        owner = await world.create(CONFIG_MAPS, "owner")
        await world.create(CONFIG_MAPS, "owned", metadata=owned_by(owner))
        await world.delete(CONFIG_MAPS, "owner", propagation="Orphan")
        await eventually(lambda: world.gone(CONFIG_MAPS, "owner"), bool)
        owned = await world.get(CONFIG_MAPS, "owned")
        assert "ownerReferences" not in owned["metadata"]

    async def test_a_foreground_deletion_waits_for_what_is_owned(self, world: World) -> None:
        owner = await world.create(CONFIG_MAPS, "owner")
        metadata = {**owned_by(owner), "finalizers": ["headrace.io/test"]}
        await world.create(CONFIG_MAPS, "owned", metadata=metadata)
        await world.delete(CONFIG_MAPS, "owner", propagation="Foreground")
        await eventually(
            lambda: world.get(CONFIG_MAPS, "owned"),
            lambda owned: "deletionTimestamp" in owned["metadata"],
        )
        assert not await world.gone(CONFIG_MAPS, "owner")
        await eventually(
            lambda: world.get(CONFIG_MAPS, "owned"),
            lambda owned: "headrace.io/test" in owned["metadata"]["finalizers"],
        )
        await world.patch(CONFIG_MAPS, "owned", {"metadata": {"finalizers": None}})
        await eventually(lambda: world.gone(CONFIG_MAPS, "owner"), bool)

    # Watching.

    async def test_watches_what_happens_after_a_list(self, world: World) -> None:
        await world.create(CONFIG_MAPS, "before")
        since = await world.version(CONFIG_MAPS)
        created = await world.create(CONFIG_MAPS, "a", data={"x": "1"})
        patched = await world.patch(CONFIG_MAPS, "a", {"data": {"x": "2"}})
        await world.delete(CONFIG_MAPS, "a")
        added, modified, deleted = await world.take(CONFIG_MAPS, since, 3)
        assert (added.type, added.manifest) == ("ADDED", created)
        assert (modified.type, modified.manifest) == ("MODIFIED", patched)
        assert deleted.type == "DELETED"
        assert deleted.manifest["metadata"]["uid"] == created["metadata"]["uid"]
        assert version_of(deleted.manifest) > version_of(patched)

    async def test_a_watch_brings_what_happens_while_it_waits(self, world: World) -> None:
        since = await world.version(CONFIG_MAPS)
        task = asyncio.create_task(world.take(CONFIG_MAPS, since, 1))
        await asyncio.sleep(0.2)
        created = await world.create(CONFIG_MAPS, "a")
        assert [event.manifest for event in await task] == [created]

    async def test_leaving_the_selection_is_a_deletion(self, world: World) -> None:
        since = await world.version(CONFIG_MAPS)
        await world.create(CONFIG_MAPS, "b", labels={"own": "no"})
        await world.create(CONFIG_MAPS, "a", labels={"own": "yes"})
        left = await world.patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"own": "no"}}})
        await world.patch(CONFIG_MAPS, "a", {"data": {"x": "1"}})
        await world.patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"own": "yes"}}})
        events = await world.take(CONFIG_MAPS, since, 3, labels="own=yes")
        assert [event.type for event in events] == ["ADDED", "DELETED", "ADDED"]
        assert version_of(events[1].manifest) == version_of(left)

    # What the cluster does by itself.

    async def test_a_replica_set_makes_pods_and_counts_them(self, world: World) -> None:
        created = await world.create(REPLICA_SETS, "web", **replica_set("web", 2))
        assert created["metadata"]["generation"] == 1
        settled = await eventually(
            lambda: world.get(REPLICA_SETS, "web"),
            lambda found: found["status"].get("availableReplicas") == 2,
        )
        counts = ("replicas", "fullyLabeledReplicas", "readyReplicas", "observedGeneration")
        assert [settled["status"][count] for count in counts] == [2, 2, 2, 1]
        pods = await world.list(PODS, labels="app=web")
        assert len(pods) == 2
        for pod in pods:
            assert pod["metadata"]["name"].startswith("web-")
            owner = pod["metadata"]["ownerReferences"][0]
            assert owner["uid"] == created["metadata"]["uid"]
            assert owner["controller"] is True
            assert pod["metadata"]["generation"] >= 1
            assert pod["status"]["phase"] == "Running"
            ready = {found["type"]: found["status"] for found in pod["status"]["conditions"]}
            assert ready["Ready"] == "True"
            assert pod["status"]["containerStatuses"][0]["ready"] is True
            assert pod["status"]["podIP"]

    async def test_a_replica_set_follows_its_replicas(self, world: World) -> None:
        await world.create(REPLICA_SETS, "web", **replica_set("web", 1))
        patched = await world.patch(REPLICA_SETS, "web", {"spec": {"replicas": 3}})
        assert patched["metadata"]["generation"] == 2
        await eventually(
            lambda: world.get(REPLICA_SETS, "web"),
            lambda found: found["status"].get("readyReplicas") == 3,
        )
        await world.patch(REPLICA_SETS, "web", {"spec": {"replicas": 0}})
        settled = await eventually(
            lambda: world.get(REPLICA_SETS, "web"),
            lambda found: (
                found["status"].get("observedGeneration") == 3 and found["status"]["replicas"] == 0
            ),
        )
        assert "readyReplicas" not in settled["status"]
        await eventually(lambda: world.list(PODS, labels="app=web"), lambda pods: not pods)

    async def test_a_replica_set_counts_a_pod_available_after_a_while(self, world: World) -> None:
        await world.create(REPLICA_SETS, "web", **replica_set("web", 1, minReadySeconds=2))
        ready = await eventually(
            lambda: world.get(REPLICA_SETS, "web"),
            lambda found: found["status"].get("readyReplicas") == 1,
        )
        assert "availableReplicas" not in ready["status"]
        await eventually(
            lambda: world.get(REPLICA_SETS, "web"),
            lambda found: found["status"].get("availableReplicas") == 1,
        )

    async def test_a_deleted_pod_is_replaced(self, world: World) -> None:
        await world.create(REPLICA_SETS, "web", **replica_set("web", 1))
        pods = await eventually(lambda: world.list(PODS, labels="app=web"), bool)
        (name,) = names(pods)
        await world.delete(PODS, name)
        await eventually(
            lambda: world.list(PODS, labels="app=web"),
            lambda found: len(found) == 1 and names(found) != [name],
        )

    async def test_pods_go_with_their_replica_set(self, world: World) -> None:
        await world.create(REPLICA_SETS, "web", **replica_set("web", 2))
        await eventually(lambda: world.list(PODS, labels="app=web"), lambda found: len(found) == 2)
        await world.delete(REPLICA_SETS, "web")
        await eventually(lambda: world.list(PODS, labels="app=web"), lambda found: not found)

    async def test_an_eviction_obeys_the_budget(self, world: World) -> None:
        await world.create(REPLICA_SETS, "web", **replica_set("web", 2))
        await eventually(
            lambda: world.get(REPLICA_SETS, "web"),
            lambda found: found["status"].get("availableReplicas") == 2,
        )
        selector = {"matchLabels": {"app": "web"}}
        await world.create(
            POD_DISRUPTION_BUDGETS, "web", spec={"minAvailable": 2, "selector": selector}
        )
        name = names(await world.list(PODS, labels="app=web"))[0]
        with pytest.raises(RateLimited):
            await world.cluster.evict(world.namespace, name)
        with pytest.raises(NotFound):
            await world.cluster.evict(world.namespace, "absent")
        await world.patch(POD_DISRUPTION_BUDGETS, "web", {"spec": {"minAvailable": 1}})

        async def is_evicted() -> bool:
            try:
                await world.cluster.evict(world.namespace, name)
            except RateLimited:
                return False
            return True

        await eventually(is_evicted, bool)
        await eventually(lambda: world.gone(PODS, name), bool)

    async def test_evicts_only_the_pod_that_was_meant(self, world: World) -> None:
        await world.create(REPLICA_SETS, "web", **replica_set("web", 1))
        (pod,) = await eventually(lambda: world.list(PODS, labels="app=web"), bool)
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        with pytest.raises(PreconditionFailed):
            await world.cluster.evict(world.namespace, name, uid="other")
        await world.cluster.evict(world.namespace, name, uid=uid)
        await eventually(lambda: world.gone(PODS, name), bool)

    async def test_jobs_complete_and_fail(self, world: World) -> None:
        await world.create(JOBS, "good", **job("sleep 1; exit 0"))
        await world.create(JOBS, "bad", **job("exit 3", backoffLimit=0))

        def has(condition: str) -> Callable[[Manifest], bool]:
            return lambda found: any(
                entry["type"] == condition and entry["status"] == "True"
                for entry in found.get("status", {}).get("conditions", ())
            )

        good = await eventually(lambda: world.get(JOBS, "good"), has("Complete"))
        bad = await eventually(lambda: world.get(JOBS, "bad"), has("Failed"))
        assert good["status"]["succeeded"] == 1
        assert good["status"]["completionTime"]
        assert bad["status"]["failed"] == 1

    # Discovery.

    async def test_says_which_versions_are_served(self, world: World) -> None:
        assert await world.cluster.versions("argoproj.io") == ("v1alpha1",)
        assert await world.cluster.versions("") == ("v1",)
        assert await world.cluster.versions("absent.example.com") == ()
        smi = await world.cluster.versions("split.smi-spec.io")
        assert smi[0] == "v1alpha4"
        assert set(smi) == {"v1alpha1", "v1alpha2", "v1alpha3", "v1alpha4"}

    async def test_serves_one_object_at_each_version(self, world: World) -> None:
        newest = TRAFFIC_SPLITS.at_version("v1alpha4")
        await world.create(TRAFFIC_SPLITS.at_version("v1alpha2"), "web", spec={"service": "web"})
        found = await world.get(newest, "web")
        assert found["apiVersion"] == "split.smi-spec.io/v1alpha4"
        (listed,) = await world.list(newest)
        assert listed == found
        with pytest.raises(NotFound):
            await world.get(TRAFFIC_SPLITS.at_version("v9"), "web")

    async def test_publishes_the_schema_of_our_status(self, world: World) -> None:
        document = await world.cluster.openapi("argoproj.io", "v1alpha1")
        schemas = document["components"]["schemas"].values()
        kind = {"group": "argoproj.io", "version": "v1alpha1", "kind": "Rollout"}
        (schema,) = (
            found for found in schemas if kind in found.get("x-kubernetes-group-version-kind", ())
        )
        assert "headrace" in schema["properties"]["status"]["properties"]
        with pytest.raises(NotFound):
            await world.cluster.openapi("absent.example.com", "v1")

    async def test_knows_the_servers_time(self, world: World) -> None:
        for _ in range(20):
            await world.list(CONFIG_MAPS)
        offset = world.cluster.server_offset_seconds()
        assert offset is not None
        assert abs(offset) < 1.0


class TestMemoryCluster(ClusterContract):
    @pytest.fixture
    async def world(self) -> AsyncIterator[World]:
        settings = MemoryClusterSettings(pod_ready_seconds=0.05, pod_termination_seconds=0.05)
        memory = MemoryCluster(SystemClock(), settings)
        running = asyncio.create_task(memory.run())
        yield World(memory.client("test"), "contract")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    async def test_a_forgotten_version_has_expired(self) -> None:
        # On the real server, which must be killed for it: tests/integration/test_reflector.py.
        memory = MemoryCluster(SystemClock())
        world = World(memory.client("test"), "contract")
        await world.create(CONFIG_MAPS, "a")
        memory.expire_watches()
        with pytest.raises(Expired):
            await world.take(CONFIG_MAPS, "1", 1)


@pytest.mark.lab
class TestKubeCluster(ClusterContract):
    @pytest.fixture
    def kubeconfig(self) -> Kubeconfig:
        return Kubeconfig(str(Lab.attach().kubeconfig("admin")))

    @pytest.fixture
    async def world(self, kubeconfig: Kubeconfig) -> AsyncIterator[World]:
        settings = KubeClusterSettings(page_length=2, watch_seconds=4)
        cluster = await KubeCluster.connect(kubeconfig, clock=SystemClock(), settings=settings)
        name = f"contract-{os.getpid()}-{next(_numbers)}"
        await cluster.create(NAMESPACES, {"metadata": {"name": name}})
        yield World(cluster, name)
        await cluster.delete(NAMESPACES, None, name)
        await cluster.close()

    async def test_a_watch_ends_with_a_bookmark(self, kubeconfig: Kubeconfig) -> None:
        settings = KubeClusterSettings(watch_seconds=8)
        cluster = await KubeCluster.connect(kubeconfig, clock=SystemClock(), settings=settings)
        listing = await cluster.list(LEASES, Selection("kube-public"))
        events = cluster.watch(LEASES, Selection("kube-public"), listing.resource_version)
        assert {event.type async for event in events} == {"BOOKMARK"}
        await cluster.close()

    async def test_an_unknown_token_is_forbidden(
        self, tmp_path: Path, kubeconfig: Kubeconfig
    ) -> None:
        assert kubeconfig.path is not None
        text = Path(kubeconfig.path).read_text()
        config = orjson.loads(text)
        config["users"][0]["user"] = {"token": "unknown"}
        path = tmp_path / "kubeconfig"
        path.write_bytes(orjson.dumps(config))
        cluster = await KubeCluster.connect(Kubeconfig(str(path)), clock=SystemClock())
        with pytest.raises(Forbidden):
            await cluster.list(CONFIG_MAPS)
        await cluster.close()
