from __future__ import annotations

import pytest

from headrace_all_in_one.__main__ import main


def run(monkeypatch: pytest.MonkeyPatch, *argv: str) -> int | str | None:
    monkeypatch.setattr("sys.argv", ["headrace-all-in-one", *argv])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def test_checks_its_settings_and_prints_them_without_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADRACE_KAFKA_PASSWORD", "hunter2")
    monkeypatch.setenv("ARGO_ROLLOUTS_PROMETHEUS_ADDRESS", "http://prometheus:9090")
    assert run(monkeypatch, "--check-config", "--shards", "2") == 0
    printed = capsys.readouterr().out
    assert 'bus: "memory"' in printed
    assert "shards: 2" in printed
    assert 'prometheus-address: "http://prometheus:9090"' in printed
    assert "hunter2" not in printed


def test_says_what_is_wrong_with_its_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--check-config", "--shards", "5") == 2
    assert "headrace-all-in-one: --shards 5 must divide" in capsys.readouterr().err
