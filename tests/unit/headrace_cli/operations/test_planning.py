"""`headrace plan`: what it refuses before anything is rehearsed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from headrace_cli.app import build

ROLLOUT = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\n"
SERVICE = "apiVersion: v1\nkind: Service\n"
READY = f"""\
{ROLLOUT}metadata: {{name: a}}
spec:
  selector: {{matchLabels: {{app: a}}}}
  template:
    metadata: {{labels: {{app: a}}}}
    spec: {{containers: [{{name: c, image: i}}]}}
  strategy: {{canary: {{}}}}
"""


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        (f"{ROLLOUT}metadata: 3\n", "Error: {path}: Rollout: cannot unmarshal metadata\n"),
        (
            f"{ROLLOUT}metadata: {{name: a}}\nspec: x\n",
            "Error: {path}: Rollout: cannot unmarshal spec\n",
        ),
        (
            f"{ROLLOUT}metadata: {{name: a}}\nspec: {{replicas: '3'}}\n",
            "Error: {path}: Rollout: cannot unmarshal string into spec.replicas of type integer\n",
        ),
        (
            "apiVersion: v1\nkind: Service\nspec: [1]\n",
            "Error: {path}: Service: cannot unmarshal spec\n",
        ),
        ("kind: ConfigMap\n", "Error: there are 0 Rollouts in the files, not one\n"),
        ("", "Error: there are 0 Rollouts in the files, not one\n"),
        (
            "apiVersion: example.com/v1\nkind: Rollout\nmetadata: {name: a}\n",
            "Error: there are 0 Rollouts in the files, not one\n",
        ),
        (f"{ROLLOUT}metadata: {{name: a}}\n", "Error: the Rollout has no spec\n"),
        (
            f"{ROLLOUT}metadata: {{name: a}}\nspec: {{replica: 3}}\n",
            'Error: {path}: Rollout: unknown field "replica"\n',
        ),
        (
            "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nspec: {metrics: x}\n",
            "Error: {path}: AnalysisTemplate: cannot unmarshal string into spec.metrics of type "
            "array\n",
        ),
        (
            f"{READY}---\n{SERVICE}metadata: {{name: b}}\n---\n{SERVICE}metadata: {{name: b}}\n",
            'Error: services "b" already exists\n',
        ),
        (f"{READY}---\n{SERVICE}", "Error: Service: name or generateName is required\n"),
        (
            "apiVersion: v1\nkind: List\nitems: [3]\n",
            "Error: {path}: an item of a List is no object but int\n",
        ),
        (
            "a: 1\na: 2\n",
            'Error: yaml: mapping key "a" already defined at line 1\n'
            '  in "{path}", line 2, column 1\n',
        ),
        ("{a: " * 1000, "Error: {path}: nested too deeply\n"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, failure: str, tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(text)
    result = CliRunner().invoke(build(), ["plan", "-f", str(path)])
    told = failure.replace("{path}", str(path))
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", told)


def test_a_rollout_that_is_paused_waits_for_a_person(tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(READY.replace("spec:\n", "spec:\n  paused: true\n", 1))
    lines = CliRunner().invoke(build(), ["plan", "-f", str(path)]).stdout.splitlines()
    place = next(i for i, line in enumerate(lines) if "a person promotes; without one" in line)
    assert not any("ScalingReplicaSet" in line for line in lines[:place])
    assert any("RolloutCompleted" in line for line in lines[place:])


def test_a_list_is_taken_as_its_items(tmp_path: Path) -> None:
    """As `kubectl get rollout,service -o yaml` prints them."""
    one, listed = tmp_path / "one.yaml", tmp_path / "list.yaml"
    one.write_text(READY)
    items = {"apiVersion": "v1", "kind": "List", "items": [yaml.safe_load(READY)]}
    listed.write_text(yaml.safe_dump(items))
    first, second = (
        CliRunner().invoke(build(), ["plan", "-f", str(each)]) for each in (one, listed)
    )
    assert (first.exit_code, first.stdout) == (0, second.stdout)
    assert first.stdout.startswith("Update of Rollout default/a")


def test_what_a_chart_leaves_empty_is_not_set(tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(READY.replace("canary: {}", "canary: {steps: , analysis: }"))
    assert CliRunner().invoke(build(), ["plan", "-f", str(path)]).exit_code == 0


def test_standard_input(tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(READY)
    first = CliRunner().invoke(build(), ["plan", "-f", str(path)])
    second = CliRunner().invoke(build(), ["plan", "-f", "-"], input=READY)
    assert (second.exit_code, second.stdout) == (0, first.stdout)
