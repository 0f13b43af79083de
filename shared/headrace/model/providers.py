"""Metric providers of an analysis (analysis 7).

Only their configuration: asking them is the analysis-runner's work.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from headrace.model.base import Model
from headrace.model.quantities import Int64, IntOrString
from headrace.model.steps import TemplateMetadata
from headrace.model.traffic import OpenObject

JobSpec = Annotated[dict[str, Any], WithJsonSchema({"x-headrace-schema": "JobSpec"})]
"""A batch/v1 JobSpec as raw JSON, so that no field is ever lost."""


class HttpHeader(Model):
    """A header to send with each query."""

    key: str
    value: str


class BasicAuth(Model):
    """User name and password."""

    username: str = ""
    password: str = ""


class OAuth2(Model):
    """The client credentials flow."""

    token_url: str = ""
    client_id: str = ""
    client_secret: str = ""
    scopes: tuple[str, ...] = ()


class SigV4(Model):
    """AWS request signing."""

    region: str = ""
    profile: str = ""
    role_arn: str = ""


class Authentication(Model):
    """How to authenticate; all that is set is stacked."""

    basic_auth: BasicAuth = BasicAuth()
    oauth2: OAuth2 = OAuth2()
    sigv4: SigV4 = SigV4()


class PrometheusRangeQuery(Model):
    """A range query: `start` and `end` are time expressions, `step` a Go duration."""

    start: str = ""
    end: str = ""
    step: str = ""


class PrometheusMetric(Model):
    """Prometheus (analysis 7.1); `timeout` in seconds."""

    address: str = ""
    query: str = ""
    timeout: Int64 | None = None
    insecure: bool = False
    headers: tuple[HttpHeader, ...] = ()
    authentication: Authentication = Authentication()
    range_query: PrometheusRangeQuery | None = None


class WebMetric(Model):
    """Any HTTP endpoint (analysis 7.2)."""

    url: str
    method: str = ""
    headers: tuple[HttpHeader, ...] = ()
    body: str = ""
    json_body: OpenObject | None = None
    timeout_seconds: Int64 = 0
    json_path: str = ""
    insecure: bool = False
    authentication: Authentication = Authentication()


class JobMetric(Model):
    """A Kubernetes Job whose outcome is the measurement (analysis 7.3)."""

    metadata: TemplateMetadata = TemplateMetadata()
    spec: JobSpec


class ProviderSecretReference(Model):
    """A Secret with credentials; `namespaced` takes it from the run's namespace."""

    name: str = ""
    namespaced: bool = False


class DatadogMetric(Model):
    """Datadog (analysis 7.4); the only provider with defaults set by the server."""

    api_version: Annotated[
        str,
        WithJsonSchema({"type": "string", "enum": ["v1", "v2"], "x-headrace-default": "v1"}),
    ] = "v1"
    interval: Annotated[str, WithJsonSchema({"type": "string", "x-headrace-default": "5m"})] = "5m"
    query: str = ""
    queries: dict[str, str] = Field(default_factory=dict)
    formula: str = ""
    aggregator: Annotated[
        str,
        WithJsonSchema(
            {
                "type": "string",
                "enum": [
                    "avg",
                    "min",
                    "max",
                    "sum",
                    "last",
                    "percentile",
                    "mean",
                    "l2norm",
                    "area",
                ],
            }
        ),
    ] = ""
    secret_ref: ProviderSecretReference = ProviderSecretReference()
    request_timeout: Annotated[
        str, WithJsonSchema({"type": "string", "x-headrace-default": "10s"})
    ] = "10s"


class NewRelicMetric(Model):
    """New Relic (analysis 7.5); `timeout` in seconds."""

    profile: str = ""
    query: str
    timeout: Int64 | None = None


class WavefrontMetric(Model):
    """Wavefront (analysis 7.6)."""

    address: str = ""
    query: str = ""


class CloudWatchDimension(Model):
    """A dimension of a CloudWatch metric."""

    name: str = ""
    value: str = ""


class CloudWatchMetricIdentity(Model):
    """Which CloudWatch metric."""

    dimensions: tuple[CloudWatchDimension, ...] = ()
    metric_name: str = ""
    namespace: str | None = None


class CloudWatchMetricStat(Model):
    """A statistic over a CloudWatch metric; `period` in seconds."""

    metric: CloudWatchMetricIdentity = CloudWatchMetricIdentity()
    period: IntOrString = 0
    stat: str = ""
    unit: str = ""


class CloudWatchMetricDataQuery(Model):
    """One query of GetMetricData."""

    id: str = ""
    expression: str | None = None
    label: str | None = None
    metric_stat: CloudWatchMetricStat | None = None
    period: IntOrString | None = None
    return_data: bool | None = None


class CloudWatchMetric(Model):
    """AWS CloudWatch (analysis 7.7)."""

    interval: str = ""
    metric_data_queries: tuple[CloudWatchMetricDataQuery, ...]


class GraphiteMetric(Model):
    """Graphite (analysis 7.8)."""

    address: str = ""
    query: str = ""


class InfluxdbMetric(Model):
    """InfluxDB (analysis 7.9)."""

    profile: str = ""
    query: str = ""


class SkyWalkingMetric(Model):
    """Apache SkyWalking (analysis 7.10)."""

    address: str = ""
    query: str = ""
    interval: str = ""


class KayentaThreshold(Model):
    """Scores, 0 to 100, from which a canary passes or is marginal."""

    pass_: Int64 = Field(alias="pass")
    marginal: Int64


class KayentaScope(Model):
    """What a Kayenta judgement looks at; `step` in seconds.

    Without `start` and `end` the judgement looks back from now.
    """

    scope: str
    region: str
    step: Int64
    start: str = ""
    end: str = ""


class KayentaScopePair(Model):
    """The two sides that Kayenta compares."""

    name: str
    control_scope: KayentaScope
    experiment_scope: KayentaScope


class KayentaMetric(Model):
    """Kayenta (analysis 7.11)."""

    address: str
    application: str
    canary_config_name: str
    metrics_account_name: str
    configuration_account_name: str
    storage_account_name: str
    threshold: KayentaThreshold
    scopes: tuple[KayentaScopePair, ...]
    lookback: bool = False


class MetricProvider(Model):
    """Exactly one of these, which the validation checks (analysis 5)."""

    prometheus: PrometheusMetric | None = None
    kayenta: KayentaMetric | None = None
    web: WebMetric | None = None
    datadog: DatadogMetric | None = None
    wavefront: WavefrontMetric | None = None
    new_relic: NewRelicMetric | None = None
    job: JobMetric | None = None
    cloud_watch: CloudWatchMetric | None = None
    graphite: GraphiteMetric | None = None
    influxdb: InfluxdbMetric | None = None
    skywalking: SkyWalkingMetric | None = None
    plugin: OpenObject = Field(default_factory=dict)
