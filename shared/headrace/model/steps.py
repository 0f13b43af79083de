"""The steps of a canary (rollout-api 2.2, canary 2).

A step is an object with one optional field per kind. Which combinations make
sense is for the validation to say; here everything that the CRD admits parses.
"""

from __future__ import annotations

from pydantic import Field

from headrace.model.base import Model, required_by_server
from headrace.model.meta import LabelSelector
from headrace.model.quantities import Int32, IntOrString, pause_seconds
from headrace.model.traffic import OpenObject, StringMatch


class TemplateMetadata(Model):
    """Labels and annotations for pods, ReplicaSets or runs that the engine makes."""

    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class FieldReference(Model):
    """A field of the Rollout by path."""

    field_path: str


class ArgumentSource(Model):
    """Where the value of a Rollout's analysis argument comes from."""

    pod_template_hash_value: str | None = None
    field_ref: FieldReference | None = None


class AnalysisArgument(Model):
    """An argument that a Rollout or an Experiment gives to an analysis."""

    name: str
    value: str = ""
    value_from: ArgumentSource | None = None


class AnalysisTemplateReference(Model):
    """A template by name, in the namespace or in the cluster."""

    template_name: str = ""
    cluster_scope: bool = False


class DryRun(Model):
    """Metrics, by regular expression, whose outcome does not count."""

    metric_name: str


class MeasurementRetention(Model):
    """How many measurements of the matching metrics are kept."""

    metric_name: str
    limit: Int32


class RolloutAnalysis(Model):
    """An analysis that a Rollout starts."""

    templates: tuple[AnalysisTemplateReference, ...] = ()
    args: tuple[AnalysisArgument, ...] = ()
    dry_run: tuple[DryRun, ...] = ()
    measurement_retention: tuple[MeasurementRetention, ...] = ()
    analysis_run_metadata: TemplateMetadata = TemplateMetadata()


class BackgroundAnalysis(RolloutAnalysis):
    """An analysis beside the steps, from `starting_step` (counted from 0) on."""

    starting_step: Int32 | None = None


class Pause(Model):
    """Wait for a person, or for a duration."""

    duration: IntOrString | None = None

    def seconds(self) -> int | None:
        """Return the length in whole seconds, None without end, -1 when unparsable."""
        return pause_seconds(self.duration)


class SetCanaryScale(Model):
    """Decouples the size of the canary from its weight."""

    weight: Int32 | None = None
    replicas: Int32 | None = None
    match_traffic_weight: bool = False


class HeaderMatch(Model):
    """One header that sends a request to the canary."""

    header_name: str = required_by_server("")
    header_value: StringMatch | None = required_by_server(None)


class SetHeaderRoute(Model):
    """Creates, replaces or (without match) removes a header route."""

    name: str = ""
    match: tuple[HeaderMatch, ...] = ()


class RouteMatch(Model):
    """Requests by method, path and headers."""

    method: StringMatch | None = None
    path: StringMatch | None = None
    headers: dict[str, StringMatch] = Field(default_factory=dict)


class SetMirrorRoute(Model):
    """Creates, replaces or (without match) removes a mirror route."""

    name: str = required_by_server("")
    match: tuple[RouteMatch, ...] = ()
    percentage: Int32 | None = None


class PluginStep(Model):
    """A step that an external plugin carries out."""

    name: str = required_by_server("")
    config: OpenObject | None = None


class ServiceReference(Model):
    """A Service to create; without name it is called like its ReplicaSet."""

    name: str = ""


class RolloutExperimentTemplate(Model):
    """A ReplicaSet that an experiment step runs, copied from canary or stable."""

    name: str = required_by_server("")
    spec_ref: str = required_by_server("")
    replicas: Int32 | None = None
    metadata: TemplateMetadata = TemplateMetadata()
    selector: LabelSelector | None = None
    weight: Int32 | None = None
    service: ServiceReference | None = None


class RolloutExperimentAnalysis(Model):
    """An analysis of an experiment step."""

    name: str = required_by_server("")
    template_name: str = required_by_server("")
    cluster_scope: bool = False
    args: tuple[AnalysisArgument, ...] = ()
    required_for_completion: bool = False


class RolloutExperiment(Model):
    """The experiment that a step runs."""

    templates: tuple[RolloutExperimentTemplate, ...] = required_by_server(())
    duration: str = ""
    analyses: tuple[RolloutExperimentAnalysis, ...] = ()
    dry_run: tuple[DryRun, ...] = ()
    analysis_run_metadata: TemplateMetadata = TemplateMetadata()
    scale_down_delay_seconds: Int32 | None = None


class CanaryStep(Model):
    """One step; the first field set, in the order of canary 2.1, decides what it is."""

    set_weight: Int32 | None = None
    pause: Pause | None = None
    experiment: RolloutExperiment | None = None
    analysis: RolloutAnalysis | None = None
    set_canary_scale: SetCanaryScale | None = None
    set_header_route: SetHeaderRoute | None = None
    set_mirror_route: SetMirrorRoute | None = None
    plugin: PluginStep | None = None
