"""The status of a Rollout (rollout-api 3).

One writer per field: the rollout-controller, and besides it the users for
`abort`, `pause_conditions` (removal), `controller_pause`, `current_step_index`
and `promote_full` (cli-and-clients 2.3). `headrace` is this project's own.
"""

from __future__ import annotations

from pydantic import Field

from headrace.model.base import Model
from headrace.model.conditions import Condition
from headrace.model.meta import Time
from headrace.model.quantities import Int32
from headrace.model.traffic import OpenObject, TrafficWeights


class PauseCondition(Model):
    """Why and since when the Rollout is paused."""

    reason: str
    start_time: Time


class AnalysisRunReference(Model):
    """An AnalysisRun by name and the phase last seen."""

    name: str
    status: str
    message: str = ""


class StepPluginStatus(Model):
    """What a plugin step said, by (index, name, operation) (canary 9)."""

    index: Int32
    name: str
    operation: str
    phase: str = ""
    message: str = ""
    started_at: Time | None = None
    updated_at: Time | None = None
    finished_at: Time | None = None
    backoff: str = ""
    executions: Int32 = 0
    disabled: bool = False
    status: OpenObject | None = None


class CanaryStatus(Model):
    """The canary's part of the status."""

    current_step_analysis_run_status: AnalysisRunReference | None = None
    current_background_analysis_run_status: AnalysisRunReference | None = None
    current_experiment: str = ""
    weights: TrafficWeights | None = None
    stable_ping_pong: str = ""
    step_plugin_statuses: tuple[StepPluginStatus, ...] = ()


class BlueGreenStatus(Model):
    """The blue-green part of the status."""

    preview_selector: str = ""
    active_selector: str = ""
    scale_up_preview_check_point: bool = False
    pre_promotion_analysis_run_status: AnalysisRunReference | None = None
    post_promotion_analysis_run_status: AnalysisRunReference | None = None


class AwsResource(Model):
    """A load balancer."""

    name: str
    arn: str
    full_name: str = ""


class AlbStatus(Model):
    """What the verification of an ALB found (traffic-routing 4.4)."""

    load_balancer: AwsResource | None = None
    canary_target_group: AwsResource | None = None
    stable_target_group: AwsResource | None = None
    ingress: str = ""


class DurationStatus(Model):
    """How long an update took (rollout-api 8)."""

    rollout_started_at: Time | None = None
    manual_pause_started_at: Time | None = None
    total_manual_pause_duration_seconds: Int32 = 0
    finished_at: Time | None = None
    completion_status: str = ""


class RolloutStatus(Model):
    """The status of a Rollout."""

    abort: bool = False
    aborted_at: Time | None = None
    pause_conditions: tuple[PauseCondition, ...] = ()
    controller_pause: bool = False
    current_pod_hash: str = ""
    current_step_hash: str = ""
    current_step_index: Int32 | None = None
    replicas: Int32 = 0
    updated_replicas: Int32 = 0
    ready_replicas: Int32 = 0
    available_replicas: Int32 = 0
    hpa_replicas: Int32 = Field(default=0, alias="HPAReplicas")
    selector: str = ""
    collision_count: Int32 | None = None
    observed_generation: str = ""
    workload_observed_generation: str = ""
    conditions: tuple[Condition, ...] = ()
    stable_rs: str = Field(default="", alias="stableRS")
    restarted_at: Time | None = None
    promote_full: bool = False
    phase: str = ""
    message: str = ""
    canary: CanaryStatus = CanaryStatus()
    blue_green: BlueGreenStatus = BlueGreenStatus()
    alb: AlbStatus | None = None
    albs: tuple[AlbStatus, ...] = ()
    duration: DurationStatus | None = None
    headrace: OpenObject | None = Field(
        # One entry of managedFields instead of one per leaf, which each patch would merge.
        default=None,
        json_schema_extra={"x-kubernetes-map-type": "atomic"},
    )
