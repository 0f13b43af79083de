"""Each service on a cluster that lets it do only what `deploy/base/rbac` says, over a whole story.

What a service may and never does in the story is listed here with the reason, so that a right
that is not needed any more is found, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from memory_ports import HOME, parts_of, ports_of, serving

from analysis_runner.core.samples import Samples
from analysis_runner.providers.provider import InstantProvider, Provider, RunContext
from analysis_runner.runner import AnalysisRunner
from analysis_runner.settings import RunnerSettings
from headrace import intents
from headrace.errors import Forbidden
from headrace.expression.values import floats
from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    ANALYSIS_TEMPLATES,
    EXPERIMENTS,
    NAMESPACES,
    ROLLOUTS,
    SECRETS,
    SERVICES,
    TRAFFIC_SPLITS,
    Manifest,
)
from headrace.model.analysis import Metric
from headrace.model.route import Fence
from headrace.routes import stamp
from headrace.runtime.bus_memory import MemoryBroker
from headrace.runtime.clock import SystemClock
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import MemoryCluster, MemoryClusterSettings, Request
from headrace.runtime.component import Ports
from headrace.runtime.process import Component
from headrace.runtime.service import Service
from rollout_controller.controller import RolloutController
from rollout_controller.settings import ControllerSettings
from traffic_router.router import TrafficRouter
from traffic_router.settings import RouterSettings

RBAC = Path(__file__).parents[2] / "deploy" / "base" / "rbac"
SERVICE_NAMES = ("rollout-controller", "traffic-router", "analysis-runner")
WAIT_SECONDS = 20.0

Right = tuple[str, str]
"""Verb and resource, as in `("patch", "rollouts/status")`."""

CONFLICT = "after a 409 the live object is read"
NOT_IN_MEMORY = "the kind is not served by the memory cluster of this story"
ADMISSION = "asked for by an admission plugin, not by a request"
UNUSED: Mapping[str, Mapping[Right, str]] = {
    "rollout-controller": {
        ("update", "rollouts/finalizers"): ADMISSION,
        ("update", "experiments/finalizers"): ADMISSION,
        ("get", "rollouts"): CONFLICT,
        ("get", "experiments"): CONFLICT,
        ("get", "replicasets"): CONFLICT,
        ("get", "services"): CONFLICT,
        ("get", "analysisruns"): "after a 409, or when an event is ahead of the watch",
        ("get", "pods"): CONFLICT,
        ("get", "trafficsplits"): "only when an acknowledgement is late",
        ("get", "secrets"): "only for the headers of a step plugin's worker",
        ("get", "httproutes"): NOT_IN_MEMORY,
        ("list", "httproutes"): NOT_IN_MEMORY,
        **{
            (verb, resource): "only while a Rollout refers to a workload"
            for resource in ("deployments", "podtemplates")
            for verb in ("get", "list", "watch")
        },
        ("patch", "deployments"): "only when workloadRef.scaleDown says so",
    },
    "traffic-router": {
        ("update", "rollouts/finalizers"): ADMISSION,
        ("get", "trafficsplits"): CONFLICT,
        ("get", "httproutes"): CONFLICT,
        ("list", "httproutes"): NOT_IN_MEMORY,
        ("watch", "httproutes"): NOT_IN_MEMORY,
        ("patch", "httproutes"): NOT_IN_MEMORY,
    },
    "analysis-runner": {("get", "analysisruns"): CONFLICT},
}


class Rights:
    """What one service may do, from its file.

    Attributes:
        anywhere: By the ClusterRole.
        at_home: By the Role, in the namespace of the services.
        used: What was asked for and allowed.
        refused: What was asked for and is not granted.
    """

    def __init__(self, service: str) -> None:
        documents = list(yaml.safe_load_all((RBAC / f"{service}.yaml").read_text()))
        self.anywhere: dict[Right, frozenset[str]] = {}
        self.at_home: dict[Right, frozenset[str]] = {}
        self.used: set[Right] = set()
        self.refused: list[Request] = []
        for document in documents:
            granted = self.anywhere if document["kind"] == "ClusterRole" else self.at_home
            for rule in document.get("rules", ()):
                names = frozenset(rule.get("resourceNames", ()))
                for resource in rule["resources"]:
                    granted.update({(verb, resource): names for verb in rule["verbs"]})

    def check(self, request: Request) -> None:
        """Raise Forbidden where the API server would."""
        if request.verb == "discover":
            return  # granted to everybody by the role system:discovery
        suffix = f"/{request.subresource}" if request.subresource else ""
        right = (request.verb, request.resource + suffix)
        scopes = [self.anywhere] + ([self.at_home] if request.namespace == HOME else [])
        for granted in scopes:
            names = granted.get(right)
            if names is not None and (not names or request.name in names):
                self.used.add(right)
                return
        self.refused.append(request)
        raise Forbidden(f"{request.identity} may not {right[0]} {right[1]}")

    @property
    def granted(self) -> set[Right]:
        return {*self.anywhere, *self.at_home}


class AlwaysGood(InstantProvider):
    """A metrics store that knows nothing bad."""

    def address(self, metric: Metric) -> str:
        return "always-good"

    def metadata(self, metric: Metric) -> Mapping[str, str]:
        return {}

    async def run(self, metric: Metric, context: RunContext) -> Samples:
        return Samples(floats([1.0]), "[1]")


class World:
    """Three services, each with an identity of its own, and a person."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        settings = MemoryClusterSettings(pod_ready_seconds=0.05, pod_termination_seconds=0.05)
        self.cluster = MemoryCluster(self.clock, settings)
        self.person = self.cluster.client("person")
        self.rights = {name: Rights(name) for name in SERVICE_NAMES}
        self.broker = MemoryBroker()

    def admit(self, request: Request) -> None:
        rights = self.rights.get(request.identity)
        if rights is not None:
            rights.check(request)

    async def services(self) -> list[Service]:
        self.cluster.intercept = self.admit
        kubernetes = await self.person.get(NAMESPACES, None, "kube-system")
        uid = kubernetes["metadata"]["uid"]
        return [self._service(name, uid) for name in SERVICE_NAMES]

    def _service(self, name: Any, source: str) -> Service:
        ports = ports_of(name, self.cluster, self.broker, self.clock, source=source)
        component = _component(name, ports)

        async def look() -> str:
            """What a process reads before anything else."""
            await ports.cluster.get(NAMESPACES, None, "kube-system")
            return ""

        return Service(name, checks=(look,), parts=parts_of(ports, component))

    async def patch(self, patches: intents.Patches) -> None:
        if patches.status is not None:
            body = MergePatch({"status": patches.status})
            await self.person.patch(ROLLOUTS, "default", "app", body, subresource="status")
        if patches.spec is not None:
            await self.person.patch(ROLLOUTS, "default", "app", MergePatch({"spec": patches.spec}))

    async def rollout(self) -> Manifest:
        return await self.person.get(ROLLOUTS, "default", "app")

    async def status(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = (await self.rollout()).get("status") or {}
        return found

    async def until(self, what: str, is_so: Callable[[Mapping[str, Any]], bool]) -> None:
        """Wait for a condition on the status."""
        deadline = self.clock.monotonic() + WAIT_SECONDS
        while not is_so(status := await self.status()):
            refused = [request for each in self.rights.values() for request in each.refused]
            assert not refused
            assert self.clock.monotonic() < deadline, f"{what}: {status}"
            await asyncio.sleep(0.02)

    async def has_used(self, service: str, *rights: Right) -> None:
        """Wait until a service has made use of its rights."""
        used = self.rights[service].used
        deadline = self.clock.monotonic() + WAIT_SECONDS
        while missing := set(rights) - used:
            assert self.clock.monotonic() < deadline, f"{service} never used {missing}"
            await asyncio.sleep(0.02)


def _component(name: str, ports: Ports) -> Component:
    match name:
        case "rollout-controller":
            return RolloutController(ports, ControllerSettings(bus="memory", identity="x"))
        case "traffic-router":
            return TrafficRouter(ports, RouterSettings(bus="memory", identity="x"))
        case _:
            providers: dict[str, Provider] = {"prometheus": AlwaysGood()}
            settings = RunnerSettings(bus="memory", identity="x")
            return AnalysisRunner(ports, settings, providers)


@asynccontextmanager
async def running() -> AsyncIterator[World]:
    world = World()
    async with serving(world.cluster, await world.services()):
        yield world


def service(name: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": "app"}},
    }


def container(tag: str) -> Manifest:
    return {"name": "app", "image": f"app:{tag}", "ports": [{"containerPort": 80}]}


TEMPLATE: Manifest = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "AnalysisTemplate",
    "metadata": {"name": "good", "namespace": "default"},
    "spec": {
        "args": [{"name": "token", "valueFrom": {"secretKeyRef": {"name": "token", "key": "t"}}}],
        "metrics": [
            {
                "name": "ratio",
                "interval": "10s",
                "successCondition": "result[0] >= 0.95",
                "provider": {"prometheus": {"address": "http://p", "query": "{{args.token}}"}},
            }
        ],
    },
}
ROLLOUT: Manifest = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Rollout",
    "metadata": {"name": "app", "namespace": "default"},
    "spec": {
        "replicas": 2,
        "revisionHistoryLimit": 0,
        "analysis": {"successfulRunHistoryLimit": 0, "unsuccessfulRunHistoryLimit": 0},
        "selector": {"matchLabels": {"app": "app"}},
        "template": {
            "metadata": {"labels": {"app": "app"}},
            "spec": {"containers": [container("v1")]},
        },
        "strategy": {
            "canary": {
                "canaryService": "canary",
                "stableService": "stable",
                "scaleDownDelaySeconds": 1,
                "abortScaleDownDelaySeconds": 1,
                "canaryMetadata": {"labels": {"role": "canary"}},
                "stableMetadata": {"labels": {"role": "stable"}},
                "trafficRouting": {"smi": {"rootService": "root", "trafficSplitName": "split"}},
                "analysis": {"templates": [{"templateName": "good"}]},
                "steps": [{"setWeight": 10}, {"pause": {}}],
            }
        },
    },
}


