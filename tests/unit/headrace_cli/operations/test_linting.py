"""`headrace lint`: what it prints, and how it ends."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from headrace.kubernetes.resources import Manifest
from headrace.model.rollout import RolloutSpec
from headrace_cli.app import build
from headrace_cli.failures import Failure
from headrace_cli.operations.linting import lint_file
from headrace_cli.output import Terminal
from rollout_controller.core.validation import spec, support

pytestmark = pytest.mark.spec("cli-and-clients 5")

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "validation.json").read_text())


def rollout(name: str = "web", **canary: Any) -> Manifest:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
            "strategy": {"canary": canary},
        },
    }


def service(name: str, **selector: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": selector},
    }


class Linted:
    """What a file of these documents gives."""

    def __init__(self, folder: Path, *documents: Manifest | str) -> None:
        texts = [each if isinstance(each, str) else yaml.safe_dump(each) for each in documents]
        path, out = folder / "all.yaml", io.StringIO()
        path.write_text("---\n".join(texts))
        self.failure: str | None = None
        try:
            lint_file(path, Terminal(out, io.StringIO()))
        except Failure as failure:
            self.failure = str(failure)
        self.lines = out.getvalue().splitlines()


def test_what_is_right_says_nothing(tmp_path: Path) -> None:
    linted = Linted(tmp_path, rollout(canaryService="a"), service("a", app="web"), "")
    assert (linted.failure, linted.lines) == (None, [])


@pytest.mark.parametrize("vector", VECTORS, ids=[each["name"] for each in VECTORS])
@pytest.mark.spec("rollout-api 4.1")
def test_every_error_is_a_line_without_its_path_and_the_first_is_the_failure(
    vector: dict[str, Any], tmp_path: Path
) -> None:
    typed = RolloutSpec.load(vector["rollout"]["spec"])
    wanted = [*spec.errors(typed), *support.errors(typed)]
    assert set(vector["errors"]) <= set(wanted)
    linted = Linted(tmp_path, vector["rollout"])
    assert linted.lines == [text.partition(": ")[2] for text in wanted]
    assert linted.failure == (wanted[0] if wanted else None)


def test_all_rollouts_of_a_file_are_judged(tmp_path: Path) -> None:
    bad = {"maxSurge": 0, "maxUnavailable": 0}
    linted = Linted(tmp_path, rollout("a", **bad), rollout("b"), rollout("c", **bad))
    assert len(linted.lines) == 2


def test_services_of_the_file_are_judged_and_missing_ones_are_not(tmp_path: Path) -> None:
    manifest = rollout(canaryService="preview", stableService="elsewhere")
    linted = Linted(tmp_path, manifest, service("preview", app="web", tier="front"))
    detail = 'Service "preview" has unmatch label "tier" in rollout'
    assert linted.failure == (
        f'spec.strategy.canary.canaryService: Invalid value: "preview": {detail}'
    )
    assert linted.lines == [f'Invalid value: "preview": {detail}']


def test_a_service_belongs_to_the_last_rollout_that_names_it(tmp_path: Path) -> None:
    documents = (rollout("a", canaryService="s"), rollout("b", canaryService="s"))
    assert Linted(tmp_path, *documents, service("s", app="b")).failure is None
    assert len(Linted(tmp_path, *documents, service("s", app="a")).lines) == 1


def test_templates_and_other_kinds_need_only_be_well_formed(tmp_path: Path) -> None:
    template = {"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "spec": {"x": 1}}
    assert Linted(tmp_path, template, {"kind": "Anything"}).failure is None


def test_what_a_chart_leaves_empty_is_not_set(tmp_path: Path) -> None:
    manifest = rollout(steps=None, analysis=None, trafficRouting=None)
    manifest["spec"].update(replicas=None, minReadySeconds=None)
    manifest["metadata"]["annotations"] = None
    linted = Linted(tmp_path, manifest)
    assert (linted.failure, linted.lines) == (None, [])
    assert Linted(tmp_path, rollout(stepz=None)).failure is not None


def test_a_time_of_day_is_a_text(tmp_path: Path) -> None:
    args = "args: [{name: at, value: 12:30}, {name: until, value: 2026-01-01}]"
    steps = f"{{analysis: {{templates: [{{templateName: a}}], {args}}}}}"
    text = yaml.safe_dump(rollout()).replace("canary: {}", f"canary: {{steps: [{steps}]}}")
    assert steps in text
    assert Linted(tmp_path, text).failure is None


def with_spec(**spec: Any) -> Manifest:
    manifest = rollout()
    return {**manifest, "spec": {**manifest["spec"], **spec}}


@pytest.mark.parametrize(
    ("document", "failure"),
    [
        (
            with_spec(**{"unknown-strategy": 1}),
            'error unmarshaling JSON: while decoding JSON: json: unknown field "unknown-strategy"',
        ),
        (
            with_spec(replicas="many"),
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string into "
            "spec.replicas of type integer",
        ),
        (with_spec(restartAt="soon"), "cannot unmarshal spec.restartAt: Value error, not an RFC"),
        ({**rollout(), "metadata": [1]}, "cannot unmarshal metadata of Rollout"),
        ({**service("a"), "spec": "all"}, "cannot unmarshal spec of Service"),
        ({**service("a"), "spec": {"selector": [1]}}, "cannot unmarshal spec.selector of Service"),
        ("? [a, b]\n: c\n", "a key must be a text"),
        ("a: 1\nb: 2\na: 3\n", 'yaml: mapping key "a" already defined at line 22'),
        ("a: [", "yaml: while parsing a flow node"),
        ("- a\n", "a document is no object but list"),
    ],
    ids=[
        *("unknown", "type", "time", "metadata", "service", "selector", "key"),
        *("twice", "syntax", "list"),
    ],
)
def test_what_cannot_be_read_stops_at_once(
    document: Manifest | str, failure: str, tmp_path: Path
) -> None:
    linted = Linted(tmp_path, rollout(maxSurge=0, maxUnavailable=0), document)
    assert linted.failure is not None
    assert failure in linted.failure
    assert linted.lines == []


def test_exit_codes_and_streams(tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text(yaml.safe_dump(rollout(maxSurge=0, maxUnavailable=0)))
    result = CliRunner().invoke(build(), ["lint", "-f", str(path)])
    text = "Invalid value: 0: MaxSurge and MaxUnavailable both can not be zero"
    assert (result.exit_code, result.stdout) == (1, f"{text}\n")
    assert result.stderr == f"Error: spec.strategy.maxSurge: {text}\n"
    path.write_text(yaml.safe_dump(rollout()))
    result = CliRunner().invoke(build(), ["lint", "--filename", str(path)])
    assert (result.exit_code, result.output) == (0, "")
    result = CliRunner().invoke(build(), ["lint", "-f", str(tmp_path / "gone.yaml")])
    assert result.exit_code == 1
    assert "no such file or directory" in result.stderr


def test_what_is_said_is_utf8_in_any_locale(tmp_path: Path) -> None:
    manifest = rollout()
    manifest["spec"]["template"]["metadata"]["labels"] = {"app": "café"}
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump(manifest, allow_unicode=True), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "headrace_cli", "lint", "-f", str(path)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert "café" in run.stdout.decode("utf-8")
    assert "café" in run.stderr.decode("utf-8")


def test_the_rollouts_of_a_list_are_checked(tmp_path: Path) -> None:
    items = [rollout(maxSurge=0, maxUnavailable=0), service("a", app="other")]
    linted = Linted(tmp_path, {"apiVersion": "v1", "kind": "List", "items": items})
    assert linted.lines == ["Invalid value: 0: MaxSurge and MaxUnavailable both can not be zero"]


def test_standard_input() -> None:
    text = yaml.safe_dump(rollout(maxSurge=0, maxUnavailable=0))
    result = CliRunner().invoke(build(), ["lint", "-f", "-"], input=text)
    told = "Invalid value: 0: MaxSurge and MaxUnavailable both can not be zero\n"
    assert (result.exit_code, result.stdout) == (1, told)


def test_an_error_of_the_syntax_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text("a: [")
    result = CliRunner().invoke(build(), ["lint", "-f", str(path)])
    assert f'in "{path}", line 1' in result.stderr
