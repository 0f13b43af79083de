"""Rollout: its spec and strategies (rollout-api 2).

Defaults of absent fields are named constants here; they are never written back.
The status is in `rollout_status`, steps in `steps`, routers in `traffic`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from pydantic import Field, WithJsonSchema

from headrace.model.base import Model, Resource, required_by_server
from headrace.model.meta import LabelSelector, ObjectMeta, Time
from headrace.model.quantities import Int32, IntOrString
from headrace.model.rollout_status import RolloutStatus
from headrace.model.steps import (
    BackgroundAnalysis,
    CanaryStep,
    RolloutAnalysis,
    TemplateMetadata,
)
from headrace.model.traffic import TrafficRouting

PodTemplate = Annotated[dict[str, Any], WithJsonSchema({"x-headrace-schema": "PodTemplateSpec"})]
"""A pod template as raw JSON, so that no field is ever lost."""

REVISION_HISTORY_LIMIT_DEFAULT: Final = 10
PROGRESS_DEADLINE_SECONDS_DEFAULT: Final = 600
RUN_HISTORY_LIMIT_DEFAULT: Final = 5
SCALE_DOWN_DELAY_SECONDS_DEFAULT: Final = 30
ABORT_SCALE_DOWN_DELAY_SECONDS_DEFAULT: Final = 30
SCALE_DOWN_DELAY_REVISION_LIMIT_DEFAULT: Final = 2**31 - 1
MAX_TRAFFIC_WEIGHT_DEFAULT: Final = 100
MAX_SURGE_DEFAULT: Final = "25"
MAX_UNAVAILABLE_DEFAULT: Final = "25"


class WorkloadReference(Model):
    """The workload that gives the pod template (rollout-api 2.3)."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    scale_down: str = ""


class RollbackWindow(Model):
    """How many revisions back an update is a fast rollback (canary 3.4)."""

    revisions: Int32 = 0


class RunHistory(Model):
    """How many finished runs and Experiments are kept."""

    successful_run_history_limit: Int32 | None = None
    unsuccessful_run_history_limit: Int32 | None = None


class PreferredAntiAffinity(Model):
    """Spread old and new pods where possible; weight 1 to 100."""

    weight: Int32 = required_by_server(0)


class RequiredAntiAffinity(Model):
    """Never place old and new pods on one node."""


class AntiAffinity(Model):
    """Keeps pods of different revisions apart (rollout-api 7.5)."""

    preferred_during_scheduling_ignored_during_execution: PreferredAntiAffinity | None = None
    required_during_scheduling_ignored_during_execution: RequiredAntiAffinity | None = None


class PingPong(Model):
    """Two Services that swap the roles of stable and canary."""

    ping_service: str = required_by_server("")
    pong_service: str = required_by_server("")


class ReplicaProgressThreshold(Model):
    """How much of the canary must be available for a step; type Percent or Pods."""

    type: str = required_by_server("")
    value: Int32 = required_by_server(0)


class CanaryStrategy(Model):
    """Moves traffic in steps (rollout-api 2.2)."""

    canary_service: str = ""
    stable_service: str = ""
    steps: tuple[CanaryStep, ...] = ()
    traffic_routing: TrafficRouting | None = None
    max_unavailable: IntOrString | None = None
    max_surge: IntOrString | None = None
    analysis: BackgroundAnalysis | None = None
    anti_affinity: AntiAffinity | None = None
    canary_metadata: TemplateMetadata | None = None
    stable_metadata: TemplateMetadata | None = None
    scale_down_delay_seconds: Int32 | None = None
    scale_down_delay_revision_limit: Int32 | None = None
    abort_scale_down_delay_seconds: Int32 | None = None
    dynamic_stable_scale: bool = False
    ping_pong: PingPong | None = None
    min_pods_per_replica_set: Int32 | None = None
    replica_progress_threshold: ReplicaProgressThreshold | None = None


class BlueGreenStrategy(Model):
    """Switches all traffic at once (rollout-api 2.1)."""

    active_service: str = required_by_server("")
    preview_service: str = ""
    preview_replica_count: Int32 | None = None
    auto_promotion_enabled: bool | None = None
    auto_promotion_seconds: Int32 = 0
    max_unavailable: IntOrString | None = None
    scale_down_delay_seconds: Int32 | None = None
    scale_down_delay_revision_limit: Int32 | None = None
    pre_promotion_analysis: RolloutAnalysis | None = None
    post_promotion_analysis: RolloutAnalysis | None = None
    anti_affinity: AntiAffinity | None = None
    preview_metadata: TemplateMetadata | None = None
    active_metadata: TemplateMetadata | None = None
    abort_scale_down_delay_seconds: Int32 | None = None


class Strategy(Model):
    """Exactly one of the two, which the validation checks."""

    canary: CanaryStrategy | None = None
    blue_green: BlueGreenStrategy | None = None

    def service_names(self) -> tuple[str, ...]:
        """Return the Services that the strategy names."""
        names: tuple[str, ...] = ()
        if self.canary is not None:
            names += (self.canary.canary_service, self.canary.stable_service)
            if self.canary.ping_pong is not None:
                names += (self.canary.ping_pong.ping_service, self.canary.ping_pong.pong_service)
        if self.blue_green is not None:
            names += (self.blue_green.active_service, self.blue_green.preview_service)
        return tuple(name for name in names if name)


class RolloutSpec(Model):
    """What the user wants (rollout-api 2)."""

    replicas: Int32 | None = None
    selector: LabelSelector | None = Field(
        default=None,
        json_schema_extra={
            "x-kubernetes-validations": [
                {"rule": "self == oldSelf", "message": ".spec.selector is immutable"}
            ]
        },
    )
    template: PodTemplate | None = None
    workload_ref: WorkloadReference | None = None
    min_ready_seconds: Int32 = 0
    rollback_window: RollbackWindow | None = None
    strategy: Strategy = Strategy()
    revision_history_limit: Int32 | None = None
    paused: bool = False
    progress_deadline_seconds: Int32 | None = None
    progress_deadline_abort: bool = False
    restart_at: Time | None = None
    analysis: RunHistory | None = None


class Rollout(Resource):
    """A Rollout."""

    KIND: ClassVar[str] = "Rollout"

    metadata: ObjectMeta = ObjectMeta()
    spec: RolloutSpec
    status: RolloutStatus = RolloutStatus()
