from __future__ import annotations

import pytest

from headrace.model.analysis import AnalysisPhase, Metric, is_completed, is_worse


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({}, 1),
        ({"interval": "1m"}, None),
        ({"interval": "1m", "count": 0}, None),
        ({"count": 0}, 1),
        ({"count": 5, "interval": "1m"}, 5),
        ({"count": "5"}, 5),
        ({"count": "{{args.count}}", "interval": "1m"}, None),
    ],
)
def test_effective_count(fields: dict[str, object], count: int | None) -> None:
    assert Metric.load({"name": "a", "provider": {}, **fields}).effective_count() == count


def test_four_phases_are_final() -> None:
    final = [phase for phase in AnalysisPhase if is_completed(phase)]
    assert final == ["Successful", "Failed", "Error", "Inconclusive"]
    assert not is_completed("")


def test_failed_is_the_worst() -> None:
    order = ["Successful", "Running", "Pending", "Inconclusive", "Error", "Failed"]
    for index, phase in enumerate(order):
        assert all(is_worse(worse, phase) for worse in order[index + 1 :])
        assert not is_worse(phase, phase)
