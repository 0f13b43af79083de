import json
from typing import Any

import pytest

from headrace.events.analysis import AnalysisJudged, AnalysisMeasured
from headrace.events.commands import Preconditions, RolloutCommanded
from headrace.events.envelope import Event
from headrace.events.payload import Payload
from headrace.events.rollout import CommandAccepted, RolloutPaused, RouteRequested
from headrace.events.traffic import RouteApplied, RouteDrifted, RouteRefused
from headrace.model.quantities import Instant
from headrace.model.route import (
    BackendShare,
    Hashes,
    RouteDocument,
    RouterAnswer,
    Services,
    Weights,
)
from headrace_cli.output import Palette
from headrace_cli.views.events import (
    Entry,
    EventLog,
    bus_entry,
    describe,
    kubernetes_entry,
    object_entries,
)

START = 1_700_000_000.0  # 22:13:20 UTC
FACT: dict[str, Any] = {"namespace": "demo", "rollout": "web", "uid": "u1"}
SHARES = (BackendShare(service="canary", weight=33), BackendShare(service="stable", weight=67))
WEIGHTS = Weights(canary=33, stable=67)
ROUTE = RouteDocument(
    cluster="c1",
    namespace="demo",
    rollout="web",
    uid="u1",
    epoch=7,
    generation=2,
    decided_at="2023-11-14T22:13:21Z",
    causation="command-event",
    actor="ann",
    routers=(),
    services=Services(),
    hashes=Hashes(),
    weights=WEIGHTS,
)


def commanded() -> RolloutCommanded:
    return RolloutCommanded(
        **FACT,
        command="c1",
        action="promote",
        preconditions=Preconditions(uid="u1", current_pod_hash="b"),
        expires_at=Instant(START + 300),
    )


def answer(**fields: Any) -> RouterAnswer:
    return RouterAnswer(kind="smi", objects=("TrafficSplit/web",), **fields)


@pytest.mark.parametrize(
    ("payload", "line"),
    [
        (commanded(), "promote wanted"),
        (RouteRequested(**FACT, epoch=7, route=ROUTE), "epoch 7: canary 33, stable 67"),
        (
            RouteApplied(
                **FACT,
                epoch=7,
                level="written",
                requested=WEIGHTS,
                answers=(answer(observed=SHARES),),
            ),
            "epoch 7 written: canary 33, stable 67",
        ),
        (
            RouteRefused(**FACT, epoch=6, message="older than 7", requested=WEIGHTS),
            "epoch 6 (older than 7)",
        ),
        (
            RouteDrifted(
                **FACT,
                epoch=7,
                object="TrafficSplit/web",
                resource_version="9",
                answers=(answer(observed=SHARES[:1]),),
            ),
            "TrafficSplit/web was changed: canary 33",
        ),
        (
            AnalysisMeasured(
                **FACT,
                run="web-1",
                run_uid="r1",
                metric="rate",
                index=2,
                value="[0.9]",
                phase="Failed",
            ),
            "web-1: rate #2 [0.9] Failed",
        ),
        (
            AnalysisJudged(**FACT, run="web-1", run_uid="r1", phase="Failed", message="too bad"),
            "web-1: Failed: too bad",
        ),
        (
            RolloutPaused(**FACT, ordinal=1, message="Rollout is paused (CanaryPauseStep)"),
            "Rollout is paused (CanaryPauseStep)",
        ),
    ],
)
def test_says_an_event_in_a_line(payload: Payload, line: str) -> None:
    assert describe(payload) == line


def event(payload: Payload, seconds: float, cause: str = "", actor: str | None = None) -> Event:
    time = Instant(START + seconds)
    return Event.of(payload, source="c1", time=time, causation_id=cause, actor=actor)


def test_shows_the_way_from_a_command_to_the_traffic() -> None:
    command = event(commanded(), 0, actor="ann")
    accepted = event(
        CommandAccepted(**FACT, ordinal=1, command="c1", message="promote applied"),
        0.05,
        command.id,
        "ann",
    )
    requested = event(RouteRequested(**FACT, epoch=7, route=ROUTE), 0.06, command.id, "ann")
    applied = event(
        RouteApplied(
            **FACT,
            epoch=7,
            level="written",
            requested=WEIGHTS,
            answers=(answer(observed=SHARES),),
        ),
        0.1,
        requested.id,
    )
    came = [applied, requested, accepted, command]  # topics are read in any order
    assert EventLog().lines(bus_entry(each) for each in came) == [
        "22:13:20.000  rollout.commanded         promote wanted (by ann)",
        "22:13:20.050  └▸ command.accepted       promote applied",
        "22:13:20.060  └▸ route.requested        epoch 7: canary 33, stable 67",
        "22:13:20.100     └▸ route.applied       epoch 7 written: canary 33, stable 67",
    ]


def test_a_change_of_an_object_is_told_before_what_it_caused() -> None:
    paused = RolloutPaused(**FACT, ordinal=1, message="paused")
    entries = [bus_entry(event(paused, 0, "k8s:u1/812"))]
    assert EventLog(with_key=True).lines(entries) == [
        "22:13:20.000  demo/web  object changed            resourceVersion 812",
        "22:13:20.000  demo/web  └▸ rollout.paused         paused",
    ]


