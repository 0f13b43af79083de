"""JSON Schemas of the events' payloads, as they are written.

Descriptions come from the docstrings of the models, so that one text serves code, schemas and
documents.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic.alias_generators import to_camel

from headrace.events.catalog import CATALOG, EventType
from headrace.events.payload import Payload

FOLDER: Final = "deploy/events/schemas"

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_NULL: Final = {"type": "null"}
_FIELD_NOTE: Final = re.compile(r"^(\w+): (.*)$")
_NONE: Final = re.compile(r"\bNone\b")


def render() -> dict[str, str]:
    """Return the text of each schema file by its path."""
    return {
        f"{FOLDER}/{entry.name}.json": json.dumps(schema(entry), indent=2, ensure_ascii=False)
        + "\n"
        for entry in CATALOG.values()
    }


def schema(entry: EventType) -> dict[str, Any]:
    """Return the JSON Schema of one event type.

    What every writer writes is required; what may be absent is optional and never null. Unknown
    fields are allowed: readers ignore them.
    """
    generated = entry.model.model_json_schema(mode="serialization", by_alias=True)
    definitions = generated.pop("$defs", {})
    described: dict[str, Any] = {
        "$schema": _DIALECT,
        "$id": f"https://headrace.io/events/{entry.name}.json",
        **_object(generated, field_notes(entry.model)),
        "title": entry.name,
        "description": entry.summary,
    }
    always = [to_camel(name) for name in Payload.model_fields]
    described["required"] = always + [name for name in described["required"] if name not in always]
    if definitions:
        described["$defs"] = {name: _definition(node) for name, node in definitions.items()}
    return described


def field_notes(model: type[Payload]) -> dict[str, str]:
    """Return what the docstrings of a model and its bases say of each field, by wire name."""
    notes: dict[str, str] = {}
    for parent in reversed(model.__mro__):
        if issubclass(parent, Payload):
            notes |= _notes(parent.__doc__ or "")
    return notes


def _definition(node: dict[str, Any]) -> dict[str, Any]:
    if "properties" not in node:
        return _cleaned(node)
    return _object(node, _notes(node.get("description", "")))


def _object(node: dict[str, Any], notes: Mapping[str, str]) -> dict[str, Any]:
    properties: dict[str, Any] = node["properties"]
    result: dict[str, Any] = {"type": "object"}
    summary = str(node.get("description", "")).partition("\n\n")[0]
    if summary:
        result["description"] = summary
    result["properties"] = {
        name: _property(value, notes.get(name)) for name, value in properties.items()
    }
    optional = {name for name, value in properties.items() if _NULL in value.get("anyOf", ())}
    result["required"] = [name for name in node.get("required", []) if name not in optional]
    return result


def _property(node: dict[str, Any], note: str | None) -> dict[str, Any]:
    cleaned = _cleaned(node)
    return cleaned if note is None else {**cleaned, "description": note}


def _cleaned(node: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without titles, and with "absent" in the place of null."""
    kept = {name: _visit(value) for name, value in node.items() if name != "title"}
    if _NULL not in kept.get("anyOf", ()):
        return kept
    choices = [choice for choice in kept.pop("anyOf") if choice != _NULL]
    kept.pop("default", None)
    return {**choices[0], **kept} if len(choices) == 1 else {"anyOf": choices, **kept}


def _visit(value: Any) -> Any:
    if isinstance(value, dict):
        return _cleaned(value)
    if isinstance(value, list):
        return [_visit(item) for item in value]
    return value


def _notes(docstring: str) -> dict[str, str]:
    """Return the section `Attributes:` of a docstring as text by wire name.

    What is None in Python is absent on the wire.
    """
    _, _, section = inspect.cleandoc(docstring).partition("Attributes:\n")
    notes: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if not line.startswith("    "):
            break
        text = line[4:]
        match = _FIELD_NOTE.match(text)
        if match:
            name = to_camel(match[1])
            notes[name] = match[2]
        elif name:
            notes[name] += f" {text.strip()}"
    return {name: _NONE.sub("absent", text) for name, text in notes.items()}
