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

from collections.abc import Collection

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
    return _pursue(observed, now)


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


def _pursue(observed: Observed, now: Instant) -> Plan:
    metrics, status = observed.examined.metrics, observed.status
    terminating = is_terminating(observed)
    findings, worthless = _sorted_out(observed)
    abandon = _abandoned(observed, is_terminating=terminating)
    flights = {name: each for name, each in observed.flights.items() if name not in abandon}
    if terminating:
        unended = [finding for finding in findings if _is_unended(finding)]
        findings = tuple(finding for finding in findings if finding not in unended)
        worthless |= {finding.metric for finding in unended}
        busy = {*flights, *(finding.metric for finding in findings)}
        asks = ending_asks(metrics, status, busy, unended)
    else:
        busy = {*flights, *(finding.metric for finding in findings)}
        asks = due_asks(metrics, status, busy, now)
    begun = [*flights.values(), *(Flight(ask.step, ask.index, now) for ask in asks)]
    reason = Reason.TERMINATING if terminating else Reason.MEASURING
    if terminating and begun:
        # What is being ended belongs to the verdict; providers are bounded by their time limits.
        return Plan(reason, abandon=abandon, asks=asks, taken=worthless)
    settles = settles_at(begun, findings)
    if settles is not None and now < settles:
        return Plan(reason, abandon=abandon, asks=asks, taken=worthless, wake_at=settles)
    claimed, events = assess(observed, findings, now=now)
    waiting = {*flights, *(ask.metric for ask in asks)}
    return Plan(
        reason if begun else Reason.WAITING,
        message=claimed.message,
        abandon=abandon,
        asks=asks,
        claim=claimed if claimed != status else None,
        taken=worthless | {finding.metric for finding in findings},
        events=events,
        says=_has_unsaid(observed, now),
        wake_at=None if is_completed(claimed.phase) else next_look(metrics, claimed, waiting),
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


def _abandoned(observed: Observed, *, is_terminating: bool) -> frozenset[str]:
    """Return the metrics whose measurement under way is of no use.

    A terminating run asks for nothing more than the end of what is unfinished.
    """
    names: Collection[str] = {metric.name for metric in observed.examined.metrics}
    return frozenset(
        name
        for name, flight in observed.flights.items()
        if name not in names or (is_terminating and flight.step is not Step.TERMINATE)
    )


def _has_unsaid(observed: Observed, now: Instant) -> bool:
    if not is_worth_telling(observed, now):
        return False
    told = observed.told or Told()
    facts = unsaid(observed.about, observed.status, observed.resource_version, told)
    return next(facts, None) is not None
