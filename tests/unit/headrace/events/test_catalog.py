from __future__ import annotations

import re

from headrace.events.catalog import CATALOG, Kind
from headrace.events.payload import Payload


def test_lists_exactly_the_types_of_the_architecture() -> None:
    by_topic = {
        topic: {
            name.removeprefix("headrace.").removesuffix(".v1")
            for name, entry in CATALOG.items()
            if entry.topic == topic
        }
        for topic in ("steps", "traffic", "verdicts", "commands", "answers")
    }
    rollout = [
        "updated",
        "paused",
        "resumed",
        "aborted",
        "retried",
        "promoted",
        "completed",
        "rejected",
        "deleted",
        "stuck",
    ]
    assert by_topic == {
        "steps": {
            *(f"rollout.{name}" for name in rollout),
            "step.entered",
            "step.completed",
            "route.requested",
            "plugin.requested",
            "route.verify.requested",
            "analysis.requested",
            "analysis.terminated",
            "command.accepted",
            "command.rejected",
            "history.truncated",
        },
        "traffic": {"route.applied", "route.refused", "route.verified", "route.drifted"},
        "verdicts": {"analysis.measured", "analysis.judged"},
        "commands": {"rollout.commanded"},
        "answers": {"plugin.answered"},
    }


def test_type_names_and_class_names_agree() -> None:
    for name, entry in CATALOG.items():
        assert name == entry.model.EVENT_TYPE
        words = re.findall(r"[A-Z][a-z]+", entry.model.__name__)
        assert name == f"headrace.{'.'.join(words).lower()}.v1"


def test_requests_are_those_whose_name_says_so() -> None:
    for name, entry in CATALOG.items():
        assert entry.is_request == name.endswith(".requested.v1")
        assert (entry.kind is Kind.COMMAND) == (entry.topic == "commands")


def test_one_service_speaks_on_each_topic() -> None:
    owners = {entry.topic: entry.owner for entry in CATALOG.values()}
    assert all(entry.owner == owners[entry.topic] for entry in CATALOG.values())


def test_every_payload_has_the_common_fields_and_a_summary() -> None:
    for entry in CATALOG.values():
        assert issubclass(entry.model, Payload)
        assert entry.summary.endswith(".")
        assert entry.model.model_fields.keys() >= Payload.model_fields.keys()
