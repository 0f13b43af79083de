"""Everything that is generated from the event catalogue."""

from __future__ import annotations

from headrace_gen import asyncapi, events_doc, schemas, topics


def render() -> dict[str, str]:
    """Return the text of each file by its path."""
    return {**schemas.render(), **asyncapi.render(), **topics.render(), **events_doc.render()}
