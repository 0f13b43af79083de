from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from headrace.runtime.flags import Flag, flag_rows
from headrace.runtime.settings import RouteSettings, ServiceSettings, parse, shown
from headrace_gen.settings_doc import SERVICES

pytestmark = pytest.mark.spec("cli-and-clients 11")

MEMORY = ["--bus", "memory"]


def settings_of(*argv: str, **environ: str) -> RouteSettings:
    return parse([*MEMORY, *argv], environ, RouteSettings, "rollout-controller")


def complaint(
    capsys: pytest.CaptureFixture[str], argv: list[str], environ: dict[str, str] | None = None
) -> str:
    with pytest.raises(SystemExit) as end:
        parse(argv, environ or {}, RouteSettings, "rollout-controller")
    assert end.value.code == 2
    return capsys.readouterr().err


def test_has_the_documented_defaults() -> None:
    settings = settings_of()
    assert (settings.metrics_port, settings.health_port) == (8090, 8080)
    assert settings.bind_address == "127.0.0.1"
    assert (settings.partitions, settings.shards) == (12, 4)
    assert (settings.lease_duration_seconds, settings.lease_renew_seconds) == (10, 3)
    assert (settings.route_valid_seconds, settings.route_renew_seconds) == (60, 30)
    assert settings.cluster_name == "default"
    assert settings.watched_namespace is None
    assert settings.notices == ()


def test_a_variable_sets_what_its_flag_would() -> None:
    assert settings_of(HEADRACE_METRICS_PORT="9000").metrics_port == 9000


def test_flags_win_over_variables() -> None:
    assert settings_of("--metrics-port", "1", HEADRACE_METRICS_PORT="2").metrics_port == 1


def test_an_empty_variable_counts_as_not_set() -> None:
    assert settings_of(HEADRACE_METRICS_PORT="").metrics_port == 8090


@pytest.mark.parametrize(
    ("argv", "field", "value"),
    [
        (["--metricsPort", "1"], "metrics_port", 1),
        (["--metricsport=1"], "metrics_port", 1),
        (["--healthzPort", "2"], "health_port", 2),
        (["--loglevel", "warn"], "log_level", "warning"),
        (["--logformat", "json"], "log_format", "json"),
        (["--rollout-resync", "60"], "resync_seconds", 60),
        (["--leader-election-lease-duration", "15s"], "lease_duration_seconds", 15),
        (["--leader-election-retry-period", "2s"], "lease_retry_seconds", 2),
        (["--namespace", "shop"], "namespace", "shop"),
        (["-n", "shop"], "namespace", "shop"),
        (["-n=shop"], "namespace", "shop"),
    ],
)
def test_knows_the_names_that_argo_rollouts_has(argv: list[str], field: str, value: object) -> None:
    settings = settings_of(*argv)
    assert getattr(settings, field) == value
    assert settings.notices == ()


@pytest.mark.parametrize(
    "argv",
    [
        ["--qps", "40"],
        ["--leader-elect=false"],
        ["--leader-elect"],
        ["--alb-ingress-classes", "a", "--alb-ingress-classes", "b"],
        ["--kloglevel", "0"],
        ["--traffic-split-api-version", "split.smi-spec.io/v1alpha1"],
    ],
)
def test_takes_flags_of_argo_rollouts_that_mean_nothing_here_with_a_notice(
    argv: list[str],
) -> None:
    notices = settings_of(*argv).notices
    assert len(notices) == 1
    assert argv[0].partition("=")[0] in notices[0]


def test_a_service_can_give_such_a_flag_a_meaning() -> None:
    class Settings(ServiceSettings):
        clients: Annotated[int, Flag("Process", ("qps",))] = Field(10, ge=1)

    settings = parse([*MEMORY, "--qps", "3"], {}, Settings, "x")
    assert (settings.clients, settings.notices) == (3, ())


def test_a_service_can_have_another_default() -> None:
    class Settings(ServiceSettings):
        bus: Annotated[Literal["memory", "kafka"], Flag("Bus")] = "memory"

    assert parse([], {}, Settings, "headrace-all-in-one").bus == "memory"


