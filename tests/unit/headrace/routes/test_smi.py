from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.kubernetes.resources import TRAFFIC_SPLITS
from headrace.model.route import (
    AdditionalDestination,
    BackendShare,
    Fence,
    Hashes,
    RouteDocument,
    RouterConfig,
    Services,
    Weights,
)
from headrace.routes import (
    ApiVersions,
    CreateObject,
    MergeChange,
    ObjectRef,
    RenderError,
    read_fence,
    smi,
    stamp,
)

UID = "5f0c"
CONFIG = RouterConfig(kind="smi", config=json.dumps({"rootService": "root"}))


def document(canary: int = 10, **overrides: Any) -> RouteDocument:
    fields: dict[str, Any] = {
        "cluster": "c",
        "namespace": "shop",
        "rollout": "web",
        "uid": UID,
        "epoch": 7,
        "generation": 3,
        "decided_at": "2026-01-01T00:00:00Z",
        "routers": (CONFIG,),
        "services": Services(
            canary="web-canary",
            stable="web-stable",
            canary_role="web-canary",
            stable_role="web-stable",
        ),
        "hashes": Hashes(canary="c1", stable="s1"),
        "weights": Weights(canary=canary, stable=100 - canary),
    }
    return RouteDocument(**{**fields, **overrides})


def ref(version: str = "v1alpha1", name: str = "web") -> ObjectRef:
    return ObjectRef(TRAFFIC_SPLITS.at_version(version), "shop", name)


def stored(canary: Any = "10", stable: Any = "90", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "split.smi-spec.io/v1alpha1",
        "kind": "TrafficSplit",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "resourceVersion": "41",
            "ownerReferences": [{"kind": "Rollout", "uid": UID, "controller": True}],
        },
        "spec": {
            "service": "root",
            "backends": [
                {"service": "web-canary", "weight": canary},
                {"service": "web-stable", "weight": stable},
            ],
            **spec,
        },
    }


def test_the_split_is_named_as_the_rollout_unless_configured() -> None:
    named = RouterConfig(kind="smi", config=json.dumps({"trafficSplitName": "split"}))
    assert smi.targets(CONFIG, document(), ApiVersions("v1alpha3")).refs == (ref("v1alpha3"),)
    assert smi.targets(named, document(), ApiVersions()).refs[0].name == "split"


def test_an_unknown_version_is_an_error() -> None:
    found = smi.targets(CONFIG, document(), ApiVersions("v2"))
    assert found.error == RenderError("Unsupported TrafficSplit API version `v2`")


def test_an_unreadable_configuration_is_an_error() -> None:
    broken = RouterConfig(kind="smi", config='{"rootService": 3}')
    assert smi.targets(broken, document(), ApiVersions()).error is not None


@pytest.mark.parametrize(
    ("version", "weights"),
    [("v1alpha1", ["10", "90"]), ("v1alpha2", [10, 90]), ("v1alpha4", [10, 90])],
)
def test_weights_are_texts_in_the_first_version_and_numbers_later(
    version: str, weights: list[Any]
) -> None:
    made = smi.render(CONFIG, document(), ref(version), None)
    assert isinstance(made, dict)
    assert made["apiVersion"] == f"split.smi-spec.io/{version}"
    assert [each["weight"] for each in made["spec"]["backends"]] == weights


