"""Experiment (experiment 1, 1.1, 1.2)."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import SerializerFunctionWrapHandler, model_serializer

from headrace.model.analysis import Argument
from headrace.model.base import Model, Resource
from headrace.model.conditions import Condition
from headrace.model.meta import LabelSelector, ObjectMeta, Time
from headrace.model.quantities import Int32
from headrace.model.rollout import PodTemplate
from headrace.model.steps import (
    DryRun,
    MeasurementRetention,
    ServiceReference,
    TemplateMetadata,
)


class ExperimentTemplate(Model):
    """A ReplicaSet to run."""

    name: str
    replicas: Int32 | None = None
    min_ready_seconds: Int32 = 0
    selector: LabelSelector
    template: PodTemplate
    service: ServiceReference | None = None


class ExperimentAnalysis(Model):
    """An analysis to run beside the templates."""

    name: str
    template_name: str
    cluster_scope: bool = False
    args: tuple[Argument, ...] = ()
    required_for_completion: bool = False


class ExperimentSpec(Model):
    """What to run, and for how long."""

    templates: tuple[ExperimentTemplate, ...]
    duration: str = ""
    progress_deadline_seconds: Int32 | None = None
    terminate: bool = False
    analyses: tuple[ExperimentAnalysis, ...] = ()
    scale_down_delay_seconds: Int32 | None = None
    dry_run: tuple[DryRun, ...] = ()
    measurement_retention: tuple[MeasurementRetention, ...] = ()
    analysis_run_metadata: TemplateMetadata = TemplateMetadata()


class TemplateStatus(Model):
    """How a template's ReplicaSet is doing. The counters are always written."""

    name: str
    replicas: Int32 = 0
    updated_replicas: Int32 = 0
    ready_replicas: Int32 = 0
    available_replicas: Int32 = 0
    collision_count: Int32 | None = None
    status: str = ""
    message: str = ""
    last_transition_time: Time | None = None
    service_name: str = ""
    pod_template_hash: str = ""

    @model_serializer(mode="wrap")
    def _serialize(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        counters = {
            "replicas": self.replicas,
            "updatedReplicas": self.updated_replicas,
            "readyReplicas": self.ready_replicas,
            "availableReplicas": self.available_replicas,
        }
        return {**counters, **handler(self)}


class ExperimentAnalysisStatus(Model):
    """An analysis of the Experiment, and its AnalysisRun by name."""

    name: str
    analysis_run: str
    phase: str
    message: str = ""


class ExperimentStatus(Model):
    """How the Experiment is doing."""

    phase: str = ""
    message: str = ""
    available_at: Time | None = None
    template_statuses: tuple[TemplateStatus, ...] = ()
    analysis_runs: tuple[ExperimentAnalysisStatus, ...] = ()
    conditions: tuple[Condition, ...] = ()


class Experiment(Resource):
    """An Experiment."""

    KIND: ClassVar[str] = "Experiment"

    metadata: ObjectMeta = ObjectMeta()
    spec: ExperimentSpec
    status: ExperimentStatus = ExperimentStatus()
