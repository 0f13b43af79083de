"""Generated files are what the catalogue generates, and say what is on the wire."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from headrace.events.catalog import CATALOG
from headrace.events.envelope import Event, encode
from headrace.events.outbox import Teller, event_from_transition
from headrace.events.payload import Payload
from headrace.events.topics import TopicSettings, topics
from headrace.model.headrace_status import Transition
from headrace.model.quantities import Instant
from headrace_gen import events
from headrace_gen.schemas import field_notes, schema

ROOT = Path(__file__).parents[2]

WEB: dict[str, Any] = {"namespace": "shop", "rollout": "web", "uid": "u-1"}
WEIGHTS = {"canary": 10, "stable": 90}
ROUTE = {
    "cluster": "c-1",
    **WEB,
    "epoch": 7,
    "generation": 2,
    "decidedAt": "2026-11-23T10:00:00Z",
    "routers": [{"kind": "smi"}],
    "services": {"canary": "preview"},
    "hashes": {},
    "weights": {**WEIGHTS, "additional": [{"service": "e", "weight": 0}]},
    "managed": {"header": [{"name": "h", "match": [{"headerName": "a", "headerValue": {}}]}]},
}
ANSWER = {
    "kind": "smi",
    "objects": ["TrafficSplit/web"],
    "level": "written",
    "rendered": [{"service": "preview", "weight": 10}],
}
RUN = {"run": "web-2-1", "runUid": "r-1"}
REQUESTS_AND_ANSWERS: dict[str, dict[str, Any]] = {
    "headrace.route.requested.v1": {"route": ROUTE},
    "headrace.route.verify.requested.v1": {"check": "targetGroups"},
    "headrace.analysis.requested.v1": {**RUN, "runType": "Step", "step": 1},
    "headrace.plugin.requested.v1": {
        "call": "5f0e",
        "cause": "2.1.0/acme/approve/1795428000/Run/1",
        "plugin": "acme/approve",
        "operation": "Run",
        "step": 1,
        "expiresAt": "2026-11-23T10:00:10Z",
        "config": {"environment": "production"},
        "status": {"ticket": 7},
        "object": {"kind": "Rollout"},
    },
    "headrace.plugin.answered.v1": {
        "call": "5f0e",
        "answer": {"phase": "Running", "requeueAfter": "1m", "status": {"ticket": 7}},
    },
    "headrace.route.applied.v1": {
        "level": "written",
        "requested": WEIGHTS,
        "answers": [ANSWER],
        "resourceVersions": {"TrafficSplit/web": "41"},
    },
    "headrace.route.refused.v1": {"requested": WEIGHTS, "foundEpoch": 9},
    "headrace.route.verified.v1": {"check": "stableService", "verified": True},
    "headrace.route.drifted.v1": {"object": "TrafficSplit/web", "resourceVersion": "41"},
    "headrace.analysis.measured.v1": {
        **RUN,
        "metric": "ratio",
        "index": 0,
        "phase": "Successful",
        "finishedAt": "2026-11-23T10:00:00Z",
    },
    "headrace.analysis.judged.v1": {
        **RUN,
        "phase": "Failed",
        "completedAt": "2026-11-23T10:00:00Z",
        "runSummary": {"count": 1, "failed": 1},
    },
    "headrace.rollout.commanded.v1": {
        "command": "c-1",
        "action": "setImage",
        "arguments": {"container": "*", "image": "web:v2"},
        "preconditions": {"uid": "u-1", "currentPodHash": "7d9f"},
        "expiresAt": "2026-11-23T10:05:00Z",
    },
    "headrace.history.truncated.v1": {"ordinal": 10, "firstLost": 5},
}


def _sample(name: str) -> Payload:
    if name in REQUESTS_AND_ANSWERS:
        return CATALOG[name].model.load({**WEB, **REQUESTS_AND_ANSWERS[name]})
    told = Transition(ordinal=1, at="2026-11-23T10:00:00Z", type=name, command="c-1", run="r")
    return event_from_transition(told, Teller("c-1", "shop", "web", "u-1")).payload


def test_committed_files_are_the_generated_ones() -> None:
    for path, text in events.render().items():
        assert (ROOT / path).read_text("utf-8") == text, f"{path}: run `make gen`"


def test_no_schema_is_left_of_a_type_that_is_gone() -> None:
    found = {path.stem for path in (ROOT / "deploy/events/schemas").iterdir()}
    assert found == set(CATALOG)


@pytest.mark.parametrize("name", list(CATALOG))
def test_what_is_written_is_valid_by_its_schema(name: str) -> None:
    described = schema(CATALOG[name])
    Draft202012Validator.check_schema(described)
    event = Event.of(_sample(name), source="c-1", time=Instant(0.0))
    value = json.loads(encode(event)[2])
    Draft202012Validator(described).validate(value)
    assert value.keys() >= {
        "namespace",
        "rollout",
        "uid",
        "generation",
        "revision",
        "podHash",
        "epoch",
        "reason",
        "message",
    }


@pytest.mark.parametrize("name", list(CATALOG))
def test_a_schema_admits_fields_of_later_versions(name: str) -> None:
    event = Event.of(_sample(name), source="c-1", time=Instant(0.0))
    value = {**json.loads(encode(event)[2]), "laterField": {"a": 1}}
    Draft202012Validator(schema(CATALOG[name])).validate(value)


@pytest.mark.parametrize("name", list(CATALOG))
def test_every_field_of_a_payload_is_described(name: str) -> None:
    assert field_notes(CATALOG[name].model).keys() >= schema(CATALOG[name])["properties"].keys()


def test_the_asyncapi_document_names_every_type_on_its_topic() -> None:
    document = yaml.safe_load((ROOT / "deploy/events/asyncapi.yaml").read_text("utf-8"))
    messages = document["components"]["messages"]
    assert {message["name"] for message in messages.values()} == set(CATALOG)
    for kind, channel in document["channels"].items():
        named = {messages[name]["name"] for name in channel["messages"]}
        assert named == {entry.name for entry in CATALOG.values() if entry.topic == kind}
    for message in messages.values():
        reference = message["payload"]["schema"]["$ref"]
        assert (ROOT / "deploy/events" / reference).exists()


def test_declared_topics_are_those_that_the_services_use() -> None:
    text = (ROOT / "deploy/kafka/topics.yaml").read_text("utf-8")
    declared = {
        item["spec"]["topicName"]: (
            item["spec"]["partitions"],
            item["spec"]["config"]["retention.ms"],
        )
        for item in yaml.safe_load_all(text)
    }
    used = topics(TopicSettings("default")).all()
    assert declared == {
        topic.name: (topic.partitions, topic.retention_seconds * 1000)
        for pair in ((topic, topic.dead_letters) for topic in used)
        for topic in pair
    }
    for topic in used:
        assert topic.definition() in text
