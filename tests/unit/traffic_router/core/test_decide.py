from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from headrace.errors import InvariantViolation
from headrace.events.rollout import RouteVerifyRequested
from headrace.events.traffic import RouteApplied, RouteRefused, RouteVerified
from headrace.kubernetes.resources import HTTP_ROUTES, TRAFFIC_SPLITS
from headrace.model.meta import format_time
from headrace.model.quantities import Instant
from headrace.model.route import (
    BackendShare,
    Fence,
    Hashes,
    Level,
    RouteDocument,
    RouterConfig,
    Services,
    Verify,
    Weights,
)
from headrace.model.traffic import TrafficWeights, WeightDestination
from headrace.routes import (
    ApiVersions,
    CreateObject,
    JsonChange,
    MergeChange,
    ObjectRef,
    Sighting,
    locate,
    read_fence,
    resolve,
    stamp,
)
from traffic_router.core.decide import decide
from traffic_router.core.invariants import check
from traffic_router.core.observed import (
    Failure,
    Memory,
    Observed,
    Orphan,
    Repair,
    RolloutView,
    RouterSight,
    Said,
)
from traffic_router.core.plan import Plan, Purpose, Reason

NOW = Instant(1_000_000.0)
UID = "5f0c"
SMI = RouterConfig(kind="smi")
GATEWAY = RouterConfig(
    kind="plugin", plugin="argoproj-labs/gatewayAPI", config=json.dumps({"httpRoute": "web"})
)
SPLIT_REF = ObjectRef(TRAFFIC_SPLITS, "shop", "web")
ROUTE_REF = ObjectRef(HTTP_ROUTES, "shop", "web")


def split(canary: int) -> tuple[BackendShare, ...]:
    return (
        BackendShare(service="web-canary", weight=canary),
        BackendShare(service="web-stable", weight=100 - canary),
    )


def document(canary: int = 10, epoch: int = 7, **overrides: Any) -> RouteDocument:
    fields: dict[str, Any] = {
        "cluster": "c",
        "namespace": "shop",
        "rollout": "web",
        "uid": UID,
        "epoch": epoch,
        "generation": 3,
        "decided_at": format_time(NOW),
        "valid_until": format_time(NOW + 60),
        "routers": (SMI,),
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


def rollout(acked: int = 0, canary: int | None = None, **overrides: Any) -> RolloutView:
    weights = None
    if canary is not None:
        weights = TrafficWeights(
            canary=WeightDestination(weight=canary), stable=WeightDestination(weight=100 - canary)
        )
    fields: dict[str, Any] = {
        "namespace": "shop",
        "name": "web",
        "uid": UID,
        "revision": "2",
        "acknowledged_epoch": acked,
        "acknowledged_canary": canary if acked else None,
        "weights": weights,
    }
    return RolloutView(**{**fields, **overrides})


def traffic_split(
    canary: int, epoch: int | None = None, fenced: int | None = None, level: Level = "written"
) -> dict[str, Any]:
    """A TrafficSplit at `canary`, with the fence of `epoch` that says `fenced` (or the same)."""
    manifest = {
        "apiVersion": "split.smi-spec.io/v1alpha1",
        "kind": "TrafficSplit",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "resourceVersion": "41",
            "ownerReferences": [{"uid": UID, "controller": True}],
        },
        "spec": {
            "service": "web-stable",
            "backends": [
                {"service": each.service, "weight": str(each.weight)} for each in split(canary)
            ],
        },
    }
    if epoch is None:
        return manifest
    return stamp(manifest, fence(epoch, canary if fenced is None else fenced, level))


def http_route(canary: int, epoch: int | None = None, level: Level = "written") -> dict[str, Any]:
    refs = [{"name": each.service, "weight": each.weight} for each in split(canary)]
    manifest: dict[str, Any] = {
        "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "8", "generation": 2},
        "spec": {"rules": [{"backendRefs": refs}]},
    }
    if canary:
        manifest["metadata"]["labels"] = {"rollouts.argoproj.io/gatewayapi-canary": "in-progress"}
    return manifest if epoch is None else stamp(manifest, fence(epoch, canary, level))


