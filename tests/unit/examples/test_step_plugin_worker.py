"""The example worker answers as the protocol says, and its manifests fit together."""

from __future__ import annotations

import importlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from headrace.events.envelope import Event, decode, encode
from headrace.events.plugins import PluginAnswered, PluginRequested, WorkerAnswer
from headrace.model.quantities import Instant
from rollout_controller.plugin_table import parse

pytestmark = pytest.mark.spec("canary 9")

FOLDER = Path(__file__).parents[3] / "examples" / "step-plugin-worker"
NOW = Instant(1_700_000_000.0)
CALL = {"operation": "Run", "rollout": "sample-app", "config": {"file": "sample-app"}}


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return a script of the example as it is when it starts."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for known in ("worker", "kafka_worker"):
        monkeypatch.delitem(sys.modules, known, raising=False)
    return importlib.import_module(name)


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("FOLDER", str(tmp_path))
    return load("worker", monkeypatch)


@pytest.fixture
def kafka_worker(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("BOOTSTRAP_SERVERS", "nowhere:9092")
    return load("kafka_worker", monkeypatch)


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


def test_asks_to_be_looked_at_again_soon(worker: ModuleType) -> None:
    assert asked(worker).requeue_after == "11s"


@pytest.mark.parametrize("operation", ["Terminate", "Abort"])
def test_has_nothing_to_undo(worker: ModuleType, operation: str) -> None:
    assert asked(worker, operation=operation).phase == "Successful"


def test_never_leaves_its_folder(worker: ModuleType) -> None:
    answer = asked(worker, config={"file": "../../etc/passwd"})
    assert answer.phase == "Running"


def requested(kafka_worker: ModuleType) -> Event:
    payload = PluginRequested(
        namespace="shop",
        rollout="web",
        uid="u-1",
        call="5f0e0c1e-6f6f-5d5d-8a8a-000000000001",
        cause="1",
        plugin=kafka_worker.PLUGIN,
        operation="Run",
        step=0,
        expires_at=NOW + 10,
        object={},
    )
    return Event.of(payload, source="cluster", time=NOW)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_takes_calls_of_its_own_until_they_expire(kafka_worker: ModuleType) -> None:
    call = json.loads(encode(requested(kafka_worker))[2])
    assert kafka_worker.is_ours(call, at(NOW))
    assert not kafka_worker.is_ours(call, at(NOW + 11))
    assert not kafka_worker.is_ours({**call, "plugin": "acme/other"}, at(NOW))


async def test_passes_by_what_is_no_call_whatever_is_in_it(kafka_worker: ModuleType) -> None:
    other = [("ce_type", b"headrace.rollout.updated.v1")]
    for headers in (other, []):
        await kafka_worker.take(None, SimpleNamespace(headers=headers, value=b"\xff no JSON"))


def test_an_answer_on_kafka_can_be_read_and_is_the_same_when_given_again(
    kafka_worker: ModuleType,
) -> None:
    event = requested(kafka_worker)
    call = json.loads(encode(event)[2])
    value = json.dumps(kafka_worker.answered(call, {"phase": "Successful"})).encode()
    headers = kafka_worker.attributes(call, event.source, at(NOW))
    read = decode("shop/web", headers, value)
    assert isinstance(read.payload, PluginAnswered)
    assert (read.payload.call, read.payload.answer.phase) == (call["call"], "Successful")
    assert read.source == "cluster"
    again = kafka_worker.attributes(call, event.source, at(NOW + 1))
    assert again["ce_id"] == headers["ce_id"]


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
