"""Rules of facts on the bus: each is told under one id for ever, and none is lost.

Source: architecture, "Topics and events" (ids), "Outbox".
"""

from __future__ import annotations

import json
from typing import Final

from headrace.events.catalog import CATALOG
from headrace.events.rollout import HistoryTruncated, RolloutFact
from headrace.kubernetes.resources import ROLLOUTS
from headrace.runtime.bus_queue import Outgoing
from headrace_sandbox.checkers.violations import Findings
from headrace_sandbox.world import World

_TYPES: Final = frozenset(
    name
    for name, entry in CATALOG.items()
    if issubclass(entry.model, RolloutFact) and entry.model is not HistoryTruncated
)
"""What the history holds; that a part of it was lost is told in place of that."""


class FactRules:
    """Checked at every message, and at rest."""

    def __init__(self, world: World, findings: Findings) -> None:
        self._world = world
        self._require = findings.require
        self._told: dict[tuple[str, int], tuple[str, str]] = {}

    def published(self, message: Outgoing) -> None:
        """Hear of a message: a repeated fact has the id and the type that it had before."""
        type_ = message.headers.get("ce_type", "")
        if type_ not in _TYPES:
            return
        payload = json.loads(message.value)
        place, told = (payload["uid"], payload["ordinal"]), (type_, message.headers["ce_id"])
        text = f"{message.key}: fact {place[1]} is told as {told}, and was {self._told.get(place)}"
        is_same = self._told.setdefault(place, told) == told
        self._require(is_same, "a fact has one id for ever", text)

    def at_rest(self) -> None:
        """What stands in the history was told, where there is a bus at all."""
        if not self._told:
            return
        for record in self._world.objects.all(ROLLOUTS):
            headrace = (record.manifest.get("status") or {}).get("headrace") or {}
            ordinals = [int(each["ordinal"]) for each in headrace.get("history") or ()]
            missing = [each for each in ordinals if (record.uid, each) not in self._told]
            text = f"{record.name}: {missing} of {ordinals}"
            self._require(not missing, "every fact is told", text)
