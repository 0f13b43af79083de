from __future__ import annotations

from headrace.events.analysis import AnalysisJudged, AnalysisMeasured
from headrace.model.quantities import Instant

RUN = {"namespace": "shop", "rollout": "web", "uid": "u-1", "run": "web-2-1", "runUid": "r-1"}


def test_a_measurement_is_told_apart_by_run_metric_and_index() -> None:
    measured = AnalysisMeasured.model_validate(
        {**RUN, "metric": "ratio", "index": 3, "phase": "Successful", "value": "[0.97]"}
    )
    assert measured.id_ordinal() == "r-1/ratio/3"
    assert measured.epoch == 0


def test_a_run_is_judged_once() -> None:
    judged = AnalysisJudged.model_validate(
        {**RUN, "phase": "Failed", "completedAt": "2026-11-23T10:00:00Z"}
    )
    assert judged.id_ordinal() == "r-1"
    assert judged.completed_at == Instant(1795428000.0)
