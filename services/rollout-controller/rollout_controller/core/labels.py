"""Labels and annotations that the engine reads and writes (rollout-api 7.1, 7.2)."""

from __future__ import annotations

from typing import Final

HASH: Final = "rollouts-pod-template-hash"
ROLLOUT_TYPE: Final = "rollout-type"
STEP_INDEX: Final = "step-index"
INSTANCE_ID: Final = "argo-rollouts.argoproj.io/controller-instance-id"

REVISION: Final = "rollout.argoproj.io/revision"
REVISION_HISTORY: Final = "rollout.argoproj.io/revision-history"
DESIRED_REPLICAS: Final = "rollout.argoproj.io/desired-replicas"
WORKLOAD_GENERATION: Final = "rollout.argoproj.io/workload-generation"
EPHEMERAL_METADATA: Final = "rollout.argoproj.io/ephemeral-metadata"
SCALE_DOWN_DEADLINE: Final = "scale-down-deadline"
MANAGED_BY: Final = "argo-rollouts.argoproj.io/managed-by-rollouts"
EXPERIMENT: Final = "experiment.argoproj.io/name"
EXPERIMENT_TEMPLATE: Final = "experiment.argoproj.io/template-name"
CAUSE: Final = "headrace.io/cause"
COMMAND: Final = "headrace.io/command"

HEADRACE_PREFIX: Final = "headrace.io/"
NEVER_COPIED: Final = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS,
        "notified.notifications.argoproj.io",
    }
)
"""Annotations of a Rollout that its ReplicaSets never get (rollout-api 7.2)."""
