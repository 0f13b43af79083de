from __future__ import annotations

from typing import Any

from headrace.model.route import Hashes, RouteDocument, Services, Weights
from traffic_router.documents import DocumentCache, raw_route

UID = "5f0c"


def document(epoch: int = 1, uid: str = UID) -> RouteDocument:
    return RouteDocument(
        cluster="c",
        namespace="shop",
        rollout="web",
        uid=uid,
        epoch=epoch,
        generation=1,
        decided_at="2026-01-01T00:00:00Z",
        routers=(),
        services=Services(),
        hashes=Hashes(),
        weights=Weights(canary=0, stable=100),
    )


def rollout(route: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "shop", "name": "web", "uid": UID},
        "status": {"headrace": {"route": route}},
    }


def test_a_document_is_decoded_once_per_change() -> None:
    cache = DocumentCache()
    first = cache.read(rollout(document().dump()))
    assert first == document()
    assert cache.read(rollout(document().dump())) is first
    assert cache.read(rollout(document(2).dump())) == document(2)


def test_a_rollout_without_a_document_has_none() -> None:
    cache = DocumentCache()
    assert cache.read(rollout(None)) is None
    assert raw_route({"metadata": {}, "status": None}) is None


def test_an_unreadable_document_is_none() -> None:
    assert DocumentCache().read(rollout({"epoch": "x"})) is None


def test_a_document_for_another_uid_is_none() -> None:
    assert DocumentCache().read(rollout(document(uid="other").dump())) is None
