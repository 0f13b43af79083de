"""`explain`: reads one Rollout and its Events, and says why it is where it is."""

from __future__ import annotations

import json

from headrace.kubernetes.resources import EVENTS, ROLLOUTS
from headrace.runtime.cluster import Selection
from headrace_cli.operations.events import local_zone
from headrace_cli.operations.naming import about_object, read
from headrace_cli.session import Session
from headrace_cli.views import explanation
from headrace_cli.views.events import EventLog, kubernetes_entry


async def explain(session: Session, name: str, *, is_json: bool, no_color: bool) -> None:
    """Print the answers about a Rollout. Raises Failure."""
    rollout = await read(session, ROLLOUTS, name)
    fields = f"involvedObject.kind=Rollout,involvedObject.name={name}"
    with about_object(session, ROLLOUTS, name):
        events = await session.cluster.list(EVENTS, Selection(session.namespace, fields=fields))
    now = session.clock.now()
    entries = [kubernetes_entry(event) for event in events.items]
    found = explanation.explain(rollout, entries, now=now)
    palette = session.terminal.palette(no_color=no_color)
    log = EventLog(zone=local_zone(session), palette=palette)
    if is_json:
        document = explanation.document(found, log)
        session.terminal.print(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        lines = explanation.lines(found, log, now=now, palette=palette)
        session.terminal.print(*lines)
