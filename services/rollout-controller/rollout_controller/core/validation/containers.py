"""Rules about the containers of a pod template (rollout-api 4.1, rule 7).

Source: Kubernetes v1.37, apis/core/validation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from headrace.kubernetes.quantities import Quantity
from rollout_controller.core.validation import fields, names

Node = Mapping[str, Any]

_PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
_MESSAGE_POLICIES: Final = ("File", "FallbackToLogsOnError")
_PROTOCOLS: Final = ("SCTP", "TCP", "UDP")
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_HANDLERS: Final = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_PROBE_NUMBERS: Final = (
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
)
_ENV_SOURCES: Final = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
_FORBIDDEN_FOR_INIT: Final = "may not be set for init containers without restartPolicy=Always"
_ENV_NAME_RULE: Final = (
    "a valid environment variable name must consist only of printable ASCII characters "
    "other than '='"
)


def container_errors(containers: Sequence[Node], path: str, volumes: set[str]) -> Iterator[str]:
    """Yield what is wrong with the containers; there must be at least one.

    Args:
        containers: Typed views with defaults.
        path: Of the list.
        volumes: Names that a mount may use.
    """
    if not containers:
        yield fields.required(path)
    taken: set[str] = set()
    for index, container in enumerate(containers):
        own = f"{path}[{index}]"
        yield from _common_errors(container, own, volumes)
        if container["name"] in taken:
            yield fields.duplicate(f"{own}.name", container["name"])
        taken.add(container["name"])
        yield from _life_errors(container, own)


def init_container_errors(
    containers: Sequence[Node], path: str, volumes: set[str], taken: set[str]
) -> Iterator[str]:
    """Yield what is wrong with the init containers, whose names differ from all in `taken`."""
    taken = set(taken)
    for index, container in enumerate(containers):
        own = f"{path}[{index}]"
        yield from _common_errors(container, own, volumes)
        name = container["name"]
        if name in taken:
            yield fields.duplicate(f"{own}.name", name)
        elif name:
            taken.add(name)
        if container.get("restartPolicy") == "Always":
            yield from _life_errors(container, own)
            continue
        for member in ("lifecycle", *_PROBES):
            if container.get(member) is not None:
                yield fields.forbidden(f"{own}.{member}", _FORBIDDEN_FOR_INIT)


def _common_errors(container: Node, path: str, volumes: set[str]) -> Iterator[str]:
    name = container["name"]
    if not name:
        yield fields.required(f"{path}.name")
    for problem in names.dns_label_problems(name) if name else ():
        yield fields.invalid(f"{path}.name", name, problem)
    if not container.get("image"):
        yield fields.required(f"{path}.image")
    policy = container["terminationMessagePolicy"]
    if policy not in _MESSAGE_POLICIES:
        member = f"{path}.terminationMessagePolicy"
        yield fields.unsupported(member, policy, _MESSAGE_POLICIES)
    yield from _port_errors(container.get("ports", ()), f"{path}.ports")
    yield from _environment_errors(container.get("env", ()), f"{path}.env")
    yield from _mount_errors(container.get("volumeMounts", ()), f"{path}.volumeMounts", volumes)
    policy = container["imagePullPolicy"]
    if policy not in _PULL_POLICIES:
        yield fields.unsupported(f"{path}.imagePullPolicy", policy, _PULL_POLICIES)
    yield from _resource_errors(container.get("resources", {}), f"{path}.resources")


def _port_errors(ports: Sequence[Node], path: str) -> Iterator[str]:
    taken: set[str] = set()
    for index, port in enumerate(ports):
        own, name, number = f"{path}[{index}]", port.get("name", ""), port["containerPort"]
        problems = list(names.port_name_problems(name)) if name else []
        for problem in problems:
            yield fields.invalid(f"{own}.name", name, problem)
        if name and name in taken:
            yield fields.duplicate(f"{own}.name", name)
        if name and not problems:
            taken.add(name)
        if not number:
            yield fields.required(f"{own}.containerPort")
        for problem in names.port_number_problems(number) if number else ():
            yield fields.invalid(f"{own}.containerPort", number, problem)
        if port["protocol"] not in _PROTOCOLS:
            yield fields.unsupported(f"{own}.protocol", port["protocol"], _PROTOCOLS)


def _environment_errors(variables: Sequence[Node], path: str) -> Iterator[str]:
    for index, variable in enumerate(variables):
        own, name = f"{path}[{index}]", variable["name"]
        if not name:
            yield fields.required(f"{own}.name")
        elif not all(" " <= character <= "~" and character != "=" for character in name):
            yield fields.invalid(f"{own}.name", name, _ENV_NAME_RULE)
        source = variable.get("valueFrom")
        if source is None:
            continue
        if not source:
            yield fields.invalid(f"{own}.valueFrom", "", f"must specify one of: {_ENV_SOURCES}")
        elif variable.get("value"):
            detail = "may not be specified when `value` is not empty"
            yield fields.invalid(f"{own}.valueFrom", "", detail)
        elif len(source) > 1:
            detail = "may not have more than one field specified at a time"
            yield fields.invalid(f"{own}.valueFrom", "", detail)


def _mount_errors(mounts: Sequence[Node], path: str, volumes: set[str]) -> Iterator[str]:
    taken: set[str] = set()
    for index, mount in enumerate(mounts):
        own, name, mount_path = f"{path}[{index}]", mount["name"], mount["mountPath"]
        if not name:
            yield fields.required(f"{own}.name")
        if name not in volumes:
            yield fields.not_found(f"{own}.name", name)
        if not mount_path:
            yield fields.required(f"{own}.mountPath")
        if mount_path in taken:
            yield fields.invalid(f"{own}.mountPath", mount_path, "must be unique")
        taken.add(mount_path)


def _resource_errors(resources: Node, path: str) -> Iterator[str]:
    limits: Mapping[str, Quantity] = resources.get("limits", {})
    requests: Mapping[str, Quantity] = resources.get("requests", {})
    for kind, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            own = f"{path}.{kind}[{name}]"
            if amount.nanos < 0:
                yield fields.invalid(own, amount.canonical(), fields.NOT_NEGATIVE)
            limit = limits.get(name)
            if kind == "requests" and limit is not None and amount.nanos > limit.nanos:
                detail = f"must be less than or equal to {name} limit of {limit.canonical()}"
                yield fields.invalid(f"{path}.requests", amount.canonical(), detail)


def _life_errors(container: Node, path: str) -> Iterator[str]:
    lifecycle = container.get("lifecycle") or {}
    for hook in ("postStart", "preStop"):
        if lifecycle.get(hook) is not None:
            yield from _handler_errors(lifecycle[hook], f"{path}.lifecycle.{hook}")
    for name in _PROBES:
        probe = container.get(name)
        if probe is None:
            continue
        own = f"{path}.{name}"
        yield from _handler_errors(probe, own)
        for number in _PROBE_NUMBERS:
            yield from fields.not_negative(f"{own}.{number}", probe.get(number, 0))
        if name != "readinessProbe" and probe["successThreshold"] != 1:
            yield fields.invalid(f"{own}.successThreshold", probe["successThreshold"], "must be 1")


def _handler_errors(handler: Node, path: str) -> Iterator[str]:
    found = [name for name in _HANDLERS if handler.get(name) is not None]
    if not found:
        yield fields.required(path, "must specify a handler type")
    for name in found[1:]:
        yield fields.forbidden(f"{path}.{name}", "may not specify more than 1 handler type")
    if found and found[0] == "exec" and not handler["exec"].get("command"):
        yield fields.required(f"{path}.exec.command")
