"""Conditions, and the one list of reasons (rollout-api 5, cli-and-clients 9).

The same word is used in conditions, Kubernetes Events, log lines, metric labels
and events on the bus. `Reason` is for what we write; what we read stays `str`.
"""

from __future__ import annotations

from enum import StrEnum

from headrace.model.base import Model
from headrace.model.meta import Time


class ConditionType(StrEnum):
    """Types of conditions on Rollouts and Experiments."""

    INVALID_SPEC = "InvalidSpec"
    AVAILABLE = "Available"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    COMPLETED = "Completed"
    HEALTHY = "Healthy"
    REPLICA_FAILURE = "ReplicaFailure"
    STABLE_BROKEN = "StableBroken"


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class RolloutPhase(StrEnum):
    """The phases that clients show (rollout-api 6)."""

    HEALTHY = "Healthy"
    DEGRADED = "Degraded"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"


class PauseReason(StrEnum):
    """Reasons of `status.pauseConditions` (rollout-api 3)."""

    INCONCLUSIVE_ANALYSIS_RUN = "InconclusiveAnalysisRun"
    INCONCLUSIVE_EXPERIMENT = "InconclusiveExperiment"
    CANARY_PAUSE_STEP = "CanaryPauseStep"
    BLUE_GREEN_PAUSE = "BlueGreenPause"


