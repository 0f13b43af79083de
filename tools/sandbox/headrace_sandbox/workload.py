"""Applications: their manifests, how their versions behave, and where their traffic goes.

What checkers know of traffic is read here from the stored objects alone, by nothing of Headrace,
so that it cannot agree with it by construction.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from headrace.kubernetes.resources import (
    DEPLOYMENTS,
    HTTP_ROUTES,
    REPLICA_SETS,
    ROLLOUTS,
    SERVICES,
    TRAFFIC_SPLITS,
    Manifest,
    Resource,
)
from headrace.runtime.cluster_memory.objects import Objects, Record
from headrace_sandbox.world import World

NAMESPACE: Final = "default"
HASH: Final = "rollouts-pod-template-hash"
GATEWAY: Final = "argoproj-labs/gatewayAPI"

GOOD: Final = 0.001
BAD: Final = 0.3
TEMPLATE: Final = "errors"
QUICK: Final = "errors-once"
UNSURE: Final = "errors-unsure"
"""Cannot tell of a good version, and takes its time to say so."""


@dataclass(frozen=True, slots=True)
class Application:
    """One Rollout and what belongs to it.

    Attributes:
        name: Of the Rollout; its Services are `<name>-stable`, `<name>-canary`, `<name>-root`.
        router: `smi`, `gateway` or empty for none.
        replicas: Pods wanted.
        steps: Of the canary.
        canary: Further fields of the canary strategy.
        spec: Further fields of the spec.
        route: HTTPRoute to share with others; empty for one of its own.
        blue_green: Fields of the blue-green strategy, instead of a canary; its Services are
            `<name>-active` and `<name>-preview`.
        scale_down: What happens to the Deployment of its name that gives it its pod template:
            `never`, `onsuccess` or `progressively`; empty for a template of its own.
    """

    name: str
    router: str = "smi"
    replicas: int = 1
    steps: Sequence[Mapping[str, Any]] = ()
    canary: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    route: str = ""
    blue_green: Mapping[str, Any] | None = None
    scale_down: str = ""
    ping_pong: bool = False

    @property
    def key(self) -> str:
        """`<namespace>/<name>`."""
        return f"{NAMESPACE}/{self.name}"

    @property
    def stable(self) -> str:
        """The stable Service; with ping and pong the one of the first version."""
        return f"{self.name}-ping" if self.ping_pong else f"{self.name}-stable"

    @property
    def canary_service(self) -> str:
        """The canary Service; with ping and pong the one of the second version."""
        return f"{self.name}-pong" if self.ping_pong else f"{self.name}-canary"

    @property
    def active(self) -> str:
        """The active Service of blue-green."""
        return f"{self.name}-active"

    @property
    def preview(self) -> str:
        """The preview Service of blue-green."""
        return f"{self.name}-preview"

    @property
    def root(self) -> str:
        """The Service that users call."""
        return f"{self.name}-root"

    @property
    def route_name(self) -> str:
        """The HTTPRoute."""
        return self.route or self.name

    def rollout(self, image: str) -> Manifest:
        """Return the Rollout."""
        source: dict[str, Any] = {"template": self._template(image)}
        if self.scale_down:
            source = {
                "workloadRef": {
                    "apiVersion": DEPLOYMENTS.api_version,
                    "kind": DEPLOYMENTS.kind,
                    "name": self.name,
                    "scaleDown": self.scale_down,
                }
            }
        return {
            "apiVersion": ROLLOUTS.api_version,
            "kind": ROLLOUTS.kind,
            "metadata": {"name": self.name, "namespace": NAMESPACE},
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": {"app": self.name}},
                **source,
                "strategy": self._strategy(),
                **self.spec,
            },
        }

    def _template(self, image: str) -> dict[str, Any]:
        container = {"name": "app", "image": image, "ports": [{"containerPort": 80}]}
        return {"metadata": {"labels": {"app": self.name}}, "spec": {"containers": [container]}}

    def _strategy(self) -> dict[str, Any]:
        strategy: dict[str, Any]
        if self.blue_green is not None:
            services = {"activeService": self.active, "previewService": self.preview}
            strategy = {**services, **copy.deepcopy(dict(self.blue_green))}
            return {"blueGreen": {k: v for k, v in strategy.items() if v is not None}}
        strategy = {"steps": copy.deepcopy([*self.steps]), **self.canary}
        if self.router:
            strategy |= self._named_services()
            strategy["trafficRouting"] = {**self._routing(), **self._managed_routes()}
        return {"canary": strategy}

    def _named_services(self) -> dict[str, Any]:
        if self.ping_pong:
            return {"pingPong": {"pingService": self.stable, "pongService": self.canary_service}}
        return {"stableService": self.stable, "canaryService": self.canary_service}

    def _managed_routes(self) -> dict[str, Any]:
        kinds = ("setHeaderRoute", "setMirrorRoute")
        named = [step[kind]["name"] for step in self.steps for kind in kinds if kind in step]
        routes = [{"name": name} for name in dict.fromkeys(named)]
        return {"managedRoutes": routes} if routes else {}

    def _routing(self) -> dict[str, Any]:
        if self.router == "gateway":
            return {"plugins": {GATEWAY: {"httpRoute": self.route_name, "namespace": NAMESPACE}}}
        return {"smi": {"rootService": self.root, "trafficSplitName": self.name}}

    def others(self) -> Iterator[tuple[Resource, Manifest]]:
        """Return what a Rollout needs beside it, the shared HTTPRoute aside."""
        if self.scale_down:
            yield DEPLOYMENTS, self._deployment()
        for name in self._services():
            yield (
                SERVICES,
                {
                    "metadata": {"name": name, "namespace": NAMESPACE},
                    "spec": {"selector": {"app": self.name}, "ports": [{"port": 80}]},
                },
            )

    def _services(self) -> tuple[str, ...]:
        if self.blue_green is not None:
            return self.active, self.preview
        return (self.stable, self.canary_service, self.root) if self.router else ()

    def _deployment(self) -> Manifest:
        return {
            "metadata": {"name": self.name, "namespace": NAMESPACE},
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": {"app": self.name}},
                "template": self._template(f"{self.name}:v1-good"),
            },
        }

    def backends(self) -> list[dict[str, Any]]:
        """Return the backendRefs of an HTTPRoute's rule for it."""
        return [
            {"name": self.stable, "port": 80, "weight": 100},
            {"name": self.canary_service, "port": 80, "weight": 0},
        ]


