"""What no plan of the runner may do; checked in production before every act.

A violation is a bug: the run is frozen, which keeps its Rollout where it is (architecture, fail
static); other runs go on.
"""

from __future__ import annotations

from analysis_runner.core.judge import measured_count
from analysis_runner.core.observed import Observed
from analysis_runner.core.plan import Plan
from headrace.errors import InvariantViolation
from headrace.model.analysis import AnalysisRunStatus, MetricResult, is_completed


def check(observed: Observed, plan: Plan) -> None:
    """Return when the plan may be carried out.

    Raises:
        InvariantViolation: The plan changes a verdict, forgets measurements, measures one slot
            twice, or deletes a run that is not over. Freeze the run.
    """
    is_over = is_completed(observed.status.phase)
    _require(not (is_over and (plan.claim or plan.asks)), "a run that is over is touched")
    _require(is_over or not plan.deletes, "a run is deleted that is not over")
    names = [ask.metric for ask in plan.asks]
    _require(len(names) == len(set(names)), "a metric is asked twice")
    under_way = observed.flights.keys() - plan.abandon
    _require(under_way.isdisjoint(names), "a metric is asked that is being measured")
    if plan.claim is not None:
        _check_claim(observed.status, plan.claim)


def _check_claim(stored: AnalysisRunStatus, claim: AnalysisRunStatus) -> None:
    claimed = {result.name: result for result in claim.metric_results}
    for result in stored.metric_results:
        later = claimed.get(result.name)
        if later is None:
            raise InvariantViolation(f"metric {result.name}: its result is forgotten")
        _check_result(result, later)
    _require(
        stored.started_at is None or claim.started_at == stored.started_at,
        "the start of the run moves",
    )


def _check_result(stored: MetricResult, later: MetricResult) -> None:
    name = stored.name
    is_over = is_completed(stored.phase)
    _require(not is_over or later.phase == stored.phase, f"metric {name}: its phase changes")
    grown = measured_count(later) - measured_count(stored)
    _require(0 <= grown <= 1, f"metric {name}: {grown} measurements in one pass")
    _require(not is_over or grown == 0, f"metric {name}: measured after its end")
    total = later.successful + later.failed + later.inconclusive
    before = stored.successful + stored.failed + stored.inconclusive
    _require(total - before == later.count - stored.count, f"metric {name}: counters do not add up")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise InvariantViolation(message)
