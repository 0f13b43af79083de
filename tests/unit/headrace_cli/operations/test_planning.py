"""`headrace plan`: what it refuses before anything is rehearsed."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace_cli.app import build

ROLLOUT = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\n"


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        (f"{ROLLOUT}metadata: 3\n", "Error: Rollout: cannot unmarshal metadata\n"),
        (f"{ROLLOUT}metadata: {{name: a}}\nspec: x\n", "Error: Rollout: cannot unmarshal spec\n"),
        (
            f"{ROLLOUT}metadata: {{name: a}}\nspec: {{replicas: '3'}}\n",
            "Error: Rollout: cannot unmarshal string into spec.replicas of type integer\n",
        ),
        ("apiVersion: v1\nkind: Service\nspec: [1]\n", "Error: Service: cannot unmarshal spec\n"),
        ("kind: ConfigMap\n", "Error: there are 0 Rollouts in the files, not one\n"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, failure: str, tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(text)
    result = CliRunner().invoke(build(), ["plan", "-f", str(path)])
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", failure)