def routes(applications: Sequence[Application]) -> Iterator[Manifest]:
    """Return the HTTPRoutes of the applications that want one: a rule for each of them."""
    by_name: dict[str, list[Application]] = {}
    for application in applications:
        if application.router == "gateway":
            by_name.setdefault(application.route_name, []).append(application)
    for name, sharing in by_name.items():
        rules = [{"name": each.name, "backendRefs": each.backends()} for each in sharing]
        yield {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"rules": rules}}


def templates() -> Iterator[Manifest]:
    """Yield the AnalysisTemplates that the applications of a world share."""
    metric = {
        "name": "errors",
        "interval": "5s",
        "count": 3,
        "failureLimit": 1,
        "successCondition": "result[0] < 0.05",
        "provider": {"prometheus": {"address": "http://p", "query": "errors of {{args.hash}}"}},
    }
    once = {"count": 1, "failureLimit": 0}
    conditions = {"successCondition": "result[0] == 0", "failureCondition": "result[0] >= 0.05"}
    unsure = {**once, **conditions, "initialDelay": "4s"}
    for name, changes in ((TEMPLATE, {}), (QUICK, once), (UNSURE, unsure)):
        yield {
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"args": [{"name": "hash"}], "metrics": [{**metric, **changes}]},
        }


ANALYSIS: Final = {
    "templates": [{"templateName": TEMPLATE}],
    "args": [{"name": "hash", "valueFrom": {"podTemplateHashValue": "Latest"}}],
}


