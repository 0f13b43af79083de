"""Gauges of objects as others wrote them: fields absent, zero or null (cli-and-clients 8)."""

from typing import Any

import pytest

from headrace.kubernetes.resources import Manifest
from headrace.model.provider_kinds import metric_types
from headrace.runtime.clock import VirtualClock
from headrace.runtime.metrics import Metrics
from headrace.runtime.store import Store
from rollout_controller.gauges import export_gauges

pytestmark = pytest.mark.spec("cli-and-clients 8")


def scraped(rollout: Manifest) -> list[str]:
    metrics, rollouts = Metrics(["rollout-controller"], VirtualClock()), Store()
    export_gauges(metrics, rollouts, Store())
    metadata = {"name": "app", "namespace": "default", "uid": "u", "resourceVersion": "1"}
    rollouts.offer({"metadata": metadata, **rollout})
    return [line for line in "".join(metrics.expose()).splitlines() if 'name="app"' in line]


@pytest.mark.parametrize(("spec", "desired"), [({}, 1), ({"replicas": 0}, 0), ({"replicas": 3}, 3)])
def test_absent_replicas_are_one(spec: dict[str, Any], desired: int) -> None:
    series = f'rollout_info_replicas_desired{{namespace="default",name="app"}} {desired}'
    assert series in scraped({"spec": spec})


def test_unavailable_is_the_difference_as_it_is() -> None:
    series = 'rollout_info_replicas_unavailable{namespace="default",name="app"} -1'
    assert series in scraped({"spec": {}, "status": {"replicas": 2, "availableReplicas": 3}})


@pytest.mark.parametrize(
    ("provider", "kind"),
    [
        ({"job": {}}, "Job"),
        ({"prometheus": None, "web": {}}, "Web"),
        ({"plugin": {"a/b": {}}}, "RPCPlugin"),
        ({"plugin": {}}, "Unknown Provider"),
        ({}, "Unknown Provider"),
    ],
)
def test_a_provider_without_fields_is_one_all_the_same(provider: Manifest, kind: str) -> None:
    assert metric_types({"metrics": [{"name": "m", "provider": provider}]}) == {"m": kind}
