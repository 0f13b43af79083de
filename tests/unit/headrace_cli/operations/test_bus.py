import pytest

from headrace_cli.bus_options import BusOptions
from headrace_cli.failures import Failure
from headrace_cli.operations.bus import INSTANCE_ID_LABEL, connect

BLUE = {"metadata": {"labels": {INSTANCE_ID_LABEL: "blue"}}}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BOOTSTRAP_SERVERS", "CLUSTER_NAME", "INSTANCE_ID", "BUS", "TOPIC_PREFIX"):
        monkeypatch.delenv(f"HEADRACE_{name}", raising=False)


def test_asks_where_kafka_is() -> None:
    with pytest.raises(Failure, match="give --bootstrap-servers host:port or set HEADRACE_BOOT"):
        connect(BusOptions(), None)


def test_names_topics_as_the_services_do() -> None:
    settings, topics = connect(BusOptions("kafka:9092,other:9092", "prod"), None)
    assert settings.bootstrap_servers == "kafka:9092,other:9092"
    assert topics.steps.name == "headrace.prod.steps"


def test_never_makes_topics() -> None:
    settings, _ = connect(BusOptions("kafka:9092"), None)
    assert not settings.may_create_topics


def test_the_rollouts_label_names_the_instance_unless_the_user_does() -> None:
    _, labelled = connect(BusOptions("kafka:9092"), BLUE)
    assert labelled.commands.name == "headrace.default-blue.commands"
    _, chosen = connect(BusOptions("kafka:9092", instance_id="green"), BLUE)
    assert chosen.commands.name == "headrace.default-green.commands"
    _, none = connect(BusOptions("kafka:9092", instance_id=""), BLUE)
    assert none.commands.name == "headrace.default.commands"


def test_takes_the_rest_from_the_services_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("HEADRACE_KAFKA_USERNAME", "ann")
    monkeypatch.setenv("HEADRACE_KAFKA_PASSWORD", "hidden")
    monkeypatch.setenv("HEADRACE_BUS", "memory")
    settings, _ = connect(BusOptions("kafka:9092"), None)
    assert (settings.security_protocol, settings.username) == ("SASL_PLAINTEXT", "ann")
    assert settings.password == "hidden"


def test_a_setting_that_cannot_be_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        connect(BusOptions("kafka"), None)
    told = "headrace: --bootstrap-servers: bootstrap server 'kafka' is not host:port\n"
    assert capsys.readouterr().err == told
