"""What was decoded once serves until the stored object is another one."""

from __future__ import annotations

from typing import Any

from headrace.model.headrace_status import HeadraceStatus
from headrace.model.rollout_status import RolloutStatus
from rollout_controller.core.plan import Claim
from rollout_controller.core.samples import rollout
from rollout_controller.decoded import Decoded


def replica_set(name: str, replicas: int = 1) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": f"uid-{name}"}, "spec": {"replicas": replicas}}


def test_a_status_is_decoded_once_for_each_version() -> None:
    decoded, raw = Decoded(), {"phase": "Paused", "headrace": {"epoch": 3}}
    first = decoded.status("uid", raw)
    assert (first.status.phase, first.headrace.epoch) == ("Paused", 3)
    assert decoded.status("uid", raw) is first
    assert decoded.status("uid", {**raw, "phase": "Healthy"}).status.phase == "Healthy"


def test_what_we_claimed_is_not_decoded() -> None:
    decoded, raw = Decoded(), {"phase": "Healthy"}
    claim = Claim(RolloutStatus(phase="Healthy"), HeadraceStatus())
    decoded.claimed("uid", raw, claim)
    assert decoded.status("uid", raw).status is claim.status
    decoded.forget("uid")
    assert decoded.status("uid", raw).status is not claim.status


def test_a_status_that_another_write_left_alone_is_not_decoded_again() -> None:
    decoded, raw = Decoded(), {"phase": "Paused", "headrace": {"epoch": 3}}
    first = decoded.status("uid", raw)
    again = decoded.status("uid", {**raw, "headrace": {"epoch": 3}})
    assert again.status is first.status
    assert again.headrace is first.headrace


def test_the_dump_of_a_snapshot_is_made_once() -> None:
    decoded, raw = Decoded(), {"phase": "Paused", "unknown": 1, "headrace": {"epoch": 3}}
    found = decoded.status("uid", raw)
    observed = rollout({}, uid="uid").with_status(found.status, found.headrace)
    dumped = decoded.dumped(observed)
    assert dumped == {"phase": "Paused", "headrace": {"epoch": 3}}
    assert decoded.dumped(observed) is dumped
    later = observed.with_status(RolloutStatus(phase="Healthy"), found.headrace)
    assert decoded.dumped(later)["phase"] == "Healthy"


def test_what_we_claimed_is_not_dumped_again() -> None:
    decoded, raw = Decoded(), {"phase": "Healthy"}
    claim = Claim(RolloutStatus(phase="Healthy"), HeadraceStatus())
    decoded.claimed("uid", raw, claim)
    observed = rollout({}, uid="uid").with_status(claim.status, claim.headrace)
    assert decoded.dumped(observed) is raw


def test_what_cannot_be_read_of_our_memory_counts_as_lost() -> None:
    assert Decoded().status("uid", {"headrace": {"epoch": "x"}}).headrace == HeadraceStatus()
    assert Decoded().status("uid", {"headrace": "x"}).headrace == HeadraceStatus()


def test_only_a_replica_set_that_changed_is_seen_anew() -> None:
    decoded, old, new = Decoded(), replica_set("old"), replica_set("new")
    first = decoded.replica_sets("uid", [old, new])
    assert decoded.replica_sets("uid", [old, new]) is first
    second = decoded.replica_sets("uid", [old, replica_set("new", 2)])
    assert second[0] is first[0]
    assert second[1].replicas == 2
    assert [view.name for view in decoded.replica_sets("uid", [new])] == ["new"]