def fence(epoch: int, canary: int, level: Level = "written", uid: str = UID) -> Fence:
    return Fence(uid=uid, rollout="shop/web", epoch=epoch, level=level, split=split(canary))


def sight(router: RouterConfig, doc: RouteDocument, manifest: dict[str, Any] | None) -> RouterSight:
    targets = locate(router, doc, ApiVersions())
    named = {targets.refs[0]: manifest} if targets.refs else {}
    return RouterSight(router, targets, resolve(targets, named))


def observed(
    manifest: dict[str, Any] | None,
    doc: RouteDocument | None = None,
    view: RolloutView | None = None,
    **overrides: Any,
) -> Observed:
    doc = doc or document()
    base = Observed(
        key="shop/web",
        rollout=view or rollout(),
        document=doc,
        routers=tuple(sight(router, doc, manifest) for router in doc.routers),
        server_offset_seconds=0.0,
    )
    return replace(base, **overrides)


def planned(snapshot: Observed, now: float = NOW) -> Plan:
    plan = decide(snapshot, now=Instant(now))
    check(snapshot, plan)
    return plan


def test_creates_the_missing_object_with_its_fence() -> None:
    (write,) = planned(observed(None)).writes
    assert isinstance(write.change, CreateObject)
    assert write.purpose is Purpose.APPLY
    assert read_fence(write.change.manifest, UID) == fence(7, 10)
    assert write.drift is None


def test_writes_weight_and_fence_in_one_patch() -> None:
    plan = planned(observed(traffic_split(0, 6), view=rollout(6, 0)))
    (write,) = plan.writes
    assert isinstance(write.change, MergeChange)
    assert set(write.change.body) == {"metadata", "spec"}
    assert write.change.body["metadata"]["resourceVersion"] == "41"
    assert write.not_after == NOW + 60
    assert plan.facts == ()


def test_says_applied_when_the_object_holds_the_route() -> None:
    plan = planned(observed(traffic_split(10, 7)))
    (fact,) = plan.facts
    assert isinstance(fact, RouteApplied)
    assert (fact.epoch, fact.level, fact.reason) == (7, "written", "RouteApplied")
    assert fact.answers[0].observed == split(10)
    assert fact.resource_versions == {"TrafficSplit/web": "41"}
    assert plan.writes == ()
    assert plan.said == Said("applied", "5f0c", 7, 0, "written")


def test_says_it_once_but_again_when_asked() -> None:
    said = Said("applied", "5f0c", 7, 0, "written")
    quiet = planned(observed(traffic_split(10, 7), memory=Memory(said=said)))
    assert quiet.is_quiet
    asked = planned(observed(traffic_split(10, 7), memory=Memory(said=said, is_asked=True)))
    assert len(asked.facts) == 1
    renewed = document(renewal=1)
    assert planned(observed(traffic_split(10, 7), renewed, memory=Memory(said=said))).facts


def test_writes_the_fence_even_when_the_split_is_right() -> None:
    (write,) = planned(observed(traffic_split(10))).writes
    assert isinstance(write.change, MergeChange)
    assert set(write.change.body) == {"metadata"}
    assert write.not_after is None


def test_writes_nothing_when_the_acknowledged_epoch_before_had_the_same_split() -> None:
    plan = planned(observed(traffic_split(10, 6), view=rollout(6, 10)))
    assert plan.writes == ()
    assert isinstance(plan.facts[0], RouteApplied)


def test_refuses_an_older_epoch_and_says_the_one_found() -> None:
    plan = planned(observed(traffic_split(33, 9)))
    (fact,) = plan.facts
    assert isinstance(fact, RouteRefused)
    assert (fact.found_epoch, fact.reason) == (9, "OlderEpoch")
    assert fact.answers[0].found_epoch == 9
    assert plan.writes == ()


def test_a_predecessor_with_another_uid_does_not_fence() -> None:
    manifest = stamp(traffic_split(0), fence(99, 50, uid="dead"))
    assert planned(observed(manifest)).writes


