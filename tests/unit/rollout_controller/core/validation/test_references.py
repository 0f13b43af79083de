"""Rules about the objects that the spec names (rollout-api 4.2)."""

from dataclasses import replace
from typing import Any

import pytest

from headrace.model.analysis import AnalysisTemplateSpec
from rollout_controller.core import samples
from rollout_controller.core.observed import Observed, References
from rollout_controller.core.validation import references

pytestmark = pytest.mark.spec("rollout-api 4.2")

SERVICES = {"stableService": "active", "canaryService": "preview"}
BACKGROUND = "spec.strategy.canary.analysis.templates"
STEP = "spec.strategy.canary.steps[0].analysis.templates"


def template(metric: dict[str, Any] | None = None, **spec: Any) -> AnalysisTemplateSpec:
    name = spec.pop("metric_name", "m")
    metrics = [{"name": name, "provider": {"prometheus": {"query": "up"}}} | (metric or {})]
    return AnalysisTemplateSpec.load({"metrics": metrics, **spec})


def observe(analysis: dict[str, Any], **templates: AnalysisTemplateSpec) -> Observed:
    """A Rollout with `analysis` in its strategy or, without `background`, in its first step."""
    is_background = analysis.pop("background", False)
    strategy = {"analysis": analysis} if is_background else {"steps": [{"analysis": analysis}]}
    return samples.rollout(strategy, references=References(templates=templates))


def errors(observed: Observed) -> list[str]:
    return list(references.errors(observed))


def named(*names: str, **more: Any) -> dict[str, Any]:
    return {"templates": [{"templateName": name} for name in names], **more}


def test_admits_services_of_the_rollout() -> None:
    services = (samples.service("active", "stable"), samples.service("preview", managed_by=""))
    assert errors(samples.rollout(SERVICES, services=services)) == []


def test_services_must_exist_stable_first() -> None:
    assert errors(samples.rollout(SERVICES)) == [
        'spec.strategy.canary.stableService: Invalid value: "active": service "active" not found',
        'spec.strategy.canary.canaryService: Invalid value: "preview": service "preview" not found',
    ]


def test_all_objects_must_exist_before_any_is_judged() -> None:
    foreign = samples.service("active", managed_by="other")
    (error,) = errors(samples.rollout(SERVICES, services=(foreign,)))
    assert "not found" in error


def test_a_service_selects_pods_of_the_rollout() -> None:
    active = replace(samples.service("active"), selector={"app": "app", "tier": "web", "zone": "a"})
    path = "spec.strategy.canary.stableService"
    assert errors(samples.rollout({"stableService": "active"}, services=(active,))) == [
        f'{path}: Invalid value: "active": Service "active" has unmatch label "tier" in rollout',
        f'{path}: Invalid value: "active": Service "active" has unmatch label "zone" in rollout',
    ]


def test_a_service_may_select_the_labels_of_its_role() -> None:
    active = replace(samples.service("active"), selector={"app": "app", "role": "stable"})
    metadata = {"labels": {"role": "stable"}}
    strategy = {"stableService": "active", "stableMetadata": metadata}
    assert errors(samples.rollout(strategy, services=(active,))) == []
    other = {"stableService": "active", "canaryMetadata": metadata}
    assert len(errors(samples.rollout(other, services=(active,)))) == 1


def test_a_service_belongs_to_one_rollout() -> None:
    active = samples.service("active", managed_by="other")
    assert errors(samples.rollout({"stableService": "active"}, services=(active,))) == [
        'spec.strategy.canary.stableService: Invalid value: "active": '
        'Service "active" is managed by another Rollout'
    ]


@pytest.mark.spec("canary 6.3")
def test_ping_and_pong_exist_and_belong_to_the_rollout() -> None:
    path = "spec.strategy.canary.pingPong"
    gone = replace(samples.ping_pong([]), references=References())
    assert errors(gone) == [
        f'{path}.pingService: Invalid value: "ping": service "ping" not found',
        f'{path}.pongService: Invalid value: "pong": service "pong" not found',
    ]
    foreign = (samples.service("ping"), samples.service("pong", managed_by="other"))
    services = {each.name: each for each in foreign}
    assert errors(replace(gone, references=References(services=services))) == [
        f'{path}.pongService: Invalid value: "pong": Service "pong" is managed by another Rollout',
    ]


@pytest.mark.spec("canary 6.3")
def test_ping_and_pong_select_what_pods_carry_in_either_role() -> None:
    ping = replace(samples.service("ping"), selector={"app": "app", "role": "stable"})
    services = {"ping": ping, "pong": samples.service("pong")}
    metadata = {"stableMetadata": {"labels": {"role": "stable"}}}
    observed = samples.ping_pong([], strategy=metadata)
    (error,) = errors(replace(observed, references=References(services=services)))
    assert error.endswith('Service "ping" has unmatch label "role" in rollout')


def test_templates_must_exist() -> None:
    assert errors(observe(named("gone"))) == [
        f"{STEP}: Invalid value: \"gone\": AnalysisTemplate 'gone' not found"
    ]
    assert errors(observe(named("gone", background=True))) == [
        f"{BACKGROUND}: Invalid value: \"gone\": AnalysisTemplate 'gone' not found"
    ]


def test_cluster_templates_are_looked_for_in_the_cluster() -> None:
    reference = {"templates": [{"templateName": "t", "clusterScope": True}]}
    assert errors(observe(reference, t=template())) == [
        f"{STEP}: Invalid value: \"t\": ClusterAnalysisTemplate 't' not found"
    ]


def test_templates_of_templates_must_exist() -> None:
    nested = template(templates=[{"templateName": "gone"}])
    assert errors(observe(named("t"), t=nested)) == [
        "spec.templates: Invalid value: \"gone\": AnalysisTemplate 'gone' not found"
    ]


