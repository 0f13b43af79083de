"""All that `decide` may know of one Experiment: a frozen snapshot of the cluster.

Source: experiment 1, 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from headrace.model.experiment import ExperimentSpec, ExperimentStatus
from headrace.model.quantities import Instant
from rollout_controller.core.observed import References, ReplicaSet, RunObject

FailureKind = Literal["create", "collision", "scale", "service", "service_removal", "run"]


@dataclass(frozen=True, slots=True)
class Failure:
    """An effect that the API server refused for ever, found by `act` since the last claim.

    Attributes:
        kind: What was to be done; `collision` when the name of a ReplicaSet is somebody else's.
        error: As the server says it.
        at: When; nothing is tried again before `RETRY_SECONDS` have passed.
    """

    kind: FailureKind
    error: str
    at: Instant


@dataclass(frozen=True, slots=True)
class TemplateService:
    """The Service of a template."""

    name: str
    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class OwningRollout:
    """The Rollout whose step this Experiment is, as far as its traffic is concerned.

    Attributes:
        resource_version: Of the Rollout, for Events about it.
        relies_on_it: Its status names this Experiment as the current one and has not taken note
            of its end: whatever it has decided since then, it may still send traffic here.
        weighted: Templates that its steps give a weight.
        shares: Hash -> weight that its routes may send, acknowledged or not.
    """

    name: str
    uid: str
    resource_version: str
    relies_on_it: bool = False
    weighted: frozenset[str] = frozenset()
    shares: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observed:
    """One Experiment and everything around it.

    Attributes:
        key: By which the work on it is shared out: its Rollout's key, else its own.
        raw_spec: The spec as stored: validation looks for fields that are missing.
        spec_error: Why the spec cannot be read at all, "" when it can.
        replica_sets: By template.
        services: By template.
        runs: AnalysisRuns that it owns.
        rollout: The Rollout that controls it; None for one on its own.
        failures: By `template/<name>` or `analysis/<name>`.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    key: str
    labels: Mapping[str, str]
    is_deleting: bool
    spec: ExperimentSpec
    raw_spec: Mapping[str, Any]
    status: ExperimentStatus
    spec_error: str = ""
    replica_sets: Mapping[str, ReplicaSet] = field(default_factory=dict)
    services: Mapping[str, TemplateService] = field(default_factory=dict)
    runs: tuple[RunObject, ...] = ()
    references: References = field(default_factory=References)
    rollout: OwningRollout | None = None
    failures: Mapping[str, Failure] = field(default_factory=dict)