@pytest.mark.parametrize(
    ("valid_until", "offset", "reason"),
    [
        (format_time(NOW - 1), 0.0, Reason.RAISE_EXPIRED),
        (format_time(NOW + 60), 61.0, Reason.RAISE_EXPIRED),
        (format_time(NOW + 60), None, Reason.RAISE_EXPIRED),
        (format_time(NOW - 1), -2.0, Reason.ROUTE_APPLYING),
        (format_time(NOW + 60), 0.0, Reason.ROUTE_APPLYING),
    ],
)
def test_refuses_an_expired_raise_by_the_servers_time(
    valid_until: str, offset: float | None, reason: Reason
) -> None:
    doc = document(valid_until=valid_until)
    plan = planned(observed(traffic_split(0, 6), doc, rollout(6, 0), server_offset_seconds=offset))
    assert plan.reason is reason
    assert bool(plan.writes) is (reason is Reason.ROUTE_APPLYING)


def test_looks_again_soon_while_the_servers_time_is_unknown() -> None:
    plan = planned(observed(traffic_split(0, 6), view=rollout(6, 0), server_offset_seconds=None))
    assert plan.wake_at == NOW + 1


def test_lowering_never_expires() -> None:
    doc = document(0, valid_until=format_time(NOW - 999))
    plan = planned(observed(traffic_split(33, 6), doc, rollout(6, 33), server_offset_seconds=None))
    assert plan.writes[0].not_after is None


def test_an_acknowledged_epoch_does_not_expire() -> None:
    doc = document(valid_until=format_time(NOW - 999))
    (write,) = planned(observed(traffic_split(0, 7, 10), doc, rollout(7, 10))).writes
    assert (write.purpose, write.not_after) == (Purpose.REPAIR, None)


def test_nothing_is_raised_while_the_rollout_is_aborted() -> None:
    view = rollout(6, 0, is_aborted=True)
    plan = planned(observed(traffic_split(0, 6), view=view))
    assert plan.reason is Reason.ROLLOUT_IS_ABORTED
    assert isinstance(plan.facts[0], RouteRefused)
    lowering = document(0, aborted=True)
    assert planned(observed(traffic_split(33, 6), lowering, view)).writes


def test_repairs_drift_and_says_it() -> None:
    (write,) = planned(observed(traffic_split(50, 7, 10), view=rollout(7, 10))).writes
    assert write.purpose is Purpose.REPAIR
    assert write.drift is not None
    assert (write.drift.resource_version, write.drift.epoch) == ("41", 7)
    assert write.drift.answers[0].rendered == split(10)
    assert write.drift.answers[0].observed == split(50)


def test_says_drift_under_a_newer_epoch_too() -> None:
    (write,) = planned(observed(traffic_split(50, 6, 0), view=rollout(6, 0))).writes
    assert write.purpose is Purpose.APPLY
    assert write.drift is not None
    assert write.drift.epoch == 6


def test_creates_again_what_was_deleted_by_hand() -> None:
    (write,) = planned(observed(None, view=rollout(7, 10))).writes
    assert write.purpose is Purpose.REPAIR
    assert write.drift is not None
    assert write.drift.message == "TrafficSplit/web was deleted"


@pytest.mark.parametrize("claimed", [33, None])
@pytest.mark.parametrize("manifest", [traffic_split(50, 7, 10), None, traffic_split(10)])
def test_leaves_drift_alone_when_another_controller_claims_other_weights(
    claimed: int | None, manifest: dict[str, Any] | None
) -> None:
    plan = planned(observed(manifest, view=rollout(7, claimed)))
    assert plan.is_quiet
    assert plan.reason is Reason.FOREIGN_WEIGHTS


def test_applies_again_before_the_acknowledgement_unless_weights_are_foreign() -> None:
    changed = traffic_split(50, 7, 10)
    view = rollout(6, 0)
    assert planned(observed(changed, view=view)).writes
    foreign = replace(view, weights=rollout(6, 20).weights)
    assert planned(observed(changed, view=foreign)).reason is Reason.FOREIGN_WEIGHTS


