"""All that `decide` may know of one Rollout: a frozen snapshot of the cluster.

Built by `gather` from caches and, where the specification wants it, live reads. Times are
seconds since the Unix epoch. Nothing here is derived from the plan of an earlier pass but what
the objects themselves say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import Any

from headrace.kubernetes.owners import controller_reference
from headrace.kubernetes.resources import ROLLOUTS, Manifest
from headrace.model.analysis import AnalysisTemplateSpec
from headrace.model.headrace_status import HeadraceStatus
from headrace.model.meta import parse_time
from headrace.model.quantities import Instant
from headrace.model.rollout import RolloutSpec
from headrace.model.rollout_status import RolloutStatus
from headrace.model.route import Level


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    """A ReplicaSet that the Rollout controls.

    Attributes:
        pod_hash: Label rollouts-pod-template-hash.
        revision: Annotation of that name, 0 when missing or unparsable.
        replicas: spec.replicas.
        status_replicas: status.replicas.
        ready: status.readyReplicas.
        available: status.availableReplicas.
        is_status_current: status.observedGeneration has caught up with the spec.
        desired_annotation: Annotation desired-replicas as written; None when missing.
        scale_down_deadline: Annotation as written; None when missing.
        failure: The ReplicaFailure condition (status, reason, message), if there is one.
        manifest: The whole object; never change it.
    """

    name: str
    uid: str
    pod_hash: str
    revision: int
    created_at: Instant
    replicas: int
    status_replicas: int
    ready: int
    available: int
    is_status_current: bool
    is_deleting: bool
    desired_annotation: str | None
    scale_down_deadline: str | None
    failure: tuple[str, str, str] | None
    manifest: Manifest

    @property
    def scale_down_at(self) -> Instant | None:
        """When it shall go down; None when no deadline is there, or none that can be read."""
        try:
            return parse_time(self.scale_down_deadline) if self.scale_down_deadline else None
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class ServiceObject:
    """A Service that the Rollout names.

    Attributes:
        pod_hash: The hash in its selector, "" when it has none.
        managed_by: Annotation managed-by-rollouts, "" when missing.
        selector: The whole selector.
    """

    name: str
    uid: str
    resource_version: str
    pod_hash: str
    managed_by: str
    selector: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RunObject:
    """An AnalysisRun that the Rollout owns.

    Attributes:
        phase: As judged by the analysis-runner; "" before its first pass.
        pod_hash: Label of that name.
        step_index: Of the step that it judges; None for background runs.
        is_terminating: spec.terminate.
        cause: Annotation headrace.io/cause.
    """

    name: str
    uid: str
    phase: str
    message: str
    pod_hash: str
    step_index: str | None
    is_terminating: bool
    is_deleting: bool
    created_at: Instant
    cause: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class ExperimentTemplateObject:
    """A template of an Experiment, as its status shows it.

    Attributes:
        service_name: "" while it has no Service.
        pod_hash: Of its ReplicaSet; "" without a Service.
        port: Of its Service, by which routers that name ports reach it.
    """

    name: str
    service_name: str
    pod_hash: str
    available: int
    port: int


@dataclass(frozen=True, slots=True)
class ExperimentObject:
    """An Experiment that the Rollout owns.

    Attributes:
        phase: "" before its first pass.
        message: What its status says, or why its spec is refused.
        pod_hash: Label of that name.
        step_index: Label of that name; None when another controller created it.
        is_terminating: spec.terminate.
        cause: Annotation headrace.io/cause.
    """

    name: str
    phase: str
    message: str
    pod_hash: str
    step_index: str | None
    is_terminating: bool
    is_deleting: bool
    created_at: Instant
    cause: str
    templates: tuple[ExperimentTemplateObject, ...]
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of one of the Rollout's ReplicaSets.

    Attributes:
        ready_at: Since when it is ready; None while it is not.
    """

    name: str
    uid: str
    replica_set_uid: str
    created_at: Instant
    is_terminating: bool
    ready_at: Instant | None
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Deployment:
    """A Deployment that is scaled down while the Rollout takes its place."""

    name: str
    replicas: int
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Workload:
    """The object that the pod template is taken from.

    Attributes:
        generation: Its metadata.generation.
        is_annotated: The Rollout's annotation workload-generation says so already.
        deployment: The Deployment of its name, where workloadRef.scaleDown wants it scaled.
    """

    generation: int
    is_annotated: bool
    deployment: Deployment | None = None


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What is known of an applied route: an answer of the router, or the objects themselves.

    Attributes:
        epoch: The epoch in the fence.
        level: Weakest level over all routers.
        canary: Weight observed on the canary-role Service.
        verified: As canary 5.4.6: None when no router can tell.
        error: Text of the first router that failed, "" when none did.
        found_epoch: Highest epoch found by a refusal, 0 when not refused.
        warning: Text of a failed verification.
    """

    epoch: int
    level: Level | None = "written"
    canary: int = 0
    verified: bool | None = None
    error: str = ""
    found_epoch: int = 0
    warning: str = ""


@dataclass(frozen=True, slots=True)
class StepPlugin:
    """A step plugin that the cluster is configured with (canary 9).

    Attributes:
        is_disabled: Its steps are skipped.
        refusal: Why it cannot be called and what to do instead; "" when it can.
    """

    name: str
    is_disabled: bool = False
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class PluginAnswer:
    """What became of a call of a step plugin's worker.

    Attributes:
        call: Id of the call.
        at: When the answer was there.
        phase: As the worker said it; "" leaves the phase as it is.
        requeue_after_seconds: When the worker wants to be asked again; None when it does not say.
        status: What the worker wants to be given with the next call.
        error: Why there is no answer of the worker; "" when there is one.
    """

    call: str
    at: Instant
    phase: str = ""
    message: str = ""
    requeue_after_seconds: float | None = None
    status: Mapping[str, Any] | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class References:
    """Objects that the spec names, as far as the validation needs them.

    Attributes:
        services: By name; absent ones are missing in the cluster.
        templates: AnalysisTemplates by name.
        cluster_templates: ClusterAnalysisTemplates by name.
    """

    services: Mapping[str, ServiceObject] = field(default_factory=dict)
    templates: Mapping[str, AnalysisTemplateSpec] = field(default_factory=dict)
    cluster_templates: Mapping[str, AnalysisTemplateSpec] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """Durations and identities that decisions depend on, in seconds.

    Attributes:
        cluster_uid: UID of the kube-system namespace.
        route_valid_seconds: How long a raise holds unacknowledged.
        route_renew_seconds: After which an unacknowledged raise is renewed.
        route_resend_seconds: First delay of re-sending an unacknowledged request.
        route_resend_seconds_max: Longest one.
        abort_claim_seconds: How long the claim of an abort waits for the route.
    """

    cluster_uid: str = ""
    instance_id: str = ""
    route_valid_seconds: float = 60.0
    route_renew_seconds: float = 30.0
    route_resend_seconds: float = 1.0
    route_resend_seconds_max: float = 10.0
    abort_claim_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class Observed:
    """One Rollout and everything around it.

    Attributes:
        raw_spec: The spec as stored (validation shows raw values).
        template_hash: Hash computed from the pod template and collisionCount.
        step_hash: Hash of the canary steps, "" for blue-green.
        new_replica_set: Name of the ReplicaSet of the current template, by the three rules of
            rollout-api 7.3; None when there is none yet.
        workload: Where workloadRef leads; `spec` has its template and selector already, and
            `annotations` its generation (rollout-api 2.3).
        workload_error: Why workloadRef leads nowhere, "" when it does not.
        spec_error: First error of the spec alone, "" when there is none (rollout-api 4.1).
        orphans: ReplicaSets that the selector matches and nobody controls.
        pods: Only filled in when a restart or ephemeral metadata asks for them.
        acknowledgement: Newest knowledge about the traffic objects; None when there is none.
        server_offset_seconds: API server time minus own time; None while unknown.
        plugins: Step plugins that are configured, by name.
        plugins_error: Why their configuration cannot be read, "" when it can.
        plugin_answer: Newest answer of a step plugin's worker.
        delivered: Highest history ordinal below which the broker has acknowledged all.
        commands: Ids of commands whose patch is already in `status`, not yet recorded.
        cause: Causation id of what woke this pass.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    is_deleting: bool
    spec: RolloutSpec
    raw_spec: Mapping[str, Any]
    status: RolloutStatus
    headrace: HeadraceStatus
    has_headrace: bool
    template_hash: str
    step_hash: str
    new_replica_set: str | None
    workload: Workload | None = None
    workload_error: str = ""
    spec_error: str = ""
    replica_sets: tuple[ReplicaSet, ...] = ()
    orphans: tuple[ReplicaSet, ...] = ()
    references: References = References()
    runs: tuple[RunObject, ...] = ()
    experiments: tuple[ExperimentObject, ...] = ()
    pods: tuple[Pod, ...] = ()
    acknowledgement: Acknowledgement | None = None
    server_offset_seconds: float | None = None
    plugins: Mapping[str, StepPlugin] = field(default_factory=dict)
    plugins_error: str = ""
    plugin_answer: PluginAnswer | None = None
    delivered: int = 0
    cause: str = ""
    actor: str | None = None
    settings: Settings = Settings()

    @property
    def key(self) -> str:
        """`<namespace>/<name>`."""
        return f"{self.namespace}/{self.name}"

    @property
    def owner_reference(self) -> dict[str, Any]:
        """The controller reference of what the Rollout owns."""
        return controller_reference(ROLLOUTS.api_version, ROLLOUTS.kind, self.name, self.uid)

    @property
    def replicas(self) -> int:
        """Wanted pods, 1 when the spec does not say (rollout-api 2)."""
        return 1 if self.spec.replicas is None else self.spec.replicas

    def with_status(self, status: RolloutStatus, headrace: HeadraceStatus) -> Observed:
        """Return the snapshot as it will be when a claim is stored."""
        return replace(self, status=status, headrace=headrace, has_headrace=True)

    def is_like(self, other: Observed) -> bool:
        """Return whether the same must be decided on both, before any wake-up of the decision.

        Every write of our own moves the version, and every answer tells the API server's time a
        little better; the cause is only told. Nothing is decided by these.
        """
        has_time = self.server_offset_seconds is not None
        if has_time is not (other.server_offset_seconds is not None):
            return False
        return bool(_DECIDED_BY(self) == _DECIDED_BY(other))


_DECIDED_BY = attrgetter(
    *(
        each.name
        for each in fields(Observed)
        if each.name not in ("resource_version", "cause", "actor", "server_offset_seconds")
    )
)
"""What a decision depends on."""