SPLIT: Manifest = {
    "apiVersion": TRAFFIC_SPLITS.api_version,
    "kind": "TrafficSplit",
    "metadata": {"name": "left", "namespace": "default"},
    "spec": {"service": "root", "backends": [{"service": "stable", "weight": 100}]},
}
EXPERIMENT: Manifest = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Experiment",
    "metadata": {"name": "baseline", "namespace": "default"},
    "spec": {
        "duration": "1s",
        "scaleDownDelaySeconds": 0,
        "templates": [
            {
                "name": "a",
                "selector": {"matchLabels": {"app": "baseline"}},
                "service": {},
                "template": {
                    "metadata": {"labels": {"app": "baseline"}},
                    "spec": {"containers": [container("v1")]},
                },
            }
        ],
    },
}
STEP = {
    "experiment": {
        "duration": "1s",
        "templates": [{"name": "a", "specRef": "canary", "replicas": 1}],
    }
}


def image(tag: str) -> intents.Patches:
    spec = {"containers": [container(tag)]}
    return intents.Patches(spec={"template": {"spec": spec}})


def is_healthy(status: Mapping[str, Any]) -> bool:
    return status.get("phase") == "Healthy"


def is_paused(status: Mapping[str, Any]) -> bool:
    return bool(status.get("pauseConditions"))


