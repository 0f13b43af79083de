"""The spec of an AnalysisRun from templates and arguments (analysis 2)."""

from typing import Any

import pytest

from headrace.model.analysis import AnalysisTemplateSpec
from headrace.model.steps import RolloutAnalysis
from rollout_controller.core import samples
from rollout_controller.core.observed import Observed, References
from rollout_controller.core.runs import RunError, TemplateMissing, field_value, run_spec

pytestmark = pytest.mark.spec("analysis 2")


def template(*names: str, **spec: Any) -> AnalysisTemplateSpec:
    metrics = [{"name": name, "provider": {"prometheus": {"query": "up"}}} for name in names]
    return AnalysisTemplateSpec.load({"metrics": metrics, **spec})


def reference(name: str, *, cluster: bool = False) -> dict[str, Any]:
    return {"templateName": name} | ({"clusterScope": True} if cluster else {})


def made(analysis: dict[str, Any], **templates: AnalysisTemplateSpec) -> dict[str, Any]:
    cluster = {n[8:]: t for n, t in templates.items() if n.startswith("cluster_")}
    own = {n: t for n, t in templates.items() if not n.startswith("cluster_")}
    observed = samples.rollout({}, references=References({}, own, cluster))
    return run_spec(
        observed, RolloutAnalysis.load(analysis), latest_hash="new", stable_hash="stable"
    )


def names(spec: dict[str, Any]) -> list[str]:
    return [metric["name"] for metric in spec["metrics"]]


# Templates


def test_templates_are_resolved_depth_first_cluster_ones_last() -> None:
    analysis = {"templates": [reference("c", cluster=True), reference("a"), reference("b")]}
    nested = template("a", templates=[reference("deep"), reference("c", cluster=True)])
    spec = made(analysis, a=nested, b=template("b"), deep=template("deep"), cluster_c=template("c"))
    assert names(spec) == ["a", "deep", "b", "c"]


def test_each_template_counts_once() -> None:
    analysis = {"templates": [reference("a"), reference("b")]}
    spec = made(analysis, a=template("a", templates=[reference("b")]), b=template("b"))
    assert names(spec) == ["a", "b"]


def test_templates_that_name_each_other_end() -> None:
    a = template("a", templates=[reference("b")])
    b = template("b", templates=[reference("a")])
    assert names(made({"templates": [reference("a")]}, a=a, b=b)) == ["a", "b"]


def test_a_missing_template_is_an_error() -> None:
    with pytest.raises(TemplateMissing, match=r"^AnalysisTemplate 'a' not found$"):
        made({"templates": [reference("a")]})
    with pytest.raises(TemplateMissing, match=r"^ClusterAnalysisTemplate 'a' not found$"):
        made({"templates": [reference("a", cluster=True)]}, a=template("a"))


@pytest.mark.parametrize(
    ("member", "rule", "text"),
    [
        ("dryRun", {"metricName": "m"}, "two Dry-Run metric rules have the same name 'm'"),
        (
            "measurementRetention",
            {"metricName": "m", "limit": 1},
            "two Measurement Retention metric rules have the same name 'm'",
        ),
    ],
)
def test_rules_of_rollout_and_templates_are_one_list(
    member: str, rule: dict[str, Any], text: str
) -> None:
    refs = {"templates": [reference("a")]}
    own = {"metricName": "own", **{k: v for k, v in rule.items() if k != "metricName"}}
    spec = made(refs | {member: [own]}, a=template("m", **{member: [rule]}))
    assert spec[member] == [own, rule]
    with pytest.raises(RunError, match=f"^{text}$"):
        made(refs | {member: [rule]}, a=template("m", **{member: [rule]}))


def test_metric_names_are_unique() -> None:
    with pytest.raises(RunError, match=r"^two metrics have the same name 'm'$"):
        made({"templates": [reference("a"), reference("b")]}, a=template("m"), b=template("m"))


# Arguments


def arguments(*args: dict[str, Any], declared: list[dict[str, Any]]) -> list[dict[str, Any]]:
    analysis = {"templates": [reference("a")], "args": list(args)}
    return list(made(analysis, a=template("m", args=declared)).get("args", []))


def test_the_rollouts_value_wins() -> None:
    found = arguments({"name": "x", "value": "own"}, declared=[{"name": "x", "value": "theirs"}])
    assert found == [{"name": "x", "value": "own"}]


def test_undeclared_arguments_are_dropped() -> None:
    assert arguments({"name": "y", "value": "1"}, declared=[]) == []


