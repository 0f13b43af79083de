"""Which finished AnalysisRuns and Experiments of a Rollout have had their time.

Source: analysis 8; canary 7, 8; rollout-api 2 (history limits).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from headrace.model.analysis import AnalysisPhase, is_completed
from headrace.model.quantities import Instant
from headrace.model.rollout import RUN_HISTORY_LIMIT_DEFAULT
from rollout_controller.core.draft import Draft


class Finished(Protocol):
    """What the history knows of a run or Experiment."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def phase(self) -> str:
        """As judged."""
        ...

    @property
    def pod_hash(self) -> str:
        """Label of the version that it is about."""
        ...

    @property
    def created_at(self) -> Instant:
        """When it was created."""
        ...

    @property
    def is_deleting(self) -> bool:
        """Whether it goes already."""
        ...


def surplus(draft: Draft, candidates: Iterable[Finished]) -> Iterator[str]:
    """Yield the names of what is finished and beyond the limits, newest kept.

    What belongs to a version that has no ReplicaSet any more goes whatever the limits.
    """
    history = draft.spec.analysis
    good_limit = history.successful_run_history_limit if history else None
    bad_limit = history.unsuccessful_run_history_limit if history else None
    kept = {
        True: RUN_HISTORY_LIMIT_DEFAULT if good_limit is None else good_limit,
        False: RUN_HISTORY_LIMIT_DEFAULT if bad_limit is None else bad_limit,
    }
    hashes = {rs.pod_hash for rs in draft.observed.replica_sets if not rs.is_deleting}
    for each in sorted(candidates, key=lambda each: each.created_at, reverse=True):
        if each.is_deleting or not is_completed(each.phase):
            continue
        is_good = each.phase == AnalysisPhase.SUCCESSFUL
        if each.pod_hash not in hashes or kept[is_good] <= 0:
            yield each.name
        else:
            kept[is_good] -= 1