def test_a_template_that_names_itself_is_taken_once() -> None:
    own = template(templates=[{"templateName": "t"}])
    assert errors(observe(named("t"), t=own)) == []


def test_merged_templates_must_make_a_run() -> None:
    assert errors(observe(named("a", "b"), a=template(), b=template())) == [
        f"{STEP}: Invalid value: \"templateNames: [a b]\": two metrics have the same name 'm'"
    ]


def test_dry_run_rules_of_rollout_and_template_are_one_list() -> None:
    rules = [{"metricName": "m"}]
    assert errors(observe(named("t", dryRun=rules), t=template(dryRun=rules))) == [
        f'{STEP}: Invalid value: "templateNames: [t]": '
        "two Dry-Run metric rules have the same name 'm'"
    ]


def test_arguments_need_a_value() -> None:
    declared = template(args=[{"name": "app"}])
    assert errors(observe(named("t"), t=declared)) == [
        f'{STEP}: Invalid value: "templateNames: [t]": args.app was not resolved'
    ]
    given = named("t", args=[{"name": "app", "value": "x"}])
    assert errors(observe(given, t=declared)) == []


def test_a_field_that_does_not_exist_yet_is_tolerated() -> None:
    argument = {"name": "app", "valueFrom": {"fieldRef": {"fieldPath": "status.alb.name"}}}
    assert errors(observe(named("t", args=[argument]), t=template(args=[{"name": "app"}]))) == []


@pytest.mark.parametrize(
    ("metric", "count"),
    [({"interval": "10s"}, "<nil>"), ({"interval": "10s", "count": 0}, "0")],
)
def test_the_analysis_of_a_step_must_end(metric: dict[str, Any], count: str) -> None:
    assert errors(observe(named("t"), t=template(metric))) == [
        f'{STEP}: Invalid value: "t": AnalysisTemplate t has metric m which runs indefinitely. '
        f"Invalid value for count: {count}"
    ]


def test_the_background_analysis_need_not_end() -> None:
    assert errors(observe(named("t", background=True), t=template({"interval": "10s"}))) == []


def test_the_count_may_come_from_an_argument() -> None:
    metric = {"interval": "10s", "count": "{{args.count}}"}
    declared = template(metric, args=[{"name": "count", "value": "3"}])
    assert errors(observe(named("t"), t=declared)) == []


def test_every_tag_of_a_step_template_has_an_argument() -> None:
    metric = {"successCondition": "result > {{args.limit}}"}
    assert errors(observe(named("t"), t=template(metric))) == [
        f'{STEP}: Invalid value: "t": AnalysisTemplate t: failed to resolve {{{{args.limit}}}}'
    ]


def test_an_argument_of_a_template_has_one_source() -> None:
    source = {"secretKeyRef": {"name": "s", "key": "k"}}
    declared = template(args=[{"name": "a", "value": "1", "valueFrom": source}])
    assert errors(observe(named("t"), t=declared)) == [
        f'{STEP}: Invalid value: "t": AnalysisTemplate t: '
        "arg 'a' has both Value and ValueFrom fields"
    ]


def test_each_background_template_declares_what_the_rollout_gives() -> None:
    bare = template(metric_name="bare", args=[{"name": "app"}])
    full = template(args=[{"name": "app", "value": "x"}])
    assert errors(observe(named("bare", "full", background=True), bare=bare, full=full)) == [
        f'{BACKGROUND}: Invalid value: "bare": missing analysis arguments in rollout spec'
    ]
    other = named("bare", "full", background=True, args=[{"name": "other", "value": "1"}])
    assert errors(observe(other, bare=bare, full=full)) == [
        f'{BACKGROUND}: Invalid value: "bare": app'
    ]


ANALYSED = {
    "prePromotionAnalysis": named("ratio"),
    "postPromotionAnalysis": named("ratio"),
}


@pytest.mark.parametrize(
    ("services", "wanted"),
    [
        (
            (),
            [
                'spec.strategy.blueGreen.activeService: Invalid value: "active": '
                'service "active" not found',
                'spec.strategy.blueGreen.previewService: Invalid value: "preview": '
                'service "preview" not found',
            ],
        ),
        (
            (samples.service("active"), samples.service("preview", managed_by="other")),
            [
                'spec.strategy.blueGreen.previewService: Invalid value: "preview": '
                'Service "preview" is managed by another Rollout',
            ],
        ),
    ],
)
def test_both_services_of_blue_green_exist_and_are_its_own(
    services: Any, wanted: list[str]
) -> None:
    assert errors(samples.blue_green(services=services)) == wanted


def test_a_service_of_blue_green_may_select_the_labels_of_its_role() -> None:
    active = replace(samples.service("active"), selector={"app": "app", "role": "active"})
    services = (active, samples.service("preview"))
    metadata = {"activeMetadata": {"labels": {"role": "active"}}}
    assert errors(samples.blue_green(metadata, services=services)) == []
    assert len(errors(samples.blue_green({}, services=services))) == 1


def test_templates_of_blue_green_exist() -> None:
    assert errors(samples.blue_green(ANALYSED)) == [
        f'spec.strategy.blueGreen.{name}.templates: Invalid value: "ratio": '
        "AnalysisTemplate 'ratio' not found"
        for name in ANALYSED
    ]


def test_an_analysis_of_blue_green_ends_by_itself() -> None:
    observed = samples.blue_green(ANALYSED)
    endless = replace(observed.references, templates={"ratio": template({"interval": "10s"})})
    (before, after) = errors(replace(observed, references=endless))
    assert before.startswith("spec.strategy.blueGreen.prePromotionAnalysis.templates: ")
    assert after.endswith("which runs indefinitely. Invalid value for count: <nil>")
