from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from headrace.errors import (
    Conflict,
    Forbidden,
    InvariantViolation,
    LostOwnership,
    NotFound,
    Unavailable,
)
from headrace.model.quantities import Instant
from headrace.runtime.clock import LoopClock, VirtualClock
from headrace.runtime.reconciler import (
    CONFLICTS_MAX,
    PASSES_MAX,
    CoreShell,
    Outcome,
    ReconcileObserver,
    Reconciler,
)
from headrace.runtime.workqueue import WorkQueue


@dataclass(frozen=True, slots=True)
class SmallPlan:
    wake_at: Instant | None = None


class ScriptedShell:
    """Answers each act from a script: True, False or an exception."""

    def __init__(self, *script: bool | Exception, wake_at: Instant | None = None) -> None:
        self.script: Iterator[bool | Exception] = iter(script)
        self.acts = 0
        self.gathers = 0
        self.wake_at = wake_at
        self.exists = True
        self.violation = ""
        self.instead: SmallPlan | None = None

    async def gather(self, key: str, now: Instant) -> str | None:
        self.gathers += 1
        return key if self.exists else None

    def decide(self, observed: str, *, now: Instant, last: SmallPlan | None) -> SmallPlan:
        return SmallPlan(self.wake_at)

    def check(self, observed: str, plan: SmallPlan) -> None:
        if self.violation:
            raise InvariantViolation(self.violation)

    def freeze(self, observed: str, violation: str, *, now: Instant) -> SmallPlan | None:
        return self.instead

    async def act(self, observed: str, plan: SmallPlan, *, now: Instant) -> bool:
        self.acts += 1
        answer = next(self.script, False)
        if isinstance(answer, Exception):
            raise answer
        return answer


def outcome_of(
    shell: ScriptedShell,
    *,
    clock: VirtualClock | None = None,
    may_act: Callable[[str], bool] = lambda _: True,
    observer: ReconcileObserver | None = None,
) -> Outcome:
    """Drive one reconcile as a simulator does: without an event loop."""
    reconciler = Reconciler(shell, clock or VirtualClock(), may_act, observer=observer)
    coroutine = reconciler.process("ns/a")
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)
    outcome = stop.value.value
    assert isinstance(outcome, Outcome)
    return outcome


def test_settles_with_the_wake_up_time_of_the_plan() -> None:
    clock = VirtualClock()
    wake_at = Instant(clock.now() + 60)
    assert outcome_of(ScriptedShell(wake_at=wake_at), clock=clock) == Outcome("settled", wake_at)


