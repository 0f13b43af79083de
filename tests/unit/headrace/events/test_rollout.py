from __future__ import annotations

from headrace.events.rollout import (
    AnalysisRequested,
    RolloutAborted,
    RouteRequested,
    RouteVerifyRequested,
)
from headrace.model.route import Hashes, RouteDocument, Services, Weights

WEB = {"namespace": "shop", "rollout": "web", "uid": "u-1", "epoch": 7}


def _document(renewal: int) -> RouteDocument:
    return RouteDocument(
        cluster="c",
        namespace="shop",
        rollout="web",
        uid="u-1",
        epoch=7,
        generation=2,
        decided_at="2026-11-23T10:00:00Z",
        renewal=renewal,
        routers=(),
        services=Services(
            canary="preview", stable="active", canary_role="preview", stable_role="active"
        ),
        hashes=Hashes(canary="a", stable="b"),
        weights=Weights(canary=10, stable=90),
    )


def test_a_fact_is_told_apart_by_its_place_in_the_history() -> None:
    assert RolloutAborted.model_validate({**WEB, "ordinal": 12}).id_ordinal() == "12"


def test_a_request_is_told_apart_by_its_renewal() -> None:
    requests = [
        RouteRequested.model_validate({**WEB, "route": _document(renewal)}) for renewal in (0, 1)
    ]
    assert [request.id_ordinal() for request in requests] == ["0", "1"]
    assert requests[0].event_id() != requests[1].event_id()


def test_a_request_carries_the_document_of_the_status_unchanged() -> None:
    document = _document(0)
    request = RouteRequested.model_validate({**WEB, "route": document})
    assert RouteRequested.model_validate_json(request.model_dump_json(by_alias=True)) == request
    assert RouteDocument.load(request.dump()["route"]) == document


def test_a_verification_is_told_apart_by_its_check_and_renewal() -> None:
    request = RouteVerifyRequested.model_validate({**WEB, "check": "stableService", "renewal": 2})
    assert request.id_ordinal() == "stableService/2"


def test_an_analysis_is_requested_once() -> None:
    request = AnalysisRequested.model_validate(
        {**WEB, "run": "web-2-1", "runUid": "r-1", "runType": "Background"}
    )
    assert request.id_ordinal() == "r-1"
