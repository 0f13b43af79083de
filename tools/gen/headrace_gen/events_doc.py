"""`docs/events.md`: the catalogue for readers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from pydantic.alias_generators import to_camel

from headrace.events.catalog import CATALOG, EventType, TopicKind
from headrace.events.payload import Payload
from headrace.events.topics import PARTITIONS, RETENTION_SECONDS, TOPIC_PATTERN
from headrace_gen.asyncapi import HEADERS, READERS, TOPIC_SUMMARIES
from headrace_gen.schemas import FOLDER, schema

PATH: Final = "docs/events.md"

_OWNERS: Final[dict[TopicKind, str]] = {entry.topic: entry.owner for entry in CATALOG.values()}
_COMMON_FIELDS: Final = tuple(to_camel(name) for name in Payload.model_fields)

_INTRODUCTION: Final = f"""\
<!-- Generated from headrace.events by `make gen`; do not edit. -->

# Events

Everything that Headrace decides is said on Kafka, beside the Kubernetes objects that hold it:
losing Kafka costs latency, never correctness. This page lists what is said. Schemas are in
[{FOLDER}](../{FOLDER}), the AsyncAPI document is
[deploy/events/asyncapi.yaml](../deploy/events/asyncapi.yaml), topics to declare are in
[deploy/kafka/topics.yaml](../deploy/kafka/topics.yaml).

## Topics

Names are `headrace.<cluster>[-<instance id>].<topic>`. All have the same number of partitions
({PARTITIONS}). The key is `<namespace>/<rollout>`, the partition is Kafka's murmur2 of it. Records
are kept for {RETENTION_SECONDS // 86400} days. One service produces per topic. Subscribers of a
whole fleet use `{TOPIC_PATTERN}`.

{{topics}}

AnalysisRuns and Experiments without Rollout have the key of their annotation
`headrace.io/key`, else their own `<namespace>/<name>`.

What cannot be decoded goes to `<topic>.dead` as it came, with the headers `headrace_dead_reason`,
`headrace_dead_topic`, `headrace_dead_partition` and `headrace_dead_offset`. Past a bounded ratio
the reader of that topic stops and says so in a metric. Events of a type that a service does not
know yet are ignored, so that services can be updated one after the other. A message whose key does
not belong to its partition, or whose `ce_source` is another cluster, is ignored and counted.

## Envelope

[CloudEvents 1.0](https://github.com/cloudevents/spec) in Kafka's binary content mode: attributes
are headers, the value is the payload as JSON.

{{headers}}

A fact has one id for ever: a UUID 5 over (uid of the Rollout, epoch, type, ordinal). Consumers see
each id at least once, and should do nothing new when they see it again. Order holds within a
topic and key, not across topics.

## Compatibility

Readers ignore unknown fields; writers only add optional ones. A breaking change is a new type `.v2`
beside the old. Absent means not known or not there; null is never written.

## Fields of every payload

{{common}}
"""


def render() -> dict[str, str]:
    """Return the text of the page by its path."""
    page = _INTRODUCTION.format(topics=_topics(), headers=_headers(), common=_common())
    return {PATH: page + "".join(_section(kind) for kind in TOPIC_SUMMARIES)}


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in lines)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")


def _topics() -> str:
    return _table(
        ("topic", "producer", "readers that act on it", "what"),
        (
            (f"`{kind}`", _OWNERS[kind], ", ".join(READERS[kind]), summary)
            for kind, summary in TOPIC_SUMMARIES.items()
        ),
    )


def _headers() -> str:
    return _table(
        ("header", "always", "what"),
        (
            (f"`{name}`", "yes" if is_required else "no", text)
            for name, (_, text, is_required) in HEADERS.items()
        ),
    )


def _common() -> str:
    properties = schema(next(iter(CATALOG.values())))["properties"]
    return _fields(properties, _COMMON_FIELDS, set(_COMMON_FIELDS))


def _section(kind: TopicKind) -> str:
    entries = [entry for entry in CATALOG.values() if entry.topic == kind]
    overview = _table(
        ("type", "kind", "what"),
        ((f"[`{e.name}`](#{_anchor(e)})", e.kind.value, e.summary) for e in entries),
    )
    details = "".join(_entry(entry) for entry in entries)
    return f"\n## On {kind}\n\n{overview}\n{details}"


def _anchor(entry: EventType) -> str:
    return entry.name.replace(".", "")


def _entry(entry: EventType) -> str:
    described = schema(entry)
    own = [name for name in described["properties"] if name not in _COMMON_FIELDS]
    fields = _fields(described["properties"], own, set(described["required"]))
    note = (entry.model.id_ordinal.__doc__ or "").strip().removeprefix("Return ")
    return (
        f"\n### {entry.name}\n\n{entry.summary} {entry.kind.value.capitalize()} of"
        f" {entry.owner}. Ordinal of its id: {note}\n\n{fields}\n"
    )


def _fields(properties: dict[str, Any], names: Iterable[str], required: set[str]) -> str:
    return _table(
        ("field", "type", "always", "what"),
        (
            (
                f"`{name}`",
                _type(properties[name]),
                "yes" if name in required or "default" in properties[name] else "no",
                str(properties[name].get("description", "")),
            )
            for name in names
        ),
    )


def _type(node: dict[str, Any]) -> str:
    if "$ref" in node:
        return str(node["$ref"]).rpartition("/")[2]
    if "enum" in node:
        return " or ".join(f"`{value}`" for value in node["enum"])
    if node.get("type") == "array":
        return f"list of {_type(node['items'])}"
    if node.get("x-kubernetes-preserve-unknown-fields"):
        return "JSON object"
    if node.get("type") == "object":
        return f"map of {_type(node['additionalProperties'])}"
    if node.get("format") == "date-time":
        return "time (RFC 3339)"
    return str(node.get("type", "any"))