def test_a_rollout_that_is_deleted_gets_nothing() -> None:
    plan = planned(observed(None, view=rollout(is_deleting=True)))
    assert (plan.reason, plan.is_quiet) == (Reason.ROLLOUT_DELETING, True)


def test_a_rollout_without_a_request_gets_nothing() -> None:
    snapshot = Observed(key="shop/web", rollout=rollout())
    assert planned(snapshot).reason is Reason.NO_ROUTE


def test_routers_are_applied_in_order_until_the_first_error() -> None:
    doc = document(routers=(SMI, GATEWAY))
    snapshot = observed(None, doc)
    broken = replace(snapshot, routers=(sight(SMI, doc, traffic_split(10, 7)), snapshot.routers[1]))
    (fact,) = planned(broken).facts
    assert isinstance(fact, RouteRefused)
    assert [each.error for each in fact.answers] == [
        None,
        'httproutes.gateway.networking.k8s.io "web" not found',
    ]
    first = planned(replace(broken, routers=(broken.routers[1], broken.routers[0]))).facts[0]
    assert isinstance(first, RouteRefused)
    assert len(first.answers) == 1


def test_both_routers_are_written_in_one_pass() -> None:
    doc = document(routers=(SMI, GATEWAY))
    sights = (sight(SMI, doc, None), sight(GATEWAY, doc, http_route(0)))
    writes = planned(observed(None, doc, routers=sights)).writes
    assert [write.ref for write in writes] == [SPLIT_REF, ROUTE_REF]
    assert isinstance(writes[1].change, JsonChange)


def test_an_unknown_router_is_refused() -> None:
    doc = document(routers=(RouterConfig(kind="istio"),))
    plan = planned(observed(None, doc))
    assert plan.message == "istio: not supported by this version"


def test_a_kind_that_is_not_served_is_told() -> None:
    plan = planned(observed(None, unserved=frozenset({"trafficsplits.split.smi-spec.io"})))
    assert plan.reason is Reason.ROUTER_ERROR
    assert plan.message == "the API server does not serve trafficsplits.split.smi-spec.io"


def test_an_object_that_is_changed_again_after_its_repair_waits_for_the_next() -> None:
    fenced = traffic_split(50, 7, fenced=10)
    repaired = {SPLIT_REF: Repair(Instant(NOW - 1), 4.0)}
    early = planned(observed(fenced, memory=Memory(repairs=repaired)))
    assert (early.writes, early.facts) == ((), ())
    assert (early.reason, early.wake_at) == (Reason.DRIFTS_AGAIN, NOW + 3)
    over = {SPLIT_REF: Repair(Instant(NOW - 4), 4.0)}
    assert planned(observed(fenced, memory=Memory(repairs=over))).writes
    newer = document(epoch=8)
    assert planned(observed(fenced, newer, memory=Memory(repairs=repaired))).writes


def test_a_refused_write_is_not_repeated_before_the_next_renewal() -> None:
    failures = {SPLIT_REF: Failure(7, 0, "", "admission webhook says no")}
    plan = planned(observed(None, memory=Memory(failures=failures)))
    assert plan.writes == ()
    assert plan.message == "admission webhook says no"
    renewed = document(renewal=1)
    assert planned(observed(None, renewed, memory=Memory(failures=failures))).writes


def test_raises_the_level_in_the_fence_when_wanted_and_reached() -> None:
    parents = [{"conditions": [{"type": "Accepted", "status": "True", "observedGeneration": 2}]}]
    wanting = document(routers=(GATEWAY,), verify=Verify(wanted=True, level="accepted"))
    reached = {**http_route(10, 7), "status": {"parents": parents}}
    (write,) = planned(observed(reached, wanting)).writes
    assert write.purpose is Purpose.LEVEL
    raised = read_fence(write.desired, UID)
    assert raised is not None
    assert raised.level == "accepted"
    assert planned(observed(reached, document(routers=(GATEWAY,)))).writes == ()


