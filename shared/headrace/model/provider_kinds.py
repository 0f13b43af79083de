"""The kinds of metric providers: how they are named on the wire and in metrics.

Source: analysis 7 (selection order, type strings).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from headrace.model.providers import MetricProvider


@dataclass(frozen=True, slots=True)
class ProviderKind:
    """One kind of provider.

    Attributes:
        field: Attribute of `MetricProvider`.
        name: Field on the wire.
        type: What metrics and notifications call it.
    """

    field: str
    name: str
    type: str


KINDS: Final = (
    ProviderKind("prometheus", "prometheus", "Prometheus"),
    ProviderKind("job", "job", "Job"),
    ProviderKind("kayenta", "kayenta", "Kayenta"),
    ProviderKind("web", "web", "Web"),
    ProviderKind("datadog", "datadog", "Datadog"),
    ProviderKind("wavefront", "wavefront", "Wavefront"),
    ProviderKind("new_relic", "newRelic", "NewRelic"),
    ProviderKind("cloud_watch", "cloudWatch", "CloudWatch"),
    ProviderKind("graphite", "graphite", "Graphite"),
    ProviderKind("influxdb", "influxdb", "Influxdb"),
    ProviderKind("skywalking", "skywalking", "skywalking"),
    ProviderKind("plugin", "plugin", "RPCPlugin"),
)
"""In the order in which the first one that is set is taken."""

UNKNOWN_TYPE: Final = "Unknown Provider"


def kind_of(provider: MetricProvider) -> ProviderKind | None:
    """Return the kind that is asked, None when nothing is configured."""
    return next((kind for kind in KINDS if _is_set(provider, kind)), None)


def configured_count(provider: MetricProvider) -> int:
    """Return how many providers are configured; each plugin counts."""
    return sum(
        len(provider.plugin) if kind.field == "plugin" else int(_is_set(provider, kind))
        for kind in KINDS
    )


def metric_types(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return the type of each metric of a run's or template's stored spec, by name."""
    metrics = spec.get("metrics") or ()
    return {each["name"]: _type(each.get("provider") or {}) for each in metrics}


def _type(provider: Mapping[str, Any]) -> str:
    found = (kind.type for kind in KINDS if _is_stored(provider.get(kind.name), kind))
    return next(found, UNKNOWN_TYPE)


def _is_stored(value: object, kind: ProviderKind) -> bool:
    return bool(value) if kind.field == "plugin" else value is not None


def _is_set(provider: MetricProvider, kind: ProviderKind) -> bool:
    return _is_stored(getattr(provider, kind.field), kind)