class Reason(StrEnum):
    """Every reason of a condition or of an Event."""

    # Conditions of a Rollout; those that are Events too stand below.
    INVALID_SPEC = "InvalidSpec"
    AVAILABLE = "AvailableReason"
    FOUND_NEW_REPLICA_SET = "FoundNewReplicaSet"
    REPLICA_SET_UPDATED = "ReplicaSetUpdated"
    REPLICA_SET_NOT_AVAILABLE = "ReplicaSetNotAvailable"
    NEW_REPLICA_SET_AVAILABLE = "NewReplicaSetAvailable"
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    ROLLOUT_RETRY = "RolloutRetry"
    ROLLOUT_HEALTHY = "RolloutHealthy"
    ANALYSIS_RUN_FAILED = "AnalysisRunFailed"
    EXPERIMENT_FAILED = "ExperimentFailed"

    # Life of a Rollout.
    ROLLOUT_ADDED_TO_INFORMER = "RolloutAddedToInformer"
    ROLLOUT_DELETED = "RolloutDeleted"
    ROLLOUT_UPDATED = "RolloutUpdated"
    NEW_REPLICA_SET_CREATED = "NewReplicaSetCreated"
    STABLE_BROKEN = "StableBroken"
    REPLICA_SET_CREATE_ERROR = "ReplicaSetCreateError"
    REPLICA_SET_UPDATE_ERROR = "ReplicaSetUpdateError"
    SCALING_REPLICA_SET = "ScalingReplicaSet"
    ROLLOUT_PAUSED = "RolloutPaused"
    ROLLOUT_RESUMED = "RolloutResumed"
    ROLLOUT_STEP_COMPLETED = "RolloutStepCompleted"
    ROLLOUT_COMPLETED = "RolloutCompleted"
    ROLLOUT_NOT_COMPLETED = "RolloutNotCompleted"
    ROLLOUT_ABORTED = "RolloutAborted"
    SKIP_STEPS = "SkipSteps"
    SWITCH_SERVICE = "SwitchService"
    STEP_PLUGIN_TRANSITION = "StepPluginTransition"
    RECONCILIATION_ERROR = "ReconciliationError"

    # Traffic.
    TRAFFIC_WEIGHT_UPDATED = "TrafficWeightUpdated"
    TRAFFIC_ROUTING_ERROR = "TrafficRoutingError"
    WEIGHT_VERIFY_ERROR = "WeightVerifyError"
    TARGET_GROUP_VERIFIED = "TargetGroupVerified"
    TARGET_GROUP_UNVERIFIED = "TargetGroupUnverified"
    TARGET_GROUP_VERIFY_ERROR = "TargetGroupVerifyError"
    LOAD_BALANCER_NOT_FOUND = "LoadBalancerNotFound"
    UPDATED_VIRTUAL_SERVICE = "Updated VirtualService"
    UPDATED_DESTINATION_RULE = "UpdatedDestinationRule"
    VIRTUAL_SERVICE_NOT_FOUND = "VirtualServiceNotFound"
    DESTINATION_RULE_NOT_FOUND = "DestinationRuleNotFound"
    CREATING_CANARY_INGRESS = "CreatingCanaryIngress"
    PATCHING_CANARY_INGRESS = "PatchingCanaryIngress"
    PATCHING_ALB_INGRESS = "PatchingALBIngress"
    TRAFFIC_SPLIT_CREATED = "TrafficSplitCreated"
    TRAFFIC_SPLIT_NOT_CREATED = "TrafficSplitNotCreated"
    CANARY_MAPPING_WEIGHT_UPDATE = "CanaryMappingWeightUpdate"
    AMBASSADOR_MAPPING_NOT_FOUND = "AmbassadorMappingNotFound"
    AMBASSADOR_MAPPING_CONFIG_ERROR = "AmbassadorMappingConfigError"
    CANARY_MAPPING_CREATION_ERROR = "CanaryMappingCreationError"
    CANARY_MAPPING_UPDATE_ERROR = "CanaryMappingUpdateError"
    CANARY_MAPPING_CLEANUP_ERROR = "CanaryMappingCleanupError"
    TRAEFIK_SERVICE_UPDATE_ERROR = "TraefikServiceUpdateError"
    APISIX_ROUTE_UPDATE_ERROR = "ApisixRouteUpdateError"
    APISIX_ROUTE_CREATE_ERROR = "ApisixRouteCreateError"
    APISIX_ROUTE_DELETE_ERROR = "ApisixRouteDeleteError"
    VIRTUAL_ROUTER_NOT_FOUND = "VirtualRouterNotFound"
    VIRTUAL_NODE_NOT_FOUND = "VirtualNodeNotFound"

    # Analysis.
    ANALYSIS_RUN_PENDING = "AnalysisRunPending"
    ANALYSIS_RUN_RUNNING = "AnalysisRunRunning"
    ANALYSIS_RUN_SUCCESSFUL = "AnalysisRunSuccessful"
    ANALYSIS_RUN_ERROR = "AnalysisRunError"
    ANALYSIS_RUN_INCONCLUSIVE = "AnalysisRunInconclusive"
    ANALYSIS_RUN_TERMINATING = "AnalysisRunTerminating"
    METRIC_SUCCESSFUL = "MetricSuccessful"
    METRIC_FAILED = "MetricFailed"
    METRIC_ERROR = "MetricError"
    METRIC_INCONCLUSIVE = "MetricInconclusive"

    # Experiments.
    EXPERIMENT_CREATED = "ExperimentCreated"
    EXPERIMENT_COMPLETED = "ExperimentCompleted"
    EXPERIMENT_PENDING = "ExperimentPending"
    EXPERIMENT_RUNNING = "ExperimentRunning"
    EXPERIMENT_SUCCESSFUL = "ExperimentSuccessful"
    EXPERIMENT_ERROR = "ExperimentError"
    EXPERIMENT_INCONCLUSIVE = "ExperimentInconclusive"
    TEMPLATE_PROGRESSING = "TemplateProgressing"
    TEMPLATE_RUNNING = "TemplateRunning"
    TEMPLATE_SUCCESSFUL = "TemplateSuccessful"
    TEMPLATE_FAILED = "TemplateFailed"
    TEMPLATE_ERROR = "TemplateError"


class Condition(Model):
    """One condition of a Rollout or an Experiment."""

    type: str
    status: str
    reason: str
    message: str
    last_update_time: Time
    last_transition_time: Time
