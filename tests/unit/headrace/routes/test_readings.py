from __future__ import annotations

from typing import Any

from headrace.kubernetes.resources import TRAFFIC_SPLITS
from headrace.model.route import (
    BackendShare,
    Fence,
    Hashes,
    RouteDocument,
    RouterConfig,
    Services,
    Weights,
)
from headrace.routes import ObjectRef, Sighting, read_object, smi, stamp

UID = "5f0c"
REF = ObjectRef(TRAFFIC_SPLITS, "shop", "web")
SMI = RouterConfig(kind="smi")
SPLIT = (BackendShare(service="c", weight=10), BackendShare(service="s", weight=90))
DOCUMENT = RouteDocument(
    cluster="c",
    namespace="shop",
    rollout="web",
    uid=UID,
    epoch=7,
    generation=1,
    decided_at="1970-01-01T00:00:00Z",
    routers=(),
    services=Services(canary="c", stable="s", canary_role="c", stable_role="s"),
    hashes=Hashes(),
    weights=Weights(canary=10, stable=90),
)


def stored(canary: int) -> dict[str, Any]:
    backends = [{"service": "c", "weight": canary}, {"service": "s", "weight": 100 - canary}]
    return {"metadata": {"name": "web"}, "spec": {"backends": backends}}


def fenced(canary: int, epoch: int) -> dict[str, Any]:
    fence = Fence(uid=UID, rollout="shop/web", epoch=epoch, level="written", split=SPLIT)
    return stamp(stored(canary), fence)


def test_drift_is_what_differs_from_the_fence_under_any_epoch() -> None:
    for epoch in (3, 7):
        assert read_object(smi, SMI, DOCUMENT, Sighting(REF, fenced(33, epoch)), 0).is_drifted
        assert not read_object(smi, SMI, DOCUMENT, Sighting(REF, fenced(10, epoch)), 0).is_drifted


def test_a_missing_object_is_drift_only_when_the_epoch_was_acknowledged() -> None:
    assert not read_object(smi, SMI, DOCUMENT, Sighting(REF, None), 6).is_drifted
    assert read_object(smi, SMI, DOCUMENT, Sighting(REF, None), 7).is_drifted


def test_a_missing_fence_is_drift_when_the_acknowledged_split_is_gone_too() -> None:
    assert not read_object(smi, SMI, DOCUMENT, Sighting(REF, stored(10)), 7).is_drifted
    assert read_object(smi, SMI, DOCUMENT, Sighting(REF, stored(33)), 7).is_drifted
    assert not read_object(smi, SMI, DOCUMENT, Sighting(REF, stored(33)), 6).is_drifted
