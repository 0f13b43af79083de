"""The step plugins that the cluster is configured with (canary 9; cli-and-clients 11).

ConfigMap `argo-rollouts-config`, key `stepPlugins`, is shared with Argo Rollouts: an entry of a
binary plugin, which Headrace does not run, stays what it is, and is told from a worker by the
member `protocol` that only entries of workers have. Changes count at once, without a restart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from headrace.kubernetes.resources import Manifest
from headrace.model.quantities import parse_duration
from headrace.runtime.store import Store
from rollout_controller.core.canary.plugins import SETTING
from rollout_controller.core.observed import StepPlugin

KEY: Final = "stepPlugins"
PROTOCOL: Final = "headrace/v1"
KAFKA: Final = "kafka"
"""The location of a worker that hears calls on the topic `steps`."""

TIMEOUT_SECONDS: Final = 10.0
TIMEOUT_SECONDS_MAX: Final = 60.0

_NAME: Final = re.compile(r"[a-zA-Z0-9-]+/[a-zA-Z0-9_.-]+")
_BINARY: Final = (
    'step plugin "{}" is configured as a go-plugin binary, which is not run here: serve it as a '
    f'worker over HTTP or Kafka and set "protocol: {PROTOCOL}" on its entry in ConfigMap '
    f"{SETTING} (docs/step-plugins.md)"
)


@dataclass(frozen=True, slots=True)
class Worker:
    """How a step plugin is called.

    Attributes:
        plugin: What the core knows of it.
        location: URL of the worker, or `kafka`.
        timeout_seconds: For a call, > 0.
        secrets: Names of the Secrets whose members are sent as HTTP headers.
    """

    plugin: StepPlugin
    location: str = ""
    timeout_seconds: float = TIMEOUT_SECONDS
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plugins:
    """The content of the ConfigMap.

    Attributes:
        workers: By name of the plugin.
        known: The same for the core.
        error: Why it cannot be read, "" when it can.
    """

    workers: Mapping[str, Worker] = field(default_factory=dict)
    known: Mapping[str, StepPlugin] = field(default_factory=dict)
    error: str = ""


class PluginTable:
    """Reads the ConfigMap of a store, each version of it once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read_from: Manifest | None = None
        self._plugins = Plugins()

    def read(self) -> Plugins:
        """Return the plugins as they are configured now."""
        manifest = next(iter(self._store.list()), None)
        if manifest is not self._read_from:
            self._read_from = manifest
            text = str(((manifest or {}).get("data") or {}).get(KEY) or "")
            self._plugins = parse(text)
        return self._plugins


def parse(text: str) -> Plugins:
    """Return what the text of the key says; what is wrong with one entry stays with it."""
    try:
        entries = yaml.safe_load(text) or []
    except yaml.YAMLError as error:
        return Plugins(error=_unreadable(_where(error)))
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        return Plugins(error=_unreadable("not a list of objects"))
    workers: dict[str, Worker] = {}
    for entry in entries:
        worker = _worker(entry)
        name = worker.plugin.name
        if name in workers:
            worker = _refused(name, f'step plugin "{name}" is configured twice')
        workers[name] = worker
    return Plugins(workers, {name: worker.plugin for name, worker in workers.items()})


def _unreadable(why: str) -> str:
    return f"{KEY} of configmap {SETTING} cannot be read: {why}"


def _where(error: yaml.YAMLError) -> str:
    """Return where the text is broken, without the text: it is nobody's business here."""
    mark = getattr(error, "problem_mark", None)
    return f"no YAML in line {mark.line + 1}" if mark is not None else "no YAML"


def _worker(entry: Mapping[str, Any]) -> Worker:
    name = str(entry.get("name") or "")
    if entry.get("disabled") is True:
        return Worker(StepPlugin(name, is_disabled=True))
    if "protocol" not in entry:
        return _refused(name, _BINARY.format(name))
    try:
        return Worker(
            StepPlugin(name),
            location=_location(entry),
            timeout_seconds=_timeout_seconds(entry),
            secrets=_secrets(entry),
        )
    except ValueError as error:
        return _refused(name, f'step plugin "{name}" cannot be called: {error}')


def _refused(name: str, refusal: str) -> Worker:
    return Worker(StepPlugin(name, refusal=refusal))


def _location(entry: Mapping[str, Any]) -> str:
    if not _NAME.fullmatch(str(entry.get("name"))):
        raise ValueError("its name is not of the form namespace/name")
    if entry["protocol"] != PROTOCOL:
        raise ValueError(f"its protocol is not {PROTOCOL}")
    location = str(entry.get("location") or "")
    if location == KAFKA:
        return location
    url = urlsplit(location)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"its location is neither an http or https URL nor {KAFKA}")
    if "@" in url.netloc:
        raise ValueError("its location holds credentials, which belong into headersFrom")
    return location


def _timeout_seconds(entry: Mapping[str, Any]) -> float:
    seconds = parse_duration(str(entry.get("timeout") or f"{TIMEOUT_SECONDS:g}s"))
    if not 0 < seconds <= TIMEOUT_SECONDS_MAX:
        raise ValueError(f"its timeout is not between 0s and {TIMEOUT_SECONDS_MAX:g}s")
    return seconds


def _secrets(entry: Mapping[str, Any]) -> tuple[str, ...]:
    sources = entry.get("headersFrom") or []
    try:
        return tuple(str(source["secretRef"]["name"]) for source in sources)
    except (TypeError, KeyError) as error:
        raise ValueError("headersFrom is not a list of secretRef with a name") from error
