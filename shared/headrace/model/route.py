"""The route document: everything the traffic-router needs to move one Rollout's traffic.

It is the payload of `headrace.route.requested.v1` and the value of
`Rollout.status.headrace.route`: the same document on the fast and on the durable path, so that
either one alone reaches the same end state. The router reads nothing of the Rollout's `spec`.

Written by the rollout-controller, read by the traffic-router. Writers only add optional fields.

Source: architecture, "The route document".
"""

from __future__ import annotations

from typing import Literal, NewType

from headrace.model.base import Model

Epoch = NewType("Epoch", int)
"""Grows by one whenever the desired route, the revision or the abort state changes; >= 1."""

Level = Literal["written", "accepted", "observed"]
"""How far a route is known to hold: stored, accepted by the provider, or seen in traffic."""

LEVELS: tuple[Level, ...] = ("written", "accepted", "observed")
"""All levels, weakest first."""

ApplyOrder = Literal["hash-weight", "weight-hash", "remove-hash-weight"]
"""Order of hash and weight writes. Source: canary 5.4."""

Role = Literal["canary", "stable"]


class RouterConfig(Model):
    """One configured router.

    Attributes:
        kind: `smi`, `istio`, `nginx`, `alb`, `ambassador`, `appMesh`, `traefik`, `apisix` or
            `plugin`.
        plugin: Key under trafficRouting.plugins, when kind is `plugin`.
        config: The raw configuration as a JSON text (a merge patch cannot store null).
    """

    kind: str
    plugin: str | None = None
    config: str = "{}"


class Services(Model):
    """Service names, and which of them play the canary and the stable role now."""

    canary: str | None = None
    stable: str | None = None
    ping: str | None = None
    pong: str | None = None
    root: str | None = None
    canary_role: str | None = None
    stable_role: str | None = None


class Hashes(Model):
    """Pod template hashes, and whether label-based routers may switch to them now.

    Attributes:
        canary: Hash that gets the canary share.
        stable: Hash that gets the rest.
        may_switch: The gate of traffic-routing 2.3, decided by the controller.
        gate_message: Why it may not be switched.
    """

    canary: str = ""
    stable: str = ""
    may_switch: bool = True
    gate_message: str | None = None


class AdditionalDestination(Model):
    """An experiment's Service with its own share.

    Attributes:
        port: Of the Service, for routers whose backends name one.
    """

    service: str
    hash: str = ""
    weight: int
    experiment: str | None = None
    port: int | None = None


class Weights(Model):
    """The wanted split; canary + stable + Σ additional = base.

    Attributes:
        canary: 0 to base.
        stable: 0 to base.
        additional: Destinations of a running experiment.
        base: maxTrafficWeight, else 100.
        experiment_active: Destinations of an experiment take part.
    """

    canary: int
    stable: int
    additional: tuple[AdditionalDestination, ...] = ()
    base: int = 100
    experiment_active: bool = False


class StringMatch(Model):
    """Exactly one of the three is set."""

    exact: str | None = None
    regex: str | None = None
    prefix: str | None = None


class HeaderMatch(Model):
    """A header and what it must look like."""

    header_name: str
    header_value: StringMatch


class RouteMatch(Model):
    """Conditions of a mirror route, all of which must hold."""

    method: StringMatch | None = None
    path: StringMatch | None = None
    headers: dict[str, StringMatch] | None = None


class HeaderRoute(Model):
    """A managed route that sends matching requests to the canary."""

    name: str
    match: tuple[HeaderMatch, ...] = ()


class MirrorRoute(Model):
    """A managed route that copies requests to the canary; percentage 0 to 100."""

    name: str
    match: tuple[RouteMatch, ...] = ()
    percentage: int | None = None


class ManagedRoutes(Model):
    """The managed routes that shall exist now, and every name that may have to be removed.

    Attributes:
        names: managedRoutes of the spec, in order.
        step_names: Names used by header and mirror steps of the spec.
        header: Header routes that shall exist.
        mirror: Mirror routes that shall exist.
    """

    names: tuple[str, ...] = ()
    step_names: tuple[str, ...] = ()
    header: tuple[HeaderRoute, ...] = ()
    mirror: tuple[MirrorRoute, ...] = ()


class Verify(Model):
    """Whether the controller waits for a level, which one, and until when (RFC 3339)."""

    wanted: bool = False
    level: Level = "written"
    deadline: str | None = None


class WithdrawnObject(Model):
    """A traffic object that the Rollout no longer names; its share of it is removed."""

    router: RouterConfig


class RouteDocument(Model):
    """What one Rollout's traffic shall look like, self-contained.

    Attributes:
        cluster: UID of the kube-system namespace.
        api_version: Of the Rollout, for owner references and Events.
        generation: metadata.generation that this was decided from.
        decided_at: RFC 3339, API server time.
        valid_until: RFC 3339; only on requests that raise a backend other than stable.
        renewal: How often this epoch was renewed, >= 0; ordinal of the event's id.
        causation: Event id or `k8s:<uid>/<resourceVersion>`.
        routers: In the order in which they are applied.
        aborted: The decision was an abort; lowers only.
    """

    cluster: str
    namespace: str
    rollout: str
    uid: str
    api_version: str = "argoproj.io/v1alpha1"
    instance_id: str | None = None
    epoch: int
    generation: int
    decided_at: str
    valid_until: str | None = None
    renewal: int = 0
    causation: str = ""
    actor: str | None = None
    aborted: bool = False
    routers: tuple[RouterConfig, ...]
    services: Services
    hashes: Hashes
    weights: Weights
    order: ApplyOrder = "hash-weight"
    managed: ManagedRoutes = ManagedRoutes()
    verify: Verify = Verify()
    withdraw: tuple[WithdrawnObject, ...] = ()


class BackendShare(Model):
    """The weight of one Service in a split, as rendered or observed."""

    service: str
    weight: int


class RouterAnswer(Model):
    """What one router did with a request, and what it reads back.

    Attributes:
        kind: As in the request.
        plugin: As in the request.
        objects: Names of the traffic objects, as `TrafficSplit/name`.
        level: Level reached; None when nothing holds yet.
        rendered: The split that this router can express for the request.
        observed: The split as read back from the stored object.
        verified: None when this router cannot tell (canary 5.4.6).
        error: Text when it failed.
        found_epoch: Epoch of the fence when the request was refused as older.
        facts: What only the router knows (load balancer data).
    """

    kind: str
    plugin: str | None = None
    objects: tuple[str, ...] = ()
    level: Level | None = None
    rendered: tuple[BackendShare, ...] = ()
    observed: tuple[BackendShare, ...] = ()
    verified: bool | None = None
    error: str | None = None
    found_epoch: int | None = None
    facts: str | None = None


class Fence(Model):
    """The annotation on every traffic object of a route; see `headrace.ids.fence_key`.

    Attributes:
        rollout: `<namespace>/<name>`.
        split: What was rendered at this epoch; a difference to it is drift.
        backends: Services that we added, so that foreign backends are never touched.
        rules: Names of the header routes that we added.
    """

    uid: str
    rollout: str
    epoch: int
    level: Level
    split: tuple[BackendShare, ...] = ()
    backends: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