def test_a_repeated_fact_is_told_once() -> None:
    log = EventLog()
    entry = bus_entry(event(RolloutPaused(**FACT, ordinal=1, message="paused"), 0))
    assert len(log.lines([entry, entry])) == 1
    assert log.lines([entry]) == []


def test_an_effect_never_stands_before_its_cause() -> None:
    """The clocks of two services may differ by some milliseconds."""
    cause = Entry("a", START + 1, "route.requested", "demo/web", "asked")
    effect = Entry("b", START, "route.applied", "demo/web", "done", cause="a")
    first, second = EventLog().lines([effect, cause])
    assert "asked" in first
    assert "└▸ route.applied" in second


def test_causes_in_a_circle_end() -> None:
    one = Entry("a", START, "x.y", "k", "one", cause="b")
    two = Entry("b", START, "x.y", "k", "two", cause="a")
    assert len(EventLog().lines([one, two])) == 2


def test_terminals_get_colours() -> None:
    entry = Entry("a", START, "route.applied", "demo/web", "done")
    [line] = EventLog(palette=Palette(is_on=True)).lines([entry])
    assert "\x1b[32mroute.applied\x1b[0m" in line


def test_json_is_the_cloud_event() -> None:
    command = event(commanded(), 0, actor="ann")
    [line] = EventLog().json_lines([bus_entry(command)])
    document = json.loads(line)
    assert document["type"] == "headrace.rollout.commanded.v1"
    assert document["id"] == command.id
    assert document["subject"] == "demo/web"
    assert document["actor"] == "ann"
    assert document["data"]["preconditions"] == {"uid": "u1", "currentPodHash": "b"}
    assert "causationid" not in document


def rollout(headrace: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "web", "namespace": "demo", "uid": "u1"}
    return {"metadata": metadata, "status": {"headrace": headrace}}


def test_the_objects_remember_the_same_way() -> None:
    history = {
        "ordinal": 4,
        "at": "2023-11-14T22:13:20.500000Z",
        "type": "headrace.command.accepted.v1",
        "epoch": 6,
        "message": "promote applied",
        "causation": "command-event",
        "actor": "ann",
        "command": "c1",
    }
    acknowledged = {"epoch": 7, "level": "written", "canary": 33, "at": "2023-11-14T22:13:22Z"}
    remembered = rollout(
        {"epoch": 7, "history": [history], "route": ROUTE.dump(), "acknowledged": acknowledged}
    )
    assert EventLog().lines(object_entries(remembered)) == [
        "22:13:20.500  rollout.commanded         command c1 (by ann)",
        "22:13:20.500  └▸ command.accepted       promote applied",
        "22:13:21.000  └▸ route.requested        epoch 7: canary 33, stable 67",
        "22:13:22.000     └▸ route.applied       epoch 7 written: canary 33",
    ]


def test_what_objects_and_bus_know_has_one_id() -> None:
    paused = RolloutPaused(**FACT, ordinal=3, epoch=7, message="paused")
    history = {
        "ordinal": 3,
        "at": "2023-11-14T22:13:20Z",
        "type": RolloutPaused.EVENT_TYPE,
        "epoch": 7,
    }
    [remembered] = object_entries(rollout({"epoch": 7, "history": [history]}))
    assert remembered.id == event(paused, 0).id


def test_a_rollout_that_remembers_nothing_has_no_events() -> None:
    assert object_entries({"metadata": {"name": "web"}}) == []


def test_kubernetes_events_have_the_time_of_their_name() -> None:
    name = f"web.{int((START + 0.25) * 1e9):x}"
    kubernetes_event = {
        "metadata": {"name": name, "uid": "e1"},
        "involvedObject": {"namespace": "demo", "name": "web"},
        "reason": "RolloutPaused",
        "message": "Rollout is paused (CanaryPauseStep)",
        "lastTimestamp": "2023-11-14T22:13:20Z",
        "count": 3,
    }
    entry = kubernetes_entry(kubernetes_event)
    assert entry.at == pytest.approx(START + 0.25, abs=1e-3)
    assert entry.key == "demo/web"
    assert entry.text == "RolloutPaused: Rollout is paused (CanaryPauseStep) (x3)"
    foreign = kubernetes_entry({**kubernetes_event, "metadata": {"name": "web.1", "uid": "e2"}})
    assert foreign.at == START


def test_a_message_of_several_lines_is_one() -> None:
    event = {
        "metadata": {"name": "web.1", "uid": "e"},
        "involvedObject": {"namespace": "shop", "name": "web"},
        "reason": "Failed",
        "message": "first\nsecond\r\n",
        "lastTimestamp": "2026-01-01T00:00:00Z",
    }
    (line,) = EventLog().lines([kubernetes_entry(event)])
    assert line.endswith("  Failed: first second")


def test_a_rollout_whose_memory_cannot_be_read_has_no_events() -> None:
    assert object_entries({"metadata": {}, "status": {"headrace": {"epoch": "x"}}}) == []
