"""Settings of the analysis-runner."""

from __future__ import annotations

import pytest

from analysis_runner.settings import RunnerSettings, with_argo_names
from headrace.runtime.settings import parse

ARGO = "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS"


def settings(environ: dict[str, str], *argv: str) -> RunnerSettings:
    arguments = ["--bus", "memory", *argv]
    return parse(arguments, with_argo_names(environ), RunnerSettings, "analysis-runner")


def test_takes_the_address_of_prometheus_under_each_name() -> None:
    assert settings({}).prometheus_address == ""
    assert settings({ARGO: "http://argo"}).prometheus_address == "http://argo"
    ours = {ARGO: "http://argo", "HEADRACE_PROMETHEUS_ADDRESS": "http://ours"}
    assert settings(ours).prometheus_address == "http://ours"
    flag = settings(ours, "--prometheus-address", "http://flag")
    assert flag.prometheus_address == "http://flag"


def test_an_empty_variable_counts_as_not_set() -> None:
    environ = {ARGO: "http://argo", "HEADRACE_PROMETHEUS_ADDRESS": ""}
    assert settings(environ).prometheus_address == "http://argo"


@pytest.mark.parametrize("address", ["prometheus:9090", "nonsense", "ftp://prometheus", "http://"])
def test_refuses_an_address_that_is_no_url(address: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        settings({}, "--prometheus-address", address)


def test_limits_are_flags() -> None:
    limits = settings({}, "--measurements-max", "5", "--say-again-seconds", "10m")
    assert (limits.measurements_max, limits.say_again_seconds) == (5, 600.0)


def test_check_config_hides_the_credentials_of_an_address(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        settings({ARGO: "https://ann:hunter2@prometheus:9090/a@b"}, "--check-config")
    printed = capsys.readouterr().out
    assert "hunter2" not in printed
    assert 'prometheus-address: "https://**********@prometheus:9090/a@b"' in printed