def test_a_new_split_belongs_to_the_rollout() -> None:
    made = smi.render(CONFIG, document(), ref(), None)
    assert isinstance(made, dict)
    assert made["metadata"] == {
        "name": "web",
        "namespace": "shop",
        "ownerReferences": [
            {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Rollout",
                "name": "web",
                "uid": UID,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    assert isinstance(smi.change(None, made, "k"), CreateObject)


def test_the_root_defaults_to_the_stable_service() -> None:
    made = smi.render(RouterConfig(kind="smi"), document(), ref(), None)
    assert isinstance(made, dict)
    assert made["spec"]["service"] == "web-stable"


def test_additional_destinations_stand_between_canary_and_stable() -> None:
    extra = AdditionalDestination(service="exp", weight=5)
    weights = Weights(canary=10, stable=85, additional=(extra,))
    made = smi.render(CONFIG, document(weights=weights), ref("v1alpha2"), None)
    assert isinstance(made, dict)
    assert made["spec"]["backends"] == [
        {"service": "web-canary", "weight": 10},
        {"service": "exp", "weight": 5},
        {"service": "web-stable", "weight": 85},
    ]


def test_a_canary_at_zero_stays_in_the_split() -> None:
    made = smi.render(CONFIG, document(0), ref(), stored())
    assert isinstance(made, dict)
    assert made["spec"]["backends"] == [
        {"service": "web-canary", "weight": "0"},
        {"service": "web-stable", "weight": "100"},
    ]


def test_a_foreign_split_is_refused() -> None:
    foreign = stored()
    foreign["metadata"]["ownerReferences"] = [{"uid": UID}]
    error = smi.render(CONFIG, document(), ref(), foreign)
    assert error == RenderError("Rollout does not own TrafficSplit `web`")


@pytest.mark.parametrize("notation", [("10", "90"), (10, 90), ("10000m", "90")])
def test_a_split_that_says_the_same_is_left_as_it_is(notation: tuple[Any, Any]) -> None:
    manifest = stored(*notation)
    assert smi.render(CONFIG, document(), ref(), manifest) is manifest


@pytest.mark.parametrize(
    ("text", "weight"),
    [("5", 5), (7, 7), ("1k", 1000), ("1M", 1_000_000), ("2000m", 2), ("5m", -1), ("x", -1)],
)
def test_weights_are_read_in_every_notation(text: Any, weight: int) -> None:
    assert smi.observe(stored(text), ())[0].weight == weight


def test_another_root_or_a_foreign_backend_is_replaced() -> None:
    moved = smi.render(CONFIG, document(), ref(), stored(service="other"))
    assert isinstance(moved, dict)
    assert moved["spec"]["service"] == "root"
    backends = [*stored()["spec"]["backends"], {"service": "evil", "weight": "1"}]
    cleaned = smi.render(CONFIG, document(), ref(), stored(backends=backends))
    assert isinstance(cleaned, dict)
    assert len(cleaned["spec"]["backends"]) == 2


def test_the_patch_holds_the_changed_leaves_and_the_resource_version() -> None:
    manifest = stored(matches=[{"kind": "HTTPRouteGroup"}])
    desired = smi.render(CONFIG, document(33), ref(), manifest)
    assert isinstance(desired, dict)
    change = smi.change(manifest, desired, "k")
    assert isinstance(change, MergeChange)
    assert change.body == {
        "metadata": {"resourceVersion": "41"},
        "spec": {
            "backends": [
                {"service": "web-canary", "weight": "33"},
                {"service": "web-stable", "weight": "67"},
            ]
        },
    }
    assert smi.change(manifest, manifest, "k") is None


def fence() -> Fence:
    split = (
        BackendShare(service="web-canary", weight=10),
        BackendShare(service="web-stable", weight=90),
    )
    return Fence(uid=UID, rollout="shop/web", epoch=7, level="written", split=split)


def test_release_moves_all_to_stable_and_drops_the_fence() -> None:
    released = smi.release(stamp(stored(), fence()), fence(), CONFIG)
    assert [each["weight"] for each in released["spec"]["backends"]] == ["0", "100"]
    assert read_fence(released, UID) is None


def test_an_orphan_is_left_to_the_garbage_collector_when_owned() -> None:
    owned = stamp(stored(), fence())
    assert smi.release_orphan(owned, fence()) is owned
    shared = stamp(stored(), fence())
    shared["metadata"] = {**shared["metadata"], "ownerReferences": []}
    released = smi.release_orphan(shared, fence())
    assert read_fence(released, UID) is None
    assert released["spec"] == shared["spec"]
