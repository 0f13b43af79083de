"""What `decide` may know of one AnalysisRun."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from analysis_runner.core.examine import Examined
from headrace.kubernetes.resources import Manifest
from headrace.model.analysis import AnalysisRunSpec, AnalysisRunStatus, Measurement
from headrace.model.quantities import Instant


class Step(StrEnum):
    """What a provider is asked to do."""

    RUN = "run"
    RESUME = "resume"
    TERMINATE = "terminate"


@dataclass(frozen=True, slots=True)
class Flight:
    """A measurement under way.

    Attributes:
        step: What the provider was asked to do.
        index: Which measurement of the metric, from 0.
        begun_at: When.
    """

    step: Step
    index: int
    begun_at: Instant


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a flight; a fact that a crash loses, and that is then measured again.

    Attributes:
        metric: Its name.
        flight: What was asked.
        measurement: The answer, judged; not over when the provider wants to be asked again.
        metadata: Of the metric: what the provider made of its configuration.
        found_at: When.
    """

    metric: str
    flight: Flight
    measurement: Measurement
    found_at: Instant
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """What this process has given to the bus about a run.

    Attributes:
        measured: Index of the first measurement not given yet, by metric.
        is_judged: The verdict was given.
        is_followed: This process saw the run before it was over, so that whatever is not given
            yet is owed, however old.
    """

    measured: Mapping[str, int] = field(default_factory=dict)
    is_judged: bool = False
    is_followed: bool = False


@dataclass(frozen=True, slots=True)
class About:
    """Whom the facts of a run are about.

    Attributes:
        namespace: Of the Rollout, or of the run itself.
        rollout: Name of the Rollout, or of the run itself.
        uid: Of the Rollout, or of the run itself.
        revision: Of the Rollout.
        pod_hash: Of the version that is judged.
        run: Name of the run.
        run_uid: UID of the run.
    """

    namespace: str
    rollout: str
    uid: str
    revision: str
    pod_hash: str
    run: str
    run_uid: str


@dataclass(frozen=True, slots=True)
class Observed:
    """One AnalysisRun, and what goes on around it.

    Attributes:
        key: `<namespace>/<name>` of the run.
        partition_key: Key of the Rollout that it belongs to, else its own.
        manifest: As it is stored.
        about: For facts.
        resource_version: Of the manifest.
        created_at: Of the manifest.
        is_deleting: It has a deletionTimestamp.
        spec: Decoded; None when it cannot be.
        examined: What the spec asks for.
        status: Times of our own last write are exact, others are whole seconds.
        flights: Measurements under way, by metric.
        findings: What came of others, not yet in the status; one per metric.
        arguments_problem: Why secrets cannot be read; empty when they can.
        told: What the bus has.
        say_again_seconds: A run that was over for longer is not told again after a restart.
    """

    key: str
    partition_key: str
    manifest: Manifest
    about: About
    resource_version: str
    created_at: Instant
    is_deleting: bool
    spec: AnalysisRunSpec | None
    examined: Examined
    status: AnalysisRunStatus
    flights: Mapping[str, Flight] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    arguments_problem: str = ""
    told: Told | None = None
    say_again_seconds: float = 3600.0

    @property
    def is_terminating(self) -> bool:
        """Whether a user wants the run to end."""
        return self.spec is not None and self.spec.terminate