def test_a_level_whose_write_is_refused_is_not_raised_and_what_holds_is_said() -> None:
    parents = [{"conditions": [{"type": "Accepted", "status": "True", "observedGeneration": 2}]}]
    wanting = document(routers=(GATEWAY,), verify=Verify(wanted=True, level="accepted"))
    reached = {**http_route(10, 7), "status": {"parents": parents}}
    (write,) = planned(observed(reached, wanting)).writes
    refusal = Failure(7, 0, reached["metadata"]["resourceVersion"], "admission webhook says no")
    plan = planned(observed(reached, wanting, memory=Memory(failures={write.ref: refusal})))
    assert plan.writes == ()
    assert [fact.level for fact in plan.facts if isinstance(fact, RouteApplied)] == ["written"]


def test_looks_again_while_a_wanted_level_is_not_reached() -> None:
    doc = document(routers=(GATEWAY,), verify=Verify(wanted=True, level="observed"))
    plan = planned(observed(http_route(10, 7), doc, reverify_seconds=3.0))
    assert plan.wake_at == NOW + 3
    assert plan.facts
    reached = planned(observed(http_route(10, 7, "accepted"), doc))
    assert reached.wake_at is None
    late = Verify(wanted=True, level="accepted", deadline=format_time(NOW - 1))
    over = doc.model_copy(update={"verify": late})
    assert planned(observed(http_route(10, 7), over)).wake_at is None


def test_a_split_cannot_reach_more_than_written() -> None:
    doc = document(verify=Verify(wanted=True, level="accepted"))
    assert planned(observed(traffic_split(10, 7), doc)).wake_at is None


def test_withdraws_what_is_no_longer_named() -> None:
    doc = document(routers=())
    old = sight(SMI, doc, traffic_split(33, 6))
    (write,) = planned(observed(None, doc, withdrawn=(old,))).writes
    assert write.purpose is Purpose.WITHDRAW
    assert read_fence(write.desired, UID) is None
    assert [each["weight"] for each in write.desired["spec"]["backends"]] == ["0", "100"]


@pytest.mark.parametrize("manifest", [None, traffic_split(33), traffic_split(33, 9)])
def test_does_not_withdraw_what_is_not_ours_or_newer(manifest: dict[str, Any] | None) -> None:
    doc = document(routers=())
    plan = planned(observed(None, doc, withdrawn=(sight(SMI, doc, manifest),)))
    assert plan.writes == ()
    assert isinstance(plan.facts[0], RouteApplied)


def test_an_object_that_is_still_named_is_not_withdrawn() -> None:
    doc = document()
    held = sight(SMI, doc, traffic_split(10, 7))
    assert planned(observed(traffic_split(10, 7), doc, withdrawn=(held,))).writes == ()


def test_cleans_the_routes_of_a_rollout_that_is_gone() -> None:
    orphan = Orphan(Sighting(ROUTE_REF, http_route(33, 6)), fence(6, 33))
    snapshot = Observed(key="shop/web", orphans=(orphan,))
    (write,) = planned(snapshot).writes
    assert split_in(write.desired) == [0, 100]
    assert read_fence(write.desired, UID) is None


def split_in(route: dict[str, Any]) -> list[int]:
    return [ref["weight"] for ref in route["spec"]["rules"][0]["backendRefs"]]


def test_a_successor_without_a_router_inherits_no_weight() -> None:
    """Nobody else would ever take its predecessor's canary out."""
    dead = fence(6, 33, uid="u-0")
    orphan = Orphan(Sighting(ROUTE_REF, stamp(http_route(33), dead)), dead)
    (write,) = planned(Observed(key="shop/web", rollout=rollout(), orphans=(orphan,))).writes
    assert split_in(write.desired) == [0, 100]
    assert read_fence(write.desired, "u-0") is None