class Versions:
    """How the versions of all applications behave.

    An image is `<name>:v<number>-<character>`: `bad` fails its analysis, `crash` never becomes
    ready while the storm lasts, `slow` takes a while, all others are good.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    def error_ratio(self, query: str) -> float | None:
        """Return the ratio of errors of the pods whose hash ends the query."""
        pod_hash = query.rsplit(" ", 1)[-1]
        for record in self._world.objects.all(REPLICA_SETS):
            if (record.metadata.get("labels") or {}).get(HASH) == pod_hash:
                return BAD if image_of(record.manifest).endswith("-bad") else GOOD
        return None


def image_of(workload: Manifest) -> str:
    """Return the image of the first container of a Rollout or ReplicaSet."""
    image: str = workload["spec"]["template"]["spec"]["containers"][0]["image"]
    return image


# Traffic, as the objects say


def services_of(rollout: Mapping[str, Any]) -> frozenset[str]:
    """Return the Services that a Rollout names, whatever for."""
    strategy = rollout["spec"]["strategy"]
    canary, blue_green = strategy.get("canary") or {}, strategy.get("blueGreen") or {}
    named = (*canary.items(), *(canary.get("pingPong") or {}).items(), *blue_green.items())
    return frozenset(value for key, value in named if key.endswith("Service"))


def roles(rollout: Mapping[str, Any]) -> tuple[str, str]:
    """Return the Services that play canary and stable now, empty where there are none."""
    canary = (rollout["spec"].get("strategy") or {}).get("canary") or {}
    pair = canary.get("pingPong")
    if pair is None:
        return canary.get("canaryService") or "", canary.get("stableService") or ""
    status = (rollout.get("status") or {}).get("canary") or {}
    ping, pong = pair["pingService"], pair["pongService"]
    return (pong, ping) if status.get("stablePingPong") == "ping" else (ping, pong)


def split_of(objects: Objects, rollout: Manifest) -> tuple[Record, dict[str, int]] | None:
    """Return the traffic object of a Rollout and the weights of its Services in it.

    A TrafficSplit that another Rollout of its name has left is not its own.
    """
    canary = (rollout["spec"].get("strategy") or {}).get("canary") or {}
    routing = canary.get("trafficRouting") or {}
    services = roles(rollout)
    if routing.get("smi") is not None:
        name = routing["smi"].get("trafficSplitName") or rollout["metadata"]["name"]
        record = objects.find(TRAFFIC_SPLITS, NAMESPACE, name)
        if record is None or not _owns(rollout, record.manifest):
            return None
        return record, weights_in(record.manifest, services)
    plugin = (routing.get("plugins") or {}).get(GATEWAY)
    if plugin is None:
        return None
    record = objects.find(HTTP_ROUTES, NAMESPACE, plugin["httpRoute"])
    if record is None:
        return None
    return record, weights_in(record.manifest, services)


def _owns(rollout: Manifest, split: Manifest) -> bool:
    owners = split["metadata"].get("ownerReferences") or ()
    return any(owner["uid"] == rollout["metadata"]["uid"] for owner in owners)


def weights_in(manifest: Manifest, services: Collection[str | None]) -> dict[str, int]:
    """Return the weights by which a traffic object shares traffic between some Services.

    Of an HTTPRoute it is the rule that has all of them: others match requests by their headers.
    """
    spec = manifest["spec"]
    if "backends" in spec:
        return {b["service"]: number(b["weight"]) for b in spec["backends"] or ()}
    for rule in spec.get("rules") or ():
        weights = {b["name"]: int(b.get("weight", 1)) for b in rule.get("backendRefs") or ()}
        if weights.keys() >= {*services}:
            return weights
    return {}


def header_rules(route: Manifest, service: str) -> list[str]:
    """Return the names of the rules of an HTTPRoute that send matching requests to a Service."""
    return [
        str(rule.get("name"))
        for rule in route["spec"].get("rules") or ()
        if [backend["name"] for backend in rule.get("backendRefs") or ()] == [service]
    ]


def number(weight: Any) -> int:
    """Return a weight; v1alpha1 writes quantities."""
    text = str(weight)
    return int(text[:-1]) // 1000 if text.endswith("m") else int(text)


def selected_hash(objects: Objects, service: str) -> str:
    """Return the hash that a Service selects, empty for none."""
    record = objects.find(SERVICES, NAMESPACE, service)
    if record is None:
        return ""
    selector = record.manifest["spec"].get("selector") or {}
    return str(selector.get(HASH, ""))


def replica_sets(objects: Objects, uid: str) -> dict[str, Record]:
    """Return the ReplicaSets of a Rollout by hash."""
    return {
        str((record.metadata.get("labels") or {}).get(HASH, "")): record
        for record in objects.dependents(uid)
        if record.resource.plural == REPLICA_SETS.plural
    }


def available(record: Record | None) -> int:
    """Return how many pods of a ReplicaSet are available."""
    return available_in(record.manifest if record is not None else None)


def available_in(replica_set: Manifest | None) -> int:
    """Return how many pods of a ReplicaSet are available, as somebody knows it."""
    return int(((replica_set or {}).get("status") or {}).get("availableReplicas") or 0)


def is_refused(status: Mapping[str, Any]) -> bool:
    """Return whether a status says that the spec cannot work."""
    conditions = status.get("conditions") or ()
    return any(each["type"] == "InvalidSpec" and each["status"] == "True" for each in conditions)