def test_hashes_of_both_versions_are_arguments() -> None:
    latest = {"name": "l", "valueFrom": {"podTemplateHashValue": "Latest"}}
    stable = {"name": "s", "valueFrom": {"podTemplateHashValue": "Stable"}}
    found = arguments(latest, stable, declared=[{"name": "l"}, {"name": "s"}])
    assert found == [{"name": "l", "value": "new"}, {"name": "s", "value": "stable"}]


def test_a_secret_stays_a_reference() -> None:
    secret = {"secretKeyRef": {"name": "s", "key": "k"}}
    assert arguments(declared=[{"name": "x", "valueFrom": secret}]) == [
        {"name": "x", "valueFrom": secret}
    ]


def test_a_value_beside_a_declared_secret_leaves_the_secret() -> None:
    secret = {"secretKeyRef": {"name": "s", "key": "k"}}
    declared = [{"name": "x", "valueFrom": secret}]
    assert arguments({"name": "x", "value": "own"}, declared=declared) == [
        {"name": "x", "value": "own", "valueFrom": secret}
    ]


def test_an_argument_without_value_is_an_error() -> None:
    with pytest.raises(RunError, match=r"^args\.x was not resolved$"):
        arguments(declared=[{"name": "x"}])


def test_templates_agree_about_an_argument() -> None:
    refs = {"templates": [reference("a"), reference("b")]}
    one = template("a", args=[{"name": "x", "value": "1"}])
    bare = template("b", args=[{"name": "x"}])
    assert made(refs, a=one, b=bare)["args"] == [{"name": "x", "value": "1"}]
    assert made(
        refs,
        a=template("a", args=[{"name": "x"}]),
        b=one.model_copy(update={"metrics": bare.metrics}),
    )["args"] == [{"name": "x", "value": "1"}]
    other = template("b", args=[{"name": "x", "value": "2"}])
    with pytest.raises(RunError) as raised:
        made(refs, a=one, b=other)
    assert str(raised.value) == (
        "Argument `x` specified multiple times with different values: '1', '2'"
    )


# Fields of the Rollout


def observed() -> Observed:
    routing = {
        "smi": {"rootService": "root"},
        "managedRoutes": [{"name": "m"}],
        "plugins": {"a/b": {"almost": 999_999.99, "small": 0.00005, "half": 0.5}},
    }
    return samples.rollout(
        {"trafficRouting": routing},
        spec={"progressDeadlineSeconds": 1_000_000, "paused": True, "minReadySeconds": 21_000_000},
        labels={"app.kubernetes.io/name": "shop", "b": "2"},
        annotations={"note": 'say "hi" to Zoë\x07'},
    )


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "app"),
        ("metadata.namespace", "default"),
        ("metadata.uid", "uid-app"),
        ("metadata.labels['app.kubernetes.io/name']", "shop"),
        ("metadata.labels['gone']", ""),
        ("metadata.labels", 'app.kubernetes.io/name="shop"\nb="2"'),
        ("metadata.annotations", 'note="say \\"hi\\" to Zoë\\a"'),
        ("spec.replicas", "4"),
        ("spec.progressDeadlineSeconds", "1e+06"),
        ("spec.minReadySeconds", "2.1e+07"),
        ("spec.paused", "true"),
        ("spec.strategy.canary.trafficRouting.managedRoutes[0].name", "m"),
        ("spec.strategy.canary.trafficRouting.plugins.a/b.almost", "999999.99"),
        ("spec.strategy.canary.trafficRouting.plugins.a/b.small", "5e-05"),
        ("spec.strategy.canary.trafficRouting.plugins.a/b.half", "0.5"),
        ("status.stableRS", "stable"),
    ],
)
def test_a_field_is_read_as_text(path: str, value: str) -> None:
    assert field_value(observed(), path) == value


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("metadata.generation", "unsupported fieldPath: metadata.generation"),
        ("spec.gone", "invalid path spec.gone in rollout"),
        ("spec.replicas.x", "invalid path spec.replicas.x in rollout"),
        ("spec.template", "path spec.template in rollout must terminate in a primitive value"),
        ("spec.strategy.canary.trafficRouting.managedRoutes[x]", "invalid index 'x'"),
        ("spec.strategy.canary.trafficRouting.managedRoutes[1]", "index 1 out of range"),
    ],
)
def test_says_why_a_field_cannot_be_read(path: str, error: str) -> None:
    with pytest.raises(RunError) as raised:
        field_value(observed(), path)
    assert str(raised.value) == error
