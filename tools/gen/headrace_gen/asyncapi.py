"""The AsyncAPI 3 document: who says and who hears what, on which topic."""

from __future__ import annotations

from typing import Any, Final

import yaml

from headrace import __version__
from headrace.events.catalog import CATALOG, EventType, TopicKind
from headrace.events.envelope import CONTENT_TYPE, SPEC_VERSION
from headrace.events.topics import PREFIX, Topic, TopicSettings, topics

PATH: Final = "deploy/events/asyncapi.yaml"
READERS: Final[dict[TopicKind, tuple[str, ...]]] = {
    "steps": ("traffic-router", "analysis-runner", "workers"),
    "traffic": ("rollout-controller",),
    "verdicts": ("rollout-controller",),
    "commands": ("rollout-controller",),
    "answers": ("rollout-controller",),
}
"""Services that act on a topic; anyone allowed may subscribe."""

TOPIC_SUMMARIES: Final[dict[TopicKind, str]] = {
    "steps": "The life of each Rollout, and what its controller asks of the others.",
    "traffic": "What became of the requested routes, read back from the traffic objects.",
    "verdicts": "Measurements of analyses and their verdicts.",
    "answers": "What the workers of step plugins answer (docs/step-plugins.md).",
    "commands": "What people, the dashboard and the fleet-controller want of a Rollout.",
}

HEADERS: Final[dict[str, tuple[str, str, bool]]] = {
    "ce_specversion": ("string", f"Always `{SPEC_VERSION}`.", True),
    "ce_id": (
        "string",
        "UUID 5 of (uid, epoch, type, ordinal): the same however often a fact is said.",
        True,
    ),
    "ce_type": ("string", "The event type.", True),
    "ce_source": ("string", "UID of the namespace kube-system of the cluster.", True),
    "ce_subject": ("string", "`<namespace>/<rollout>`.", True),
    "ce_time": ("string", "When the fact became true, RFC 3339 with microseconds.", True),
    "ce_partitionkey": ("string", "The message's key: `<namespace>/<rollout>`.", True),
    "ce_epoch": ("string", "Route epoch, a decimal number.", True),
    "ce_causationid": (
        "string",
        "What caused it: an event id, or `k8s:<uid>/<resourceVersion>` for a change of an object.",
        False,
    ),
    "ce_actor": ("string", "Who caused it, where known.", False),
    "ce_traceparent": ("string", "W3C trace context.", False),
    "content-type": ("string", f"Always `{CONTENT_TYPE}`.", True),
}
"""Header name: its type, what it holds, whether it is always there."""

_HEADER: Final = "# Generated from headrace.events by `make gen`; do not edit.\n"


def render() -> dict[str, str]:
    """Return the text of the file by its path."""
    text = yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=100)
    return {PATH: _HEADER + text}


def document() -> dict[str, Any]:
    """Return the AsyncAPI document."""
    channels = topics(TopicSettings("default"))
    by_kind: dict[TopicKind, Topic] = {
        "steps": channels.steps,
        "traffic": channels.traffic,
        "verdicts": channels.verdicts,
        "commands": channels.commands,
        "answers": channels.answers,
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Headrace events",
            "version": __version__,
            "description": (
                "Progressive delivery as events: CloudEvents 1.0 in Kafka's binary content mode."
                " One Rollout is one ordered stream; consumers see each id at least once."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {kind: _channel(kind, topic) for kind, topic in by_kind.items()},
        "operations": dict(
            operation for kind, topic in by_kind.items() for operation in _operations(kind, topic)
        ),
        "components": {
            "messages": {_name(entry): _message(entry) for entry in CATALOG.values()},
            "schemas": {"headers": _headers()},
        },
    }


def _name(entry: EventType) -> str:
    return entry.model.__name__


def _channel(kind: TopicKind, topic: Topic) -> dict[str, Any]:
    return {
        "address": f"{{prefix}}.{{scope}}.{kind}",
        "title": kind,
        "summary": TOPIC_SUMMARIES[kind],
        "messages": {
            _name(entry): {"$ref": f"#/components/messages/{_name(entry)}"}
            for entry in CATALOG.values()
            if entry.topic == kind
        },
        "parameters": {
            "prefix": {"default": PREFIX, "description": "First part of every topic name."},
            "scope": {
                "default": "default",
                "description": "`<cluster>`, or `<cluster>-<instance id>`.",
            },
        },
        "bindings": {
            "kafka": {
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": ["delete"],
                    "retention.ms": topic.retention_seconds * 1000,
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operations(kind: TopicKind, topic: Topic) -> list[tuple[str, dict[str, Any]]]:
    said = (f"{topic.owner}.says.{kind}", {"action": "send", "title": f"{topic.owner} says"})
    heard = [
        (f"{reader}.hears.{kind}", {"action": "receive", "title": f"{reader} hears"})
        for reader in READERS[kind]
    ]
    channel = {"channel": {"$ref": f"#/channels/{kind}"}}
    return [
        (name.replace("-", "_"), {**operation, **channel}) for name, operation in (said, *heard)
    ]


def _message(entry: EventType) -> dict[str, Any]:
    return {
        "name": entry.name,
        "title": _name(entry),
        "summary": entry.summary,
        "tags": [{"name": entry.kind.value}],
        "contentType": CONTENT_TYPE,
        "headers": {"$ref": "#/components/schemas/headers"},
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./schemas/{entry.name}.json"},
        },
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": "`<namespace>/<rollout>`"},
                "bindingVersion": "0.5.0",
            }
        },
    }


def _headers() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            name: {"type": kind, "description": text} for name, (kind, text, _) in HEADERS.items()
        },
        "required": [name for name, (_, _, is_required) in HEADERS.items() if is_required],
    }
