from __future__ import annotations

from typing import Any

import pytest

from headrace.ids import fence_key
from headrace.model.quantities import Instant
from headrace.model.route import BackendShare, Fence, Hashes, RouteDocument, Services, Weights
from headrace.routes.fence import (
    is_confirmed,
    is_expired,
    rank,
    read_fence,
    read_fences,
    stamp,
    unstamp,
    with_metadata,
)

UID = "5f0c"
SPLIT = (BackendShare(service="c", weight=10), BackendShare(service="s", weight=90))
VALID_UNTIL = "1970-01-01T00:01:00Z"


def fence(uid: str = UID, epoch: int = 7, **overrides: Any) -> Fence:
    fields = {"uid": uid, "rollout": "shop/web", "epoch": epoch, "level": "written", "split": SPLIT}
    return Fence(**{**fields, **overrides})


def document(epoch: int = 7, valid_until: str | None = None) -> RouteDocument:
    return RouteDocument(
        cluster="c",
        namespace="shop",
        rollout="web",
        uid=UID,
        epoch=epoch,
        generation=1,
        decided_at="1970-01-01T00:00:00Z",
        valid_until=valid_until,
        routers=(),
        services=Services(canary="c", stable="s", canary_role="c", stable_role="s"),
        hashes=Hashes(),
        weights=Weights(canary=10, stable=90),
    )


def test_a_fence_is_read_back_as_it_was_stamped() -> None:
    manifest = stamp({"metadata": {"name": "web"}}, fence(backends=("exp",)))
    assert read_fence(manifest, UID) == fence(backends=("exp",))
    assert read_fence(unstamp(manifest, UID), UID) is None


def test_the_fence_is_compact_json_with_the_documented_fields() -> None:
    manifest = stamp({"metadata": {}}, fence(split=SPLIT[:1]))
    assert manifest["metadata"]["annotations"] == {
        fence_key(UID): '{"uid":"5f0c","rollout":"shop/web","epoch":7,"level":"written",'
        '"split":[{"service":"c","weight":10}]}'
    }


def test_rollouts_share_an_object_by_their_uids() -> None:
    manifest = stamp(stamp({"metadata": {}}, fence()), fence("9a", 3))
    assert read_fence(manifest, UID) == fence()
    assert {each.uid for each in read_fences(manifest)} == {UID, "9a"}
    assert read_fences(unstamp(manifest, UID)) == (fence("9a", 3),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "no json",
        fence("other").model_dump_json(),
        fence(rollout="web").model_dump_json(),
        fence(rollout="shop/").model_dump_json(),
        fence(rollout="/web").model_dump_json(),
        fence(rollout="shop/web/status").model_dump_json(),
        fence(epoch=0).model_dump_json(),
        fence(epoch=2**63 - 1).model_dump_json(),
    ],
)
def test_what_is_no_fence_of_this_uid_counts_as_none(text: str) -> None:
    manifest = {"metadata": {"annotations": {fence_key(UID): text}}}
    assert read_fence(manifest, UID) is None
    assert read_fences(manifest) == ()


def test_metadata_that_changes_nothing_gives_the_same_object() -> None:
    manifest = {"metadata": {"labels": {"a": ""}}}
    assert with_metadata(manifest, labels={"a": "", "b": None}) is manifest
    assert with_metadata({"metadata": {}}, labels={"b": None})["metadata"] == {}


def test_levels_are_ranked() -> None:
    assert [rank(each) for each in (None, "written", "accepted", "observed")] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("found", "epoch", "acked", "confirmed"),
    [
        (fence(epoch=7), 7, 0, True),
        (fence(epoch=7, split=()), 7, 7, False),
        (None, 7, 7, False),
        (fence(epoch=6), 7, 6, True),
        (fence(epoch=4), 7, 6, True),
        (fence(epoch=6), 7, 5, False),
        (fence(epoch=4), 7, 4, False),
        (fence(epoch=6), 7, 7, True),
        (fence(epoch=8), 7, 7, False),
    ],
    ids=[
        "same epoch",
        "same epoch, another split",
        "no fence",
        "the acknowledged epoch before has the same split",
        "so had the acknowledged epochs between",
        "the epoch before is not acknowledged",
        "an epoch between is not acknowledged",
        "acknowledged without a write",
        "a newer fence",
    ],
)
def test_a_fence_confirms_an_epoch(
    found: Fence | None, epoch: int, acked: int, confirmed: bool
) -> None:
    assert is_confirmed(found, document(epoch), SPLIT, acked) is confirmed


@pytest.mark.parametrize(
    ("valid_until", "server_now", "acked", "expired"),
    [
        (VALID_UNTIL, 60.0, 6, False),
        (VALID_UNTIL, 60.1, 6, True),
        (VALID_UNTIL, 9999.0, 7, False),
        (VALID_UNTIL, None, 6, True),
        (VALID_UNTIL, None, 7, False),
        (None, 9999.0, 0, False),
        ("soon", 0.0, 0, True),
    ],
)
def test_raises_expire(
    valid_until: str | None, server_now: float | None, acked: int, expired: bool
) -> None:
    instant = None if server_now is None else Instant(server_now)
    assert is_expired(document(7, valid_until), instant, acked) is expired