@pytest.mark.timeout(90)
async def test_every_right_is_granted_that_a_service_uses_and_no_other() -> None:
    async with running() as world:
        await tell_the_story(world)
    for name, rights in world.rights.items():
        assert rights.refused == []
        assert rights.granted - rights.used <= set(UNUSED[name]), name
        assert set(UNUSED[name]) <= rights.granted, name


async def tell_the_story(world: World) -> None:
    """First deployment, promotion, a run's end, restart, abort, an Experiment, deletion."""
    person = world.person
    for name in ("canary", "stable", "root"):
        await person.create(SERVICES, service(name))
    secret = {"apiVersion": "v1", "kind": "Secret", "data": {"t": "dA=="}}
    await person.create(SECRETS, {**secret, "metadata": {"name": "token", "namespace": "default"}})
    await person.create(ANALYSIS_TEMPLATES, TEMPLATE)
    await person.create(ROLLOUTS, ROLLOUT)
    await world.until("first deployment", is_healthy)

    await world.patch(image("v2"))
    await world.until("paused at 10", is_paused)
    await world.has_used("analysis-runner", ("get", "secrets"), ("patch", "analysisruns"))
    await world.patch(intents.promote(await world.rollout()))
    await world.until("promoted", is_healthy)
    await world.has_used("rollout-controller", ("patch", "pods"), ("delete", "replicasets"))

    await world.patch(intents.restart(world.clock.now()))
    await world.has_used("rollout-controller", ("create", "pods/eviction"))
    await world.patch(image("v3"))
    await world.until("paused again", is_paused)
    await world.patch(intents.ABORT)
    await world.until("aborted", lambda status: status.get("phase") == "Degraded")
    await world.has_used("rollout-controller", ("delete", "analysisruns"))

    old_run = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisRun",
        "metadata": {"name": "old", "namespace": "default"},
        "spec": {
            **TEMPLATE["spec"],
            "args": [{"name": "token", "value": "t"}],
            "terminate": True,
            "ttlStrategy": {"secondsAfterCompletion": 0},
        },
    }
    await person.create(ANALYSIS_RUNS, old_run)
    await world.has_used("analysis-runner", ("delete", "analysisruns"))

    await person.create(EXPERIMENTS, EXPERIMENT)
    steps = {"strategy": {"canary": {"steps": [STEP, {"pause": {}}]}}}
    await world.patch(intents.Patches(spec=steps))
    await world.patch(image("v4"))
    await world.has_used("rollout-controller", ("delete", "services"), ("delete", "experiments"))

    # One that is not ours to delete keeps the fence of a Rollout that is gone.
    left = stamp(SPLIT, Fence(uid="gone", rollout="default/gone", epoch=1, level="written"))
    await person.create(TRAFFIC_SPLITS, left)
    await world.has_used("traffic-router", ("get", "rollouts"))
    await person.delete(ROLLOUTS, "default", "app")
