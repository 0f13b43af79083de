from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.ids import fence_key
from headrace.kubernetes.patches import apply_json_patch, merge_patch
from headrace.kubernetes.resources import HTTP_ROUTES, TRAFFIC_SPLITS
from headrace.model.meta import format_time
from headrace.model.quantities import Instant
from headrace.model.route import (
    LEVELS,
    BackendShare,
    Fence,
    Hashes,
    RouteDocument,
    RouterConfig,
    Services,
    Verify,
    Weights,
)
from headrace.model.traffic import TrafficWeights, WeightDestination
from headrace.routes import (
    ApiVersions,
    Change,
    CreateObject,
    JsonChange,
    MergeChange,
    ObjectRef,
    gateway_api,
    is_expired,
    locate,
    raises,
    read_fence,
    resolve,
    router_of_object,
    smi,
    stamp,
)
from traffic_router.core.decide import decide
from traffic_router.core.invariants import check
from traffic_router.core.observed import Observed, RolloutView, RouterSight
from traffic_router.core.plan import Purpose, Reason

NOW = Instant(1_000_000.0)
UID = "5f0c"
SMI = RouterConfig(kind="smi")
GATEWAY = RouterConfig(
    kind="plugin", plugin=gateway_api.PLUGIN, config=json.dumps({"httpRoute": "web"})
)

canaries = st.integers(0, 100)
epochs = st.integers(1, 4)
acknowledgements = st.integers(0, 4)


def split(canary: int) -> tuple[BackendShare, ...]:
    return (
        BackendShare(service="c", weight=canary),
        BackendShare(service="s", weight=100 - canary),
    )


def asked(document: RouteDocument) -> tuple[BackendShare, ...]:
    """The split of the document: canary first, whichever Service plays it."""
    services, weights = document.services, document.weights
    return (
        BackendShare(service=services.canary_role or "", weight=weights.canary),
        BackendShare(service=services.stable_role or "", weight=weights.stable),
    )


@st.composite
def documents(draw: st.DrawFn) -> RouteDocument:
    canary = draw(canaries)
    canary_role, stable_role = draw(st.permutations(["c", "s"]))
    return RouteDocument(
        cluster="c",
        namespace="shop",
        rollout="web",
        uid=UID,
        epoch=draw(epochs),
        generation=1,
        decided_at=format_time(NOW),
        valid_until=draw(st.sampled_from([None, format_time(NOW - 1), format_time(NOW + 1)])),
        aborted=draw(st.booleans()),
        routers=draw(st.sampled_from([(SMI,), (GATEWAY,), (SMI, GATEWAY)])),
        services=Services(canary_role=canary_role, stable_role=stable_role),
        hashes=Hashes(),
        weights=Weights(canary=canary, stable=100 - canary),
        verify=Verify(wanted=draw(st.booleans()), level=draw(st.sampled_from(LEVELS))),
    )


@st.composite
def fenced(draw: st.DrawFn, manifest: dict[str, Any]) -> dict[str, Any]:
    """The object with or without a fence, which may tell of another split than it stores."""
    if draw(st.booleans()):
        return manifest
    fence = Fence(
        uid=UID,
        rollout="shop/web",
        epoch=draw(epochs),
        level=draw(st.sampled_from(LEVELS)),
        split=split(draw(canaries)),
    )
    return stamp(manifest, fence)


@st.composite
def traffic_splits(draw: st.DrawFn) -> dict[str, Any] | None:
    if draw(st.booleans()):
        return None
    names = draw(st.lists(st.sampled_from(["c", "s", "x"]), max_size=3))
    weight = st.one_of(canaries, canaries.map(str))
    manifest = {
        "apiVersion": "split.smi-spec.io/v1alpha1",
        "kind": "TrafficSplit",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "resourceVersion": "4",
            "generation": 1,
            "ownerReferences": [{"uid": UID, "controller": True}],
        },
        "spec": {
            "service": draw(st.sampled_from(["s", "root"])),
            "backends": [{"service": name, "weight": draw(weight)} for name in names],
        },
    }
    return draw(fenced(manifest))


@st.composite
def http_routes(draw: st.DrawFn) -> dict[str, Any]:
    def rule() -> dict[str, Any]:
        names = draw(st.lists(st.sampled_from(["c", "s", "x"]), max_size=3))
        refs = [{"name": name, "weight": draw(canaries)} for name in names]
        return {"backendRefs": refs}

    manifest: dict[str, Any] = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "resourceVersion": "4",
            "generation": 1,
            **draw(st.sampled_from([{}, {"labels": {"team": "a"}}])),
        },
        "spec": {"rules": [rule() for _ in range(draw(st.integers(0, 3)))]},
    }
    return draw(fenced(manifest))


@st.composite
def views(draw: st.DrawFn) -> RolloutView:
    acked, claimed = draw(acknowledgements), draw(st.none() | canaries)
    weights = None
    if claimed is not None:
        weights = TrafficWeights(
            canary=WeightDestination(weight=claimed), stable=WeightDestination(weight=100 - claimed)
        )
    return RolloutView(
        namespace="shop",
        name="web",
        uid=UID,
        is_deleting=draw(st.integers(0, 9)) == 0,
        is_aborted=draw(st.booleans()),
        acknowledged_epoch=acked,
        acknowledged_canary=draw(canaries) if acked else None,
        weights=weights,
    )


Stored = dict[ObjectRef, dict[str, Any] | None]


