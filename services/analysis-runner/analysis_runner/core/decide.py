"""decide: what is measured now, what the run's status is, and when to look again.

Measuring is I/O and takes its time: a plan names the measurements to begin, and what comes of
them is observed by a later pass. So a slow provider delays nothing but its own metric.

The order is that of analysis 4:

1. a run that is over is told and, when its time has come, deleted;
2. a run in deletion is left alone;
3. a spec that cannot be measured ends the run with an error;
4. measurements that are due begin, or end when the run terminates;
5. findings are recorded, metrics and run are assessed.
"""

from __future__ import annotations

from dataclasses import replace

from analysis_runner.core.assess import assess, completion_event, is_current, is_terminating
from analysis_runner.core.examine import unresolved
from analysis_runner.core.judge import is_unfinished
from analysis_runner.core.observed import Finding, Flight, Observed, Step, Told
from analysis_runner.core.plan import Plan, Reason
from analysis_runner.core.telling import is_worth_telling, unsaid
from analysis_runner.core.windows import due_asks, ending_asks, next_look, settles_at
from headrace.model.analysis import AnalysisPhase, is_completed
from headrace.model.quantities import Instant


def decide(observed: Observed, *, now: Instant) -> Plan:
    """Return what to do about a run.

    Args:
        observed: The run and what goes on around it.
        now: Decision time, by the clock that all times of the run come from.
    """
    if is_completed(observed.status.phase):
        return _retire(observed, now)
    if observed.is_deleting:
        return Plan(Reason.RUN_DELETING, abandon=frozenset(observed.flights))
    problem = observed.examined.problem
    if not problem and observed.arguments_problem:
        problem = unresolved(observed.arguments_problem)
    if problem:
        return _refuse(observed, problem)
    if is_terminating(observed):
        return _terminate(observed, now)
    return _measure(observed, now)


def _retire(observed: Observed, now: Instant) -> Plan:
    ends_at = None if observed.is_deleting else _expires_at(observed)
    abandon = frozenset(observed.flights)
    says = _has_unsaid(observed, now)
    if ends_at is not None and now > ends_at:
        return Plan(Reason.RUN_EXPIRED, abandon=abandon, says=says, deletes=True)
    return Plan(
        Reason.RUN_COMPLETED,
        abandon=abandon,
        taken=frozenset(finding.metric for finding in observed.findings),
        says=says,
        wake_at=ends_at,
    )


def _expires_at(observed: Observed) -> Instant | None:
    """Return when a run that is over is deleted (analysis 4.8)."""
    status = observed.status
    strategy = observed.spec.ttl_strategy if observed.spec is not None else None
    if strategy is None or status.completed_at is None:
        return None
    seconds = strategy.seconds_after_completion
    if status.phase == AnalysisPhase.SUCCESSFUL and strategy.seconds_after_success is not None:
        seconds = strategy.seconds_after_success
    elif status.phase == AnalysisPhase.FAILED and strategy.seconds_after_failure is not None:
        seconds = strategy.seconds_after_failure
    return None if seconds is None else Instant(status.completed_at + seconds)


def _refuse(observed: Observed, message: str) -> Plan:
    """End a run that cannot be measured; it has no completedAt (analysis 4)."""
    error = AnalysisPhase.ERROR
    update = {"phase": str(error), "message": message}
    return Plan(
        Reason.SPEC_INVALID,
        message=message,
        abandon=frozenset(observed.flights),
        claim=observed.status.model_copy(update=update),
        taken=frozenset(finding.metric for finding in observed.findings),
        events=(completion_event(error),),
    )


def _measure(observed: Observed, now: Instant) -> Plan:
    """Begin what is due, and judge what was found."""
    metrics = observed.examined.metrics
    findings, worthless = _sorted_out(observed)
    known = {metric.name for metric in metrics}
    flights = {name: each for name, each in observed.flights.items() if name in known}
    busy = {*flights, *(finding.metric for finding in findings)}
    asks = due_asks(metrics, observed.status, busy, now)
    begun = [*flights.values(), *(Flight(ask.step, ask.index, now) for ask in asks)]
    plan = Plan(
        Reason.MEASURING if begun else Reason.WAITING,
        abandon=frozenset(observed.flights.keys() - flights.keys()),
        asks=asks,
        taken=worthless,
    )
    settles = settles_at(begun, findings)
    if settles is not None and now < settles:
        return replace(plan, wake_at=settles)
    plan = _assessed(observed, plan, findings, now)
    if plan.claim is not None and is_completed(plan.claim.phase):
        return plan
    under_way = {*flights, *(ask.metric for ask in asks)}
    return replace(plan, wake_at=next_look(metrics, plan.claim or observed.status, under_way))


def _terminate(observed: Observed, now: Instant) -> Plan:
    """End what is unfinished, and then the run.

    Nothing new is measured: what is under way is of no use any more, but for the end of what was
    unfinished, which belongs to the verdict. Providers are bounded by their time limits.
    """
    metrics = observed.examined.metrics
    findings, worthless = _sorted_out(observed)
    flights = {name: each for name, each in observed.flights.items() if each.step is Step.TERMINATE}
    unended = tuple(finding for finding in findings if _is_unended(finding))
    findings = tuple(finding for finding in findings if finding not in unended)
    busy = {*flights, *(finding.metric for finding in findings)}
    plan = Plan(
        Reason.TERMINATING,
        abandon=frozenset(observed.flights.keys() - flights.keys()),
        asks=ending_asks(metrics, observed.status, busy, unended),
        taken=worthless | {finding.metric for finding in unended},
    )
    return plan if plan.asks or flights else _assessed(observed, plan, findings, now)


def _assessed(observed: Observed, plan: Plan, findings: tuple[Finding, ...], now: Instant) -> Plan:
    """Return a plan with the status that follows from what was found."""
    claimed, events = assess(observed, findings, now=now)
    return replace(
        plan,
        message=claimed.message,
        claim=claimed if claimed != observed.status else None,
        taken=plan.taken | {finding.metric for finding in findings},
        events=events,
        says=_has_unsaid(observed, now),
    )


def _sorted_out(observed: Observed) -> tuple[tuple[Finding, ...], frozenset[str]]:
    """Return the findings that count, and the metrics of those that do not.

    A finding is worth nothing when its metric is not in the spec any more, or when its
    measurement stands in the status already.
    """
    names = {metric.name for metric in observed.examined.metrics}
    results = {result.name: result for result in observed.status.metric_results}
    useful = tuple(
        finding
        for finding in observed.findings
        if finding.metric in names and is_current(finding, results)
    )
    kept = {finding.metric for finding in useful}
    return useful, frozenset(each.metric for each in observed.findings if each.metric not in kept)


def _is_unended(finding: Finding) -> bool:
    """Whether a finding says that a measurement goes on, and nobody has tried to end it."""
    return finding.flight.step is not Step.TERMINATE and is_unfinished(finding.measurement)


def _has_unsaid(observed: Observed, now: Instant) -> bool:
    if not is_worth_telling(observed, now):
        return False
    told = observed.told or Told()
    facts = unsaid(observed.about, observed.status, observed.resource_version, told)
    return next(facts, None) is not None
