from __future__ import annotations

import pytest

from analysis_runner.settings import RunnerSettings
from headrace.runtime.settings import ServiceSettings, parse
from headrace_all_in_one.settings import AllInOneSettings
from rollout_controller.settings import ControllerSettings
from traffic_router.settings import RouterSettings


def settings(*argv: str, **environ: str) -> AllInOneSettings:
    return parse(argv, environ, AllInOneSettings, "headrace-all-in-one")


@pytest.mark.parametrize("service", [ControllerSettings, RouterSettings, RunnerSettings])
def test_takes_what_each_of_its_services_takes(service: type[ServiceSettings]) -> None:
    assert set(service.model_fields) <= set(AllInOneSettings.model_fields)
    assert isinstance(settings(), service)


def test_talks_over_memory_unless_told_otherwise() -> None:
    assert settings().bus == "memory"
    assert settings("--bus", "kafka", "--bootstrap-servers", "localhost:9092").bus == "kafka"
    assert (
        settings(HEADRACE_BUS="kafka", HEADRACE_BOOTSTRAP_SERVERS="localhost:9092").bus == "kafka"
    )


def test_needs_brokers_only_for_kafka(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        settings("--bus", "kafka")
    assert "--bootstrap-servers" in capsys.readouterr().err


def test_flags_of_every_service_are_flags_of_the_whole() -> None:
    given = settings(
        "--abort-claim-seconds", "1", "--rediscover-seconds", "5", "--measurements-max", "7"
    )
    assert (given.abort_claim_seconds, given.rediscover_seconds) == (1, 5)
    assert given.measurements_max == 7
