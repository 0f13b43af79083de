"""What the rollout-controller exports, scraped while Rollouts come, work and go."""

from __future__ import annotations

import asyncio

import pytest
from component_world import running

from headrace.kubernetes.resources import (
    ANALYSIS_TEMPLATES,
    CLUSTER_ANALYSIS_TEMPLATES,
    ROLLOUTS,
    Manifest,
)
from headrace.runtime.metrics import FORGET_SECONDS

pytestmark = [pytest.mark.looptime, pytest.mark.spec("cli-and-clients 8")]


def template(name: str, namespace: str | None) -> Manifest:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    metrics = [
        {"name": "ratio", "provider": {"prometheus": {"query": "x"}}},
        {"name": "calls", "provider": {"job": {"spec": {}}}},
    ]
    return {"metadata": metadata, "spec": {"metrics": metrics}}


async def test_a_rollout_has_the_series_of_the_contract() -> None:
    async with running() as world:
        await world.create("app")
        await asyncio.sleep(30)
        await world.release("app", "app:v2")
        await asyncio.sleep(30)
        series = world.scrape()
    app = (("name", "app"), ("namespace", "default"))

    def value(name: str, **labels: str) -> float:
        return series[name, tuple(sorted((*app, *labels.items())))]

    assert value("rollout_info", strategy="canary", traffic_router="", phase="Completed") == 1
    for phase in ("Completed", "Progressing", "Paused", "Timeout", "Error", "Abort"):
        assert value("rollout_phase", strategy="canary", phase=phase) == (phase == "Completed")
    assert value("rollout_info_replicas_available") == 4
    assert value("rollout_info_replicas_unavailable") == 0
    assert value("rollout_info_replicas_desired") == 4
    assert value("rollout_info_replicas_updated") == 4
    assert value("rollout_reconcile_bucket", le="+Inf") == value("rollout_reconcile_count") > 0
    assert value("rollout_events_total", type="Normal", reason="RolloutCompleted") == 2
    assert value("rollout_events_total", type="Normal", reason="RolloutPaused") == 1
    for name in ("rollout", "rollout_progression", "rollout_manual_pause"):
        assert series[f"{name}_duration_seconds_count", (("status", "Promoted"),)] == 2


async def test_an_update_that_another_one_ends_is_counted() -> None:
    async with running() as world:
        await world.create("app")
        await asyncio.sleep(30)
        await world.release("app", "app:v2")
        await asyncio.sleep(3)
        await world.release("app", "app:v3")
        await asyncio.sleep(30)
        series = world.scrape()
    for name in ("rollout", "rollout_progression", "rollout_manual_pause"):
        counts = {
            labels[0][1]: value
            for (each, labels), value in series.items()
            if each == f"{name}_duration_seconds_count"
        }
        assert counts == {"Promoted": 2, "Superseded": 1}


async def test_templates_have_their_series() -> None:
    async with running() as world:
        await world.person.create(ANALYSIS_TEMPLATES, template("good", "default"))
        await world.person.create(CLUSTER_ANALYSIS_TEMPLATES, template("all", None))
        await asyncio.sleep(1)
        series = world.scrape()
    for name, namespace in (("good", "default"), ("all", "")):
        base = {"name": name, "namespace": namespace}
        assert series["analysis_template_info", tuple(sorted(base.items()))] == 1
        for metric, kind in (("ratio", "Prometheus"), ("calls", "Job")):
            labels = {**base, "metric": metric, "type": kind}
            assert series["analysis_template_metric_info", tuple(sorted(labels.items()))] == 1


async def test_gauges_go_with_their_object_and_counters_a_little_later() -> None:
    async with running() as world:
        await world.create("app")
        await asyncio.sleep(30)
        assert world.of("app") >= {"rollout_info", "rollout_reconcile_count"}
        await world.person.delete(ROLLOUTS, "default", "app")
        await asyncio.sleep(1)
        kept = world.of("app")
        assert not {name for name in kept if name.startswith(("rollout_info", "rollout_phase"))}
        assert "rollout_events_total" in kept
        await asyncio.sleep(FORGET_SECONDS)
        assert world.of("app") == set()


async def test_the_series_are_bounded_by_the_objects_that_live() -> None:
    """However many came and went: as many as after the first of them."""
    async with running() as world:
        sizes = []
        for number in range(4):
            await world.create(f"app-{number}")
            await asyncio.sleep(20)
            await world.release(f"app-{number}", "app:v2")
            await asyncio.sleep(20)
            await world.person.delete(ROLLOUTS, "default", f"app-{number}")
            await asyncio.sleep(FORGET_SECONDS + 5)
            sizes.append(len(world.scrape()))
    assert sizes[1:] == [sizes[1]] * 3
