"""The controller as the reconciler drives it: gather, decide, check, act."""

from __future__ import annotations

from headrace.model.quantities import Instant
from rollout_controller.act import Actor
from rollout_controller.core import invariants
from rollout_controller.core.decide import decide
from rollout_controller.core.observed import Observed
from rollout_controller.core.plan import Plan
from rollout_controller.gather import Gatherer


class ControllerShell:
    """The pure core between its two shells."""

    def __init__(self, gatherer: Gatherer, actor: Actor) -> None:
        self._gatherer = gatherer
        self._actor = actor

    async def gather(self, key: str, now: Instant) -> Observed | None:
        """Return the snapshot of a Rollout."""
        return await self._gatherer.gather(key, now)

    def decide(self, observed: Observed, *, now: Instant) -> Plan:
        """Return what to do about it."""
        return decide(observed, now=now)

    def check(self, observed: Observed, plan: Plan) -> None:
        """Return when the plan may be carried out."""
        invariants.check(observed, plan)

    async def act(self, observed: Observed, plan: Plan, *, now: Instant) -> bool:
        """Carry it out."""
        return await self._actor.act(observed, plan, now=now)
