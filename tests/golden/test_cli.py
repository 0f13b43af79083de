"""What the command line shows, compared with files.

`HEADRACE_WRITE_GOLDEN=1` writes the files anew; read the difference before you commit it.
"""

import os
from pathlib import Path

import pytest
import yaml

from headrace.kubernetes.resources import Manifest
from headrace.model.quantities import Instant
from headrace_cli.output import Palette
from headrace_cli.views.objects import Inventory
from headrace_cli.views.rollouts import experiment_lines, rollout_lines

FOLDER = Path(__file__).parent / "cli"
NOW = Instant(1_700_000_000.0)  # 2023-11-14T22:13:20Z


def compare(name: str, lines: list[str]) -> None:
    path = FOLDER / name
    text = "".join(f"{line}\n" for line in lines)
    if os.environ.get("HEADRACE_WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def shown(path: Path, palette: Palette) -> list[str]:
    first, *others = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    inventory = Inventory(
        *(of_kind(others, kind) for kind in ("ReplicaSet", "Pod", "Experiment", "AnalysisRun"))
    )
    render = rollout_lines if first["kind"] == "Rollout" else experiment_lines
    return render(first, inventory, now=NOW, palette=palette)


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_draws_what_it_always_drew(path: Path) -> None:
    compare(f"{path.stem}.txt", shown(path, Palette()))


def test_draws_the_same_in_colours() -> None:
    lines = shown(FOLDER / "canary-aborted.yaml", Palette(is_on=True))
    compare("canary-aborted.ansi", [line.replace("\x1b", "␛") for line in lines])
