"""The AnalysisRuns that the status names (rollout-api 3)."""

from headrace.model.rollout_status import AnalysisRunReference, RolloutStatus
from rollout_controller.core.claimed_runs import claimed_runs, with_runs

STEP = AnalysisRunReference(name="a", status="Running")
BEFORE = AnalysisRunReference(name="b", status="Failed", message="no")


def test_every_kind_has_a_field_of_its_own() -> None:
    status = with_runs(RolloutStatus(), {"Step": STEP, "PrePromotion": BEFORE})
    assert status.canary.current_step_analysis_run_status == STEP
    assert status.blue_green.pre_promotion_analysis_run_status == BEFORE
    assert claimed_runs(status) == {"Step": STEP, "PrePromotion": BEFORE}


def test_what_is_not_named_is_taken_away() -> None:
    status = with_runs(RolloutStatus(), {"Background": STEP, "PostPromotion": BEFORE})
    assert claimed_runs(with_runs(status, {"Background": STEP})) == {"Background": STEP}
    assert with_runs(status, {}) == RolloutStatus()