def snapshot(document: RouteDocument, view: RolloutView, stored: Stored) -> Observed:
    sights = []
    for router in document.routers:
        targets = locate(router, document, ApiVersions())
        sights.append(RouterSight(router, targets, resolve(targets, stored)))
    return Observed(
        key="shop/web",
        rollout=view,
        document=document,
        routers=tuple(sights),
        server_offset_seconds=0.0,
    )


def carried_out(manifest: dict[str, Any] | None, change: Change) -> dict[str, Any]:
    match change:
        case CreateObject(created):
            after: dict[str, Any] = merge_patch(
                created, {"metadata": {"resourceVersion": "5", "generation": 1}}
            )
        case MergeChange(body):
            after = merge_patch(manifest, body)
        case JsonChange(operations):
            after = apply_json_patch(manifest, operations)
    return after


stored_objects = st.builds(
    lambda split, route: {
        ObjectRef(TRAFFIC_SPLITS, "shop", "web"): split,
        ObjectRef(HTTP_ROUTES, "shop", "web"): route,
    },
    traffic_splits(),
    st.none() | http_routes(),
)


@given(documents(), traffic_splits())
def test_a_rendered_split_reads_back_and_is_left_alone(
    document: RouteDocument, manifest: dict[str, Any] | None
) -> None:
    ref = ObjectRef(TRAFFIC_SPLITS, "shop", "web")
    made = smi.render(SMI, document, ref, manifest)
    assert isinstance(made, dict)
    assert smi.observe(made, ()) == asked(document)
    assert smi.render(SMI, document, ref, made) is made


@given(documents(), http_routes())
def test_a_rendered_route_reads_back_and_is_left_alone(
    document: RouteDocument, manifest: dict[str, Any]
) -> None:
    ref = ObjectRef(HTTP_ROUTES, "shop", "web")
    made = gateway_api.render(GATEWAY, document, ref, manifest)
    if isinstance(made, dict):
        wanted = asked(document)
        assert gateway_api.observe(made, wanted) == wanted
        assert gateway_api.render(GATEWAY, document, ref, made) is made
        foreign = [
            [ref for ref in rule["backendRefs"] if ref["name"] == "x"]
            for rule in made["spec"]["rules"]
        ]
        assert foreign == [
            [ref for ref in rule["backendRefs"] if ref["name"] == "x"]
            for rule in manifest["spec"]["rules"]
        ]


@given(documents(), views(), stored_objects)
def test_a_change_leads_exactly_to_the_desired_object(
    document: RouteDocument, view: RolloutView, stored: Stored
) -> None:
    for write in decide(snapshot(document, view, stored), now=NOW).writes:
        after = carried_out(write.previous, write.change)
        assert after["spec"] == write.desired["spec"]
        for field in ("labels", "annotations"):
            assert (after["metadata"].get(field) or {}) == (
                write.desired["metadata"].get(field) or {}
            )


@settings(max_examples=300)
@given(documents(), views(), stored_objects)
def test_every_plan_is_safe_and_comes_to_rest(
    document: RouteDocument, view: RolloutView, stored: Stored
) -> None:
    objects = dict(stored)
    for _ in range(4):
        observed = snapshot(document, view, objects)
        plan = decide(observed, now=NOW)
        assert plan == decide(observed, now=NOW)
        check(observed, plan)
        if not plan.writes:
            break
        for write in plan.writes:
            before = objects[write.ref]
            objects[write.ref] = carried_out(before, write.change)
            _assert_allowed(document, view, write.ref, before, objects[write.ref])
            assert write.purpose in (Purpose.APPLY, Purpose.REPAIR, Purpose.LEVEL)
    else:
        raise AssertionError("the plans do not come to rest")
    assert plan.facts or plan.reason in (Reason.ROLLOUT_DELETING, Reason.FOREIGN_WEIGHTS)


def _assert_allowed(
    document: RouteDocument,
    view: RolloutView,
    ref: ObjectRef,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> None:
    router, wanted = router_of_object(ref.resource), asked(document)
    assert not view.is_deleting
    assert after is not None
    fence = read_fence(after, UID)
    assert fence is not None
    assert fence.epoch == document.epoch
    old = read_fence(before, UID) if before is not None else None
    assert old is None or old.epoch <= document.epoch
    seen = router.observe(before, wanted) if before is not None else ()
    if raises(wanted, seen, document.services.stable_role):
        assert document.aborted or not view.is_aborted
        assert not is_expired(document, NOW, view.acknowledged_epoch)


@given(documents(), views(), stored_objects)
def test_a_fence_of_a_newer_epoch_is_never_touched(
    document: RouteDocument, view: RolloutView, stored: Stored
) -> None:
    newer = Fence(
        uid=UID, rollout="shop/web", epoch=document.epoch + 1, level="written", split=split(50)
    )
    objects = {ref: each and stamp(each, newer) for ref, each in stored.items()}
    plan = decide(snapshot(document, view, objects), now=NOW)
    assert all(write.previous is None for write in plan.writes)


@given(documents(), views(), stored_objects)
def test_an_aborted_rollout_is_never_raised(
    document: RouteDocument, view: RolloutView, stored: Stored
) -> None:
    aborted = replace(view, is_aborted=True)
    request = document.model_copy(update={"aborted": False})
    for write in decide(snapshot(request, aborted, stored), now=NOW).writes:
        router, wanted = router_of_object(write.ref.resource), asked(request)
        seen = router.observe(write.previous, wanted) if write.previous else ()
        assert not raises(wanted, seen, request.services.stable_role)


def test_the_fence_key_is_a_valid_annotation_name() -> None:
    prefix, _, name = fence_key(UID).partition("/")
    assert prefix == "headrace.io"
    assert len(name) <= 63