def test_refuses_a_flag_that_would_be_dangerous_to_ignore(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "--server" in complaint(capsys, [*MEMORY, "--server", "https://elsewhere"])


def test_durations_are_numbers_or_go_durations() -> None:
    assert settings_of("--route-valid-seconds", "1m30s").route_valid_seconds == 90
    assert settings_of("--route-valid-seconds", "45.5").route_valid_seconds == 45.5


@pytest.mark.parametrize("text", ["inf", "-inf", "nan", "1e999", "0", "0s", "soon"])
@pytest.mark.parametrize("flag", ["--lease-duration-seconds", "--resync-seconds"])
def test_a_duration_has_an_end(capsys: pytest.CaptureFixture[str], flag: str, text: str) -> None:
    assert complaint(capsys, [*MEMORY, f"{flag}={text}"]).startswith(f"rollout-controller: {flag}")


def test_lists_are_split_at_commas() -> None:
    kafka = ["--bootstrap-servers", "a:1, b:2", "--bootstrap-servers", "c:3"]
    settings = parse(kafka, {}, ServiceSettings, "x")
    assert settings.bootstrap_servers == ("a:1", "b:2", "c:3")
    by_variable = parse([], {"HEADRACE_BOOTSTRAP_SERVERS": "a:1,b:2"}, ServiceSettings, "x")
    assert by_variable.bootstrap_servers == ("a:1", "b:2")


def test_names_every_wrong_setting_where_it_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    text = complaint(capsys, [*MEMORY, "--metrics-port", "99999"], {"HEADRACE_LOG_LEVEL": "chatty"})
    assert "--metrics-port: " in text
    assert '"99999"' in text
    assert "HEADRACE_LOG_LEVEL: " in text


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--bus", "kafka"], "--bootstrap-servers"),
        ([*MEMORY, "--shards", "5"], "--shards 5 must divide --partitions 12"),
        ([*MEMORY, "--lease-renew-seconds", "9"], "--lease-renew-seconds"),
        ([*MEMORY, "--route-renew-seconds", "60"], "--route-renew-seconds"),
        ([*MEMORY, "--namespaced"], "--namespaced needs"),
        ([*MEMORY, "--kafka-cert-file", "x"], "--kafka-key-file"),
        ([*MEMORY, "--kafka-security-protocol", "SASL_SSL"], "--kafka-username"),
        ([*MEMORY, "--cluster-name", "a.b"], "--cluster-name"),
        ([*MEMORY, "--namespace", "Team_A"], "--namespace"),
        ([*MEMORY, "--lease-namespace", "-"], "--lease-namespace"),
        (["--bootstrap-servers", "kafka"], "bootstrap server 'kafka' is not host:port"),
        (["--bootstrap-servers", "a:1,http://b:2"], "'http://b:2' is not host:port"),
    ],
)
def test_refuses_settings_that_do_not_fit_together(
    capsys: pytest.CaptureFixture[str], argv: list[str], named: str
) -> None:
    assert named in complaint(capsys, argv)


def test_a_wrong_password_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    settings = settings_of(HEADRACE_KAFKA_PASSWORD="hunter2")
    assert settings.kafka_password is not None
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(shown(settings))


def test_credentials_in_a_wrong_address_are_not_repeated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = complaint(capsys, ["--bootstrap-servers", "http://me:hunter2@kafka:9092"])
    assert "'kafka:9092' is not host:port" in text
    assert "hunter2" not in text


def test_check_config_prints_the_settings_without_secrets_and_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        settings_of("--check-config", "--shards", "6", HEADRACE_KAFKA_PASSWORD="hunter2")
    assert end.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert "shards: 6" in lines
    assert 'bus: "memory"' in lines
    assert not any("hunter2" in line for line in lines)


def test_check_config_fails_on_wrong_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--shards" in complaint(capsys, [*MEMORY, "--check-config", "--shards", "5"])


def test_version_names_the_service(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        settings_of("--version")
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("rollout-controller ")


def test_namespaced_means_the_namespace_of_the_process() -> None:
    assert settings_of("--namespaced", POD_NAMESPACE="headrace").watched_namespace == "headrace"


def test_leases_live_where_the_pod_does() -> None:
    assert settings_of(POD_NAMESPACE="headrace").lease_namespace == "headrace"
    chosen = settings_of("--lease-namespace", "other", POD_NAMESPACE="headrace")
    assert chosen.lease_namespace == "other"


def test_two_replicas_of_one_host_have_two_identities() -> None:
    assert settings_of().identity != settings_of().identity
    assert settings_of("--identity", "me").identity == "me"


CONTRACT = Path(__file__).parents[4] / "docs" / "spec" / "cli-and-clients.md"
FLAGS = re.findall(
    r"`--([\w-]+)",
    CONTRACT.read_text().partition("Flags users set")[2].partition("* Lease name")[0],
)
VALUES = {
    "metricsPort": "8090",
    "metricsport": "8090",
    "healthzPort": "8080",
    "rollout-resync": "900",
    "rollout-threads": "10",
    "loglevel": "info",
    "logformat": "text",
    "instance-id": "a",
    "leader-election-lease-duration": "15s",
    "leader-election-retry-period": "2s",
    "traffic-split-api-version": "v1alpha4",
}


@pytest.mark.spec("cli-and-clients 11")
@pytest.mark.parametrize("model", list(SERVICES.values()), ids=list(SERVICES))
def test_every_service_starts_with_all_flags_of_argo_rollouts(
    model: type[ServiceSettings],
) -> None:
    assert len(FLAGS) > 35
    accepted = [flag for flag in FLAGS if flag != "version"]
    argv = [f"--{flag}={VALUES.get(flag, 'true')}" for flag in accepted]
    more = ["--bus", "memory", "--alb-ingress-classes", "alb", "--alb-ingress-classes", "other"]
    settings = parse([*argv, *more], {"POD_NAMESPACE": "here"}, model, "any")
    told = {notice.split()[0].removeprefix("--") for notice in settings.notices}
    acting = {
        name.removeprefix("--") for row in flag_rows(model) for name in (row.flag, *row.aliases)
    }
    assert told | acting >= set(accepted)
    assert not told & acting


@pytest.mark.spec("cli-and-clients 11")
def test_the_notice_says_why_a_flag_has_no_effect() -> None:
    assert settings_of("--qps", "40").notices == (
        "--qps is taken for compatibility with Argo Rollouts and has no effect: requests are not "
        "paced by the client; the API server's own fairness does that",
    )


@pytest.mark.spec("cli-and-clients 11")
@pytest.mark.parametrize("flag", ["--server", "--token", "--as"])
def test_overrides_that_would_act_on_another_cluster_are_refused(
    flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"unrecognized arguments: {flag}" in complaint(capsys, [*MEMORY, flag, "x"])
