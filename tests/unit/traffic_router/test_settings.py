from __future__ import annotations

import pytest

from headrace.runtime.settings import parse
from traffic_router.settings import RouterSettings


def settings(*argv: str) -> RouterSettings:
    return parse(["--bus", "memory", *argv], {}, RouterSettings, "traffic-router")


def test_discovery_chooses_the_version_unless_the_flag_is_given() -> None:
    assert settings().traffic_split_api_version == ""
    given = settings("--traffic-split-api-version", "v1alpha2")
    assert given.traffic_split_api_version == "v1alpha2"


def test_refuses_a_version_that_it_cannot_write(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        settings("--traffic-split-api-version", "v1")
    assert "--traffic-split-api-version: " in capsys.readouterr().err


def test_levels_are_looked_at_again_as_often_as_the_flag_says() -> None:
    assert settings().route_verify_seconds == 10
    assert settings("--route-verify-seconds", "1").route_verify_seconds == 1
