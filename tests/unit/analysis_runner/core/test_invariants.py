"""What no plan of the runner may do."""

from __future__ import annotations

import pytest

from analysis_runner.core.examine import Examined
from analysis_runner.core.invariants import check
from analysis_runner.core.observed import About, Flight, Observed, Step
from analysis_runner.core.plan import Ask, Plan, Reason
from headrace.errors import InvariantViolation
from headrace.model.analysis import AnalysisRunStatus, MetricResult
from headrace.model.quantities import Instant

RESULT = MetricResult(name="m", phase="Running", count=1, successful=1)
OVER = RESULT.model_copy(update={"phase": "Failed"})
RUNNING = AnalysisRunStatus(phase="Running", metric_results=(RESULT,), started_at=Instant(1.0))


def observed(status: AnalysisRunStatus = RUNNING, **flights: Flight) -> Observed:
    return Observed(
        key="shop/run",
        partition_key="shop/run",
        manifest={},
        about=About("shop", "run", "u", "", "", "run", "u"),
        resource_version="1",
        created_at=Instant(0.0),
        is_deleting=False,
        spec=None,
        examined=Examined(),
        status=status,
        flights=flights,
    )


def claiming(*results: MetricResult, started_at: float = 1.0) -> Plan:
    status = RUNNING.model_copy(
        update={"metric_results": results, "started_at": Instant(started_at)}
    )
    return Plan(Reason.MEASURING, claim=status)


def asking(*names: str) -> Plan:
    return Plan(Reason.MEASURING, asks=tuple(Ask(name, Step.RUN, 0) for name in names))


UNDER_WAY = observed(m=Flight(Step.RUN, 1, Instant(1.0)))
ENDED = observed(RUNNING.model_copy(update={"phase": "Failed"}))
WITH_ENDED_METRIC = observed(RUNNING.model_copy(update={"metric_results": (OVER,)}))
GROWN = {"count": 2, "successful": 2}


@pytest.mark.parametrize(
    ("before", "plan"),
    [
        (observed(), claiming(RESULT)),
        (observed(), claiming(RESULT.model_copy(update=GROWN))),
        (observed(), claiming(RESULT.model_copy(update={"error": 1}))),
        (observed(), asking("m", "n")),
        (ENDED, Plan(Reason.RUN_EXPIRED, deletes=True)),
    ],
)
def test_lets_sound_plans_through(before: Observed, plan: Plan) -> None:
    check(before, plan)


@pytest.mark.parametrize(
    ("before", "plan"),
    [
        (observed(), claiming()),
        (observed(), claiming(RESULT, started_at=2.0)),
        (observed(), claiming(RESULT.model_copy(update={"count": 0, "successful": 0}))),
        (observed(), claiming(RESULT.model_copy(update={"count": 2}))),
        (observed(), claiming(RESULT.model_copy(update={"count": 3, "successful": 3}))),
        (WITH_ENDED_METRIC, claiming(RESULT)),
        (WITH_ENDED_METRIC, claiming(OVER.model_copy(update=GROWN))),
        (ENDED, claiming(RESULT)),
        (ENDED, asking("m")),
        (observed(), asking("m", "m")),
        (UNDER_WAY, asking("m")),
        (observed(), Plan(Reason.RUN_EXPIRED, deletes=True)),
    ],
)
def test_stops_plans_that_must_not_exist(before: Observed, plan: Plan) -> None:
    with pytest.raises(InvariantViolation):
        check(before, plan)
