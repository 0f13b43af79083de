"""Which step plugins the cluster is configured with."""

from typing import Any

import pytest

from headrace.runtime.cluster import Listing
from headrace.runtime.store import Store
from rollout_controller.plugin_table import Plugins, PluginTable, parse

pytestmark = [pytest.mark.spec("canary 9"), pytest.mark.spec("cli-and-clients 11")]

WORKER = "{name: a/b, protocol: headrace/v1, location: 'https://w/step'}"


def listed(*entries: str) -> Plugins:
    return parse("\n".join(f"- {entry}" for entry in entries))


def refusal(entry: str) -> str:
    plugins = listed(entry)
    assert plugins.error == ""
    (plugin,) = plugins.known.values()
    return plugin.refusal


def test_a_worker_is_told_by_its_protocol() -> None:
    worker = listed(WORKER).workers["a/b"]
    assert (worker.location, worker.timeout_seconds, worker.secrets) == ("https://w/step", 10, ())
    assert worker.plugin.refusal == ""


@pytest.mark.parametrize(
    "location", ["https://example.com/plugin-linux-amd64", "http://w/x", "file:///plugins/x", ""]
)
def test_an_entry_without_protocol_is_a_binary_and_says_what_to_do(location: str) -> None:
    entry = f"{{name: a/b, location: '{location}', sha256: abc, args: [x]}}"
    assert refusal(entry) == (
        'step plugin "a/b" is configured as a go-plugin binary, which is not run here: serve it '
        'as a worker over HTTP or Kafka and set "protocol: headrace/v1" on its entry in ConfigMap '
        "argo-rollouts-config (docs/step-plugins.md)"
    )


def test_a_worker_on_kafka_has_no_address() -> None:
    worker = listed("{name: a/b, protocol: headrace/v1, location: kafka}").workers["a/b"]
    assert (worker.location, worker.plugin.refusal) == ("kafka", "")


def test_takes_timeout_and_headers() -> None:
    more = "timeout: 30s, headersFrom: [{secretRef: {name: s}}, {secretRef: {name: t}}]"
    worker = listed(WORKER.replace("}", f", {more}}}")).workers["a/b"]
    assert (worker.timeout_seconds, worker.secrets) == (30, ("s", "t"))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("headrace/v1", "headrace/v2"), "its protocol is not headrace/v1"),
        (("https://w/step", "ftp://w/step"), "neither an http or https URL nor kafka"),
        (("https://w/step", "https:///step"), "neither an http or https URL nor kafka"),
        (("https://w", "https://user:word@w"), "credentials, which belong into headersFrom"),
        (("a/b", "b"), "not of the form namespace/name"),
        (("}", ", timeout: 61s}"), "not between 0s and 60s"),
        (("}", ", timeout: 0s}"), "not between 0s and 60s"),
        (("}", ", timeout: soon}"), "invalid duration"),
        (("}", ", headersFrom: [{name: s}]}"), "headersFrom is not a list of secretRef"),
        (("}", ", headersFrom: 1}"), "headersFrom is not a list of secretRef"),
    ],
)
def test_what_is_wrong_with_an_entry_is_said_of_its_plugin(
    change: tuple[str, str], why: str
) -> None:
    text = refusal(WORKER.replace(*change))
    assert why in text
    assert "word" not in text


def test_one_bad_entry_leaves_the_others() -> None:
    plugins = listed(WORKER, "{name: c/d}", "{name: e/f, disabled: true}")
    assert [bool(plugin.refusal) for plugin in plugins.known.values()] == [False, True, False]
    assert plugins.known["e/f"].is_disabled


def test_a_name_that_stands_twice_is_refused() -> None:
    assert "configured twice" in listed(WORKER, WORKER).known["a/b"].refusal


@pytest.mark.parametrize(
    ("text", "why"), [("[", "no YAML in line 1"), ("a: b", "not a list"), ("[a]", "not a list")]
)
def test_a_text_that_is_no_list_is_an_error(text: str, why: str) -> None:
    assert why in parse(text).error


def test_nothing_configured_is_no_error() -> None:
    assert parse("") == Plugins()


def config(version: int, text: str) -> Listing:
    metadata = {
        "name": "argo-rollouts-config",
        "namespace": "headrace",
        "uid": "u",
        "resourceVersion": str(version),
    }
    manifest: dict[str, Any] = {"metadata": metadata, "data": {"stepPlugins": text}}
    return Listing((manifest,), str(version))


def test_follows_the_config_map() -> None:
    store = Store()
    table = PluginTable(store)
    assert table.read() == Plugins()
    store.replace(config(1, f"- {WORKER}"))
    first = table.read()
    assert list(first.workers) == ["a/b"]
    assert table.read() is first
    store.replace(config(2, "- {name: c/d}"))
    assert list(table.read().workers) == ["c/d"]
    store.replace(Listing((), "3"))
    assert table.read() == Plugins()
