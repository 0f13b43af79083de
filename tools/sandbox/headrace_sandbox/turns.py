"""People who turn a Rollout into another kind of one, in the middle of whatever it does.

They change its strategy, give its router up and take it back, and switch how stable is scaled and
which Services play which role: each by one patch of the spec, as a tool that applies manifests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from headrace.errors import InvalidSpec
from headrace.kubernetes.resources import HTTP_ROUTES, Manifest
from headrace.runtime.cluster import MergePatch
from headrace_sandbox.edits import Editor
from headrace_sandbox.nodes import drive
from headrace_sandbox.workload import NAMESPACE, split_of

_OF_ROUTERS: Final = (
    "trafficRouting",
    "dynamicStableScale",
    "scaleDownDelaySeconds",
    "scaleDownDelayRevisionLimit",
    "pingPong",
)
_ROUTING: Final = ("trafficRouting", "pingPong", "stableService", "canaryService")
_ROUTED: Final = frozenset({"setCanaryScale", "setHeaderRoute", "setMirrorRoute", "experiment"})


class Turns(Editor):
    """A person who changes what kind of Rollout it is."""

    def to_canary(self, rollout: Manifest, _: int) -> None:
        """Give a blue-green Rollout a canary strategy: its own one, if it had one once.

        Raises:
            InvalidSpec: It is none.
        """
        if "blueGreen" not in rollout["spec"]["strategy"]:
            raise InvalidSpec("no blue-green")
        own = self._own(rollout)
        canary = own or {"steps": [{"setWeight": 50}, {"pause": {"duration": "5s"}}]}
        self._turn(rollout, {"blueGreen": None, "canary": canary})

    def to_blue_green(self, rollout: Manifest, number: int) -> None:
        """Make its two Services the active and the preview one. Raises InvalidSpec: it has none."""
        application = self._applications[rollout["metadata"]["name"]]
        if "canary" not in rollout["spec"]["strategy"] or not application.router:
            raise InvalidSpec("no Services")
        blue_green: dict[str, Any] = {
            "activeService": application.stable,
            "previewService": application.canary_service if number % 2 else None,
            "autoPromotionEnabled": number % 3 > 0,
            "scaleDownDelaySeconds": 5,
        }
        self._turn(rollout, {"canary": None, "blueGreen": blue_green})

    def remove_router(self, rollout: Manifest, _: int) -> None:
        """Give the traffic objects of a canary up. Raises InvalidSpec: it has none."""
        canary = self._routed(rollout)
        if any(step.keys() & _ROUTED for step in canary.get("steps") or ()):
            raise InvalidSpec("steps that need a router")
        self._turn(rollout, {"canary": dict.fromkeys(_OF_ROUTERS)})

    def add_router(self, rollout: Manifest, _: int) -> None:
        """Take the router of a canary back. Raises InvalidSpec: it has one, or had none."""
        own, canary = self._own(rollout), rollout["spec"]["strategy"].get("canary")
        if canary is None or "trafficRouting" not in own or canary.get("trafficRouting"):
            raise InvalidSpec("no router to add")
        self._turn(rollout, {"canary": {field: own.get(field) for field in _ROUTING}})

    def dynamic_stable_scale(self, rollout: Manifest, _: int) -> None:
        """Let stable shrink as the canary grows, or no more. Raises InvalidSpec: it cannot."""
        canary = self._routed(rollout)
        is_dynamic = bool(canary.get("dynamicStableScale"))
        delays = dict.fromkeys(("scaleDownDelaySeconds", "scaleDownDelayRevisionLimit"))
        self._turn(rollout, {"canary": {"dynamicStableScale": not is_dynamic or None, **delays}})

    def ping_pong(self, rollout: Manifest, number: int) -> None:
        """Make the two Services ping and pong, or stable and canary. Raises InvalidSpec."""
        canary = self._routed(rollout)
        if not canary["trafficRouting"].get("plugins"):
            raise InvalidSpec("a router that knows no ping and pong")
        application = self._applications[rollout["metadata"]["name"]]
        first, second = application.stable, application.canary_service
        if number % 4 == 0:
            first, second = second, first
        named: dict[str, Any] = {
            "pingPong": {"pingService": first, "pongService": second},
            "stableService": None,
            "canaryService": None,
        }
        if canary.get("pingPong"):
            named = {"pingPong": None, "stableService": first, "canaryService": second}
        self._turn(rollout, {"canary": named})

    def unlabel(self, rollout: Manifest, _: int) -> None:
        """Take all labels off the HTTPRoute. Raises InvalidSpec: there is none."""
        found = split_of(self._world.objects, rollout)
        if found is None or found[0].resource is not HTTP_ROUTES:
            raise InvalidSpec("no HTTPRoute")
        body = MergePatch({"metadata": {"labels": None}})
        drive(self._client.patch(HTTP_ROUTES, NAMESPACE, found[0].name, body))

    def _routed(self, rollout: Manifest) -> dict[str, Any]:
        canary: dict[str, Any] = rollout["spec"]["strategy"].get("canary") or {}
        if not canary.get("trafficRouting"):
            raise InvalidSpec("no router")
        return canary

    def _own(self, rollout: Manifest) -> dict[str, Any]:
        """Return the canary strategy that its manifest had at first, {} for none."""
        manifest = self._applications[rollout["metadata"]["name"]].rollout("")
        own: dict[str, Any] = manifest["spec"]["strategy"].get("canary") or {}
        return own

    def _turn(self, rollout: Manifest, strategy: Mapping[str, Any]) -> None:
        self._patch(rollout, {"strategy": strategy})


Turn = Callable[[Turns, Manifest, int], None]

TURNS: Final[Mapping[str, Turn]] = {
    "to-canary": Turns.to_canary,
    "to-blue-green": Turns.to_blue_green,
    "remove-router": Turns.remove_router,
    "add-router": Turns.add_router,
    "edit-stable-scale": Turns.dynamic_stable_scale,
    "edit-ping-pong": Turns.ping_pong,
    "unlabel-route": Turns.unlabel,
}