class Counted:
    """Takes down whose reconciles were told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bool]] = []

    def reconciled(self, key: str, seconds: float, *, failed: bool) -> None:
        self.told.append((key, failed))

    def conflicted(self, key: str) -> None:
        pass


def test_only_reconciles_of_objects_that_are_there_and_ours_are_counted() -> None:
    # Timers outlive objects: counting by their names would keep series of what is gone.
    counted = Counted()
    gone = ScriptedShell()
    gone.exists = False
    assert outcome_of(gone, observer=counted).kind == "gone"
    assert outcome_of(ScriptedShell(), may_act=lambda _: False, observer=counted).kind == (
        "not_owned"
    )
    assert counted.told == []
    outcome_of(ScriptedShell(), observer=counted)
    outcome_of(ScriptedShell(Forbidden("no")), observer=counted)
    assert counted.told == [("ns/a", False), ("ns/a", True)]


def test_gathers_again_at_once_after_an_act_that_wrote() -> None:
    shell = ScriptedShell(True, True, False)
    assert outcome_of(shell).kind == "settled"
    assert shell.gathers == 3


class Counter:
    """A core that counts to three, and decides on even numbers together with the one before."""

    def __init__(self) -> None:
        self.number = 0
        self.decided: list[int] = []

    async def gather(self, key: str, now: Instant) -> int:
        return self.number

    def decide(self, observed: int, *, now: Instant) -> SmallPlan:
        self.decided.append(observed)
        return SmallPlan()

    def foresee(self, last: SmallPlan, observed: int, *, now: Instant) -> SmallPlan | None:
        return SmallPlan() if observed % 2 == 0 else None

    async def act(self, observed: int, plan: SmallPlan, *, now: Instant) -> bool:
        self.number += 1
        return self.number <= 3


def test_what_was_foreseen_is_carried_out_without_a_decision() -> None:
    core = Counter()
    shell = CoreShell(core, core.decide, lambda observed, plan: None, core, foresee=core.foresee)
    coroutine = Reconciler(shell, VirtualClock(), lambda _: True).process("ns/a")
    with pytest.raises(StopIteration):
        coroutine.send(None)
    assert core.number == 4, "every pass acts"
    assert core.decided == [0, 1, 3]


def test_what_was_foreseen_holds_when_a_more_urgent_key_went_first() -> None:
    core = Counter()
    shell = CoreShell(core, core.decide, lambda observed, plan: None, core, foresee=core.foresee)
    reconciler = Reconciler(shell, VirtualClock(), lambda _: True)
    outcomes = []
    for _ in range(4):
        coroutine = reconciler.process("ns/a", gives_way=lambda: True)
        with pytest.raises(StopIteration) as stop:
            coroutine.send(None)
        outcomes.append(stop.value.value.kind)
    assert outcomes == ["busy", "busy", "busy", "settled"]
    assert core.decided == [0, 1, 3]


def test_leaves_the_turn_to_others_when_it_never_stops_writing() -> None:
    shell = ScriptedShell(*[True] * 100)
    assert outcome_of(shell).kind == "busy"
    assert PASSES_MAX <= shell.acts < 100


def test_gathers_again_at_once_after_a_conflict() -> None:
    shell = ScriptedShell(Conflict("stale"), False)
    assert outcome_of(shell).kind == "settled"
    assert shell.gathers == 2


def test_backs_off_after_too_many_conflicts() -> None:
    shell = ScriptedShell(*[Conflict("stale")] * 100)
    assert outcome_of(shell).kind == "failed"
    assert shell.acts == CONFLICTS_MAX + 1


def test_carries_on_what_the_other_side_asked_for() -> None:
    outcome = outcome_of(ScriptedShell(Unavailable("away", retry_after_seconds=4)))
    assert (outcome.kind, outcome.retry_after_seconds) == ("failed", 4)


def test_a_missing_right_is_an_error_with_back_off() -> None:
    assert outcome_of(ScriptedShell(Forbidden("no patch on rollouts"))).kind == "failed"


def test_a_crash_is_an_error_of_its_key_only() -> None:
    outcome = outcome_of(ScriptedShell(ZeroDivisionError("oops")))
    assert outcome == Outcome("failed", message="ZeroDivisionError: oops")


def test_what_vanished_meanwhile_is_no_error() -> None:
    clock = VirtualClock()
    outcome = outcome_of(ScriptedShell(NotFound("pod")), clock=clock)
    assert not outcome.is_error
    assert outcome.wake_at is not None
    assert outcome.wake_at > clock.now()


def test_nothing_is_decided_about_an_object_that_is_gone() -> None:
    shell = ScriptedShell()
    shell.exists = False
    assert outcome_of(shell).kind == "gone"
    assert shell.acts == 0


async def test_never_acts_on_a_plan_that_violates_an_invariant() -> None:
    shell = ScriptedShell()
    shell.violation = "share of a replica set without pods"
    reconciler = Reconciler(shell, VirtualClock(), lambda _: True)
    for _ in range(3):
        assert (await reconciler.process("ns/a")).kind == "frozen"
    assert shell.acts == 0
    assert reconciler.frozen == {"ns/a": shell.violation}
    shell.violation = ""
    assert (await reconciler.process("ns/a")).kind == "settled"
    assert reconciler.frozen == {}


async def test_says_what_it_may_say_instead_of_such_a_plan() -> None:
    shell = ScriptedShell(Conflict("changed meanwhile"), True)
    shell.violation, shell.instead = "no selector", SmallPlan()
    reconciler = Reconciler(shell, VirtualClock(), lambda _: True)
    outcome = await reconciler.process("ns/a")
    assert (outcome.kind, outcome.message) == ("frozen", "no selector")
    assert shell.acts == 2, "a conflict is tried again at once"


def test_does_not_even_gather_for_a_key_of_another_replica() -> None:
    shell = ScriptedShell()
    assert outcome_of(shell, may_act=lambda _: False).kind == "not_owned"
    assert shell.gathers == 0


def test_does_not_act_when_the_lease_was_lost_while_gathering() -> None:
    shell = ScriptedShell()
    answers = iter([True, False])
    assert outcome_of(shell, may_act=lambda _: next(answers)).kind == "not_owned"
    assert (shell.gathers, shell.acts) == (1, 0)


def test_stops_quietly_when_the_lease_is_lost_between_two_writes() -> None:
    assert outcome_of(ScriptedShell(LostOwnership("ns/a"))).kind == "not_owned"


def test_a_plan_that_wakes_in_the_past_does_not_spin() -> None:
    clock = VirtualClock()
    outcome = outcome_of(ScriptedShell(wake_at=Instant(clock.now() - 5)), clock=clock)
    assert outcome.wake_at is not None
    assert outcome.wake_at > clock.now()


@pytest.mark.looptime
async def test_workers_serve_other_keys_while_one_fails() -> None:
    class Shell(ScriptedShell):
        def __init__(self) -> None:
            super().__init__()
            self.acted: list[str] = []

        async def act(self, observed: str, plan: SmallPlan, *, now: Instant) -> bool:
            if observed == "ns/bad":
                raise Unavailable("away")
            self.acted.append(observed)
            return False

    clock = LoopClock()
    queue = WorkQueue(clock)
    shell = Shell()
    reconciler = Reconciler(shell, clock, lambda _: True)
    queue.add("ns/bad")
    async with asyncio.TaskGroup() as group:
        group.create_task(reconciler.run(queue, 2))
        for number in range(5):
            queue.add(f"ns/{number}")
            await asyncio.sleep(1)
        queue.close()
    assert shell.acted == [f"ns/{number}" for number in range(5)]
    assert shell.gathers > 10, "the bad one was retried with back-off"


@pytest.mark.looptime
async def test_the_plan_wakes_its_key_again() -> None:
    clock = LoopClock()
    queue = WorkQueue(clock)
    times: list[float] = []

    class Shell(ScriptedShell):
        def decide(self, observed: str, *, now: Instant, last: SmallPlan | None) -> SmallPlan:
            times.append(clock.monotonic())
            return SmallPlan(Instant(now + 100) if len(times) < 3 else None)

    queue.add("ns/a")
    async with asyncio.TaskGroup() as group:
        group.create_task(Reconciler(Shell(), clock, lambda _: True).run(queue, 1))
        await asyncio.sleep(1000)
        queue.close()
    assert times == [pytest.approx(n * 100, abs=0.1) for n in range(3)]


class EchoingShell(ScriptedShell):
    """Wakes its own key by each write, as a cache does that takes the write's answer."""

    def __init__(self, queue: WorkQueue, *script: bool | Exception) -> None:
        super().__init__(*script)
        self.queue = queue

    async def act(self, observed: str, plan: SmallPlan, *, now: Instant) -> bool:
        has_written = await super().act(observed, plan, now=now)
        if has_written:
            self.queue.add(observed)
        return has_written


async def test_the_echo_of_a_write_costs_no_reconcile_of_its_own() -> None:
    queue = WorkQueue(LoopClock())
    shell = EchoingShell(queue, True, True)
    reconciler = Reconciler(shell, LoopClock(), lambda _: True)
    queue.add("ns/a")
    async with asyncio.TaskGroup() as group:
        group.create_task(reconciler.run(queue, workers=1))
        while shell.gathers < 3 or queue.depth:
            await asyncio.sleep(0)
        await queue.drained()
        queue.close()
    assert shell.gathers == 3, "two passes that wrote, and the one that found nothing to do"
