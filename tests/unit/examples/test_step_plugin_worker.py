"""The example worker answers as the protocol says, and its manifests fit together."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from headrace.events.plugins import WorkerAnswer
from rollout_controller.plugin_table import parse

pytestmark = pytest.mark.spec("canary 9")

FOLDER = Path(__file__).parents[3] / "examples" / "step-plugin-worker"
CALL = {"operation": "Run", "rollout": "sample-app", "config": {"file": "sample-app"}}


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("FOLDER", str(tmp_path))
    specification = importlib.util.spec_from_file_location("worker", FOLDER / "worker.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def asked(worker: ModuleType, **members: Any) -> WorkerAnswer:
    return WorkerAnswer.load(worker.answer({**CALL, **members}))


def test_waits_for_a_word_and_takes_it(worker: ModuleType, tmp_path: Path) -> None:
    first = asked(worker)
    assert (first.phase, first.status) == ("Running", {"asked": 1})
    assert asked(worker, status=first.status).status == {"asked": 2}
    (tmp_path / "sample-app").write_text("yes\n")
    assert asked(worker).phase == "Successful"
    (tmp_path / "sample-app").write_text("no\n")
    assert asked(worker).phase == "Failed"


@pytest.mark.parametrize("operation", ["Terminate", "Abort"])
def test_has_nothing_to_undo(worker: ModuleType, operation: str) -> None:
    assert asked(worker, operation=operation).phase == "Successful"


def test_never_leaves_its_folder(worker: ModuleType) -> None:
    answer = asked(worker, config={"file": "../../etc/passwd"})
    assert answer.phase == "Running"


def test_the_rollout_uses_the_plugin_that_is_configured() -> None:
    manifests = list(yaml.safe_load_all((FOLDER / "worker.yaml").read_text()))
    config = next(each for each in manifests if each["kind"] == "ConfigMap")
    plugins = parse(config["data"]["stepPlugins"])
    (rollout,) = yaml.safe_load_all((FOLDER / "rollout.yaml").read_text())
    (step, _) = rollout["spec"]["strategy"]["canary"]["steps"]
    assert plugins.known[step["plugin"]["name"]].refusal == ""
    service = next(each for each in manifests if each["kind"] == "Service")
    host = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    assert host in plugins.workers[step["plugin"]["name"]].location