@pytest.mark.parametrize(
    ("others", "is_name_foreign"), [([fence(7, 33)], False), ([], True)], ids=["ours", "foreign"]
)
def test_who_has_written_weights_of_his_own_keeps_them(
    others: list[Fence], is_name_foreign: bool
) -> None:
    manifest = http_route(33)
    refs = manifest["spec"]["rules"][0]["backendRefs"]
    refs.append({"name": "web-trial", "port": 80, "weight": 10})
    dead = fence(6, 10, uid="u-0").model_copy(update={"backends": ("web-trial",)})
    for each in (dead, *others):
        manifest = stamp(manifest, each)
    orphan = Orphan(Sighting(ROUTE_REF, manifest), dead, is_name_foreign=is_name_foreign)
    (write,) = planned(Observed(key="shop/web", orphans=(orphan,))).writes
    assert write.desired["spec"] == http_route(33)["spec"]
    assert read_fence(write.desired, "u-0") is None


def test_predecessors_that_are_gone_are_no_successors_of_each_other() -> None:
    fences = [fence(6, 33, uid=uid) for uid in ("u-0", "u-1")]
    manifest = stamp(stamp(http_route(33), fences[0]), fences[1])
    orphans = tuple(Orphan(Sighting(ROUTE_REF, manifest), each) for each in fences)
    writes = planned(Observed(key="shop/web", rollout=rollout(), orphans=orphans)).writes
    assert [split_in(each.desired) for each in writes] == [[0, 100], [0, 100]]


def test_what_a_predecessor_left_on_an_object_goes_before_a_split_of_ones_own() -> None:
    dead = fence(6, 33, uid="u-0")
    left = stamp(http_route(33), dead)
    doc = document(routers=(GATEWAY,))
    for ref, purposes in (
        (ROUTE_REF, [Purpose.RELEASE]),
        (replace(ROUTE_REF, name="other"), [Purpose.RELEASE, Purpose.APPLY]),
    ):
        orphan = Orphan(Sighting(ref, left), dead)
        writes = planned(observed(left, doc, orphans=(orphan,))).writes
        assert [each.purpose for each in writes] == purposes


def test_answers_a_check_that_no_router_of_ours_can_tell() -> None:
    asked = RouteVerifyRequested(
        namespace="shop",
        rollout="web",
        uid=UID,
        epoch=7,
        check="targetGroups",
        routers=(SMI, RouterConfig(kind="alb")),
    )
    snapshot = Observed(key="shop/web", rollout=rollout(), memory=Memory(verify=asked))
    (fact,) = planned(snapshot).facts
    assert isinstance(fact, RouteVerified)
    assert fact.verified is None
    assert [each.error for each in fact.answers] == [None, "alb: not supported by this version"]
    other = replace(snapshot, rollout=rollout(uid="new"))
    assert planned(other).facts == ()


def test_invariants_stop_a_write_for_a_rollout_that_goes() -> None:
    snapshot = observed(None)
    plan = decide(snapshot, now=NOW)
    going = replace(snapshot, rollout=rollout(is_deleting=True))
    with pytest.raises(InvariantViolation, match="gone or going"):
        check(going, plan)


def test_invariants_stop_a_raise_while_aborted() -> None:
    snapshot = observed(None)
    plan = decide(snapshot, now=NOW)
    with pytest.raises(InvariantViolation, match="aborted"):
        check(replace(snapshot, rollout=rollout(is_aborted=True)), plan)


def test_invariants_stop_a_fence_that_goes_back() -> None:
    snapshot = observed(traffic_split(0, 6))
    plan = decide(snapshot, now=NOW)
    (write,) = plan.writes
    back = replace(plan, writes=(replace(write, previous=traffic_split(0, 8)),))
    with pytest.raises(InvariantViolation, match="goes back"):
        check(snapshot, back)


def test_invariants_stop_a_split_that_is_not_the_fences() -> None:
    snapshot = observed(traffic_split(0, 6))
    plan = decide(snapshot, now=NOW)
    (write,) = plan.writes
    wrong = replace(plan, writes=(replace(write, desired=traffic_split(50, 7, 10)),))
    with pytest.raises(InvariantViolation, match="not the one of the fence"):
        check(snapshot, wrong)
