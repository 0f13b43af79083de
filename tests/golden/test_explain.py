"""What `headrace explain` answers, compared with files.

`HEADRACE_WRITE_GOLDEN=1` writes the files anew; read the difference before you commit it.
"""

import json
import os
from pathlib import Path

import pytest
import yaml

from headrace.model.quantities import Instant
from headrace_cli.output import Palette
from headrace_cli.views.events import Entry, EventLog
from headrace_cli.views.explanation import document, explain, lines

FOLDER = Path(__file__).parent / "explain"
NOW = Instant(1_700_000_000.0)  # 2023-11-14T22:13:20Z
EVENT = Entry("e-1", NOW - 5, "event", "shop/web", "RolloutPaused: Rollout is paused")


def compare(path: Path, text: str) -> None:
    if os.environ.get("HEADRACE_WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_answers_as_it_always_did(path: Path) -> None:
    rollout = yaml.safe_load(path.read_text(encoding="utf-8"))
    answers = lines(explain(rollout, [EVENT], now=NOW), EventLog(), now=NOW)
    compare(path.with_suffix(".txt"), "".join(f"{line}\n" for line in answers))


@pytest.mark.parametrize("name", ["stuck", "settled"])
def test_answers_the_same_as_json(name: str) -> None:
    rollout = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    answers = document(explain(rollout, [], now=NOW), EventLog())
    compare(FOLDER / f"{name}.json", json.dumps(answers, indent=2) + "\n")


def test_what_is_stuck_is_red() -> None:
    rollout = yaml.safe_load((FOLDER / "stuck.yaml").read_text(encoding="utf-8"))
    palette = Palette(is_on=True)
    answers = lines(explain(rollout, [], now=NOW), EventLog(), now=NOW, palette=palette)
    assert "Stuck:           \x1b[31mtold 2023-11-14T22:04:21Z (8m59s ago)\x1b[0m" in answers
