"""Rules that a pod template must satisfy to live in a ReplicaSet (rollout-api 4.1, rule 7).

Only rules that people break are here, in the words of the API server; it applies all the others
itself when the ReplicaSet is created. No rule is stricter than its own.

Source: Kubernetes v1.37, apis/core/validation and apis/apps/validation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from headrace.kubernetes.defaults import with_defaults
from headrace.kubernetes.quantities import parse_quantity
from headrace.model.meta import LabelSelector
from rollout_controller.core.validation import fields, names
from rollout_controller.core.validation.containers import container_errors, init_container_errors

Node = Mapping[str, Any]

_MISMATCH: Final = "`selector` does not match template `labels`"
_RESTART_POLICIES: Final = ("Always", "Never", "OnFailure")
_DNS_POLICIES: Final = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")


def errors(template: Node, selector: LabelSelector | None, path: str) -> Iterator[str]:
    """Yield what is wrong with a pod template.

    Args:
        template: As the user wrote it; the defaults of the API server are applied first.
        selector: What must match its labels; None matches nothing.
        path: Of the template.
    """
    metadata = template.get("metadata") or {}
    labels, annotations = metadata.get("labels"), metadata.get("annotations")
    is_empty = selector is not None and selector.is_empty()
    if not is_empty and (selector is None or not selector.matches(labels or {})):
        yield fields.invalid(f"{path}.metadata.labels", labels, _MISMATCH)
    try:
        view = with_defaults(template, quantity=parse_quantity)
    except ValueError as error:
        yield fields.internal(path, str(error))
        return
    yield from names.label_errors(f"{path}.labels", labels or {})
    yield from names.annotation_errors(f"{path}.annotations", annotations or {})
    yield from _pod_errors(view["spec"], f"{path}.spec")


def _pod_errors(spec: Node, path: str) -> Iterator[str]:
    volumes: set[str] = set()
    yield from _volume_errors(spec.get("volumes", ()), f"{path}.volumes", volumes)
    containers = spec.get("containers") or ()
    yield from container_errors(containers, f"{path}.containers", volumes)
    taken = {container["name"] for container in containers}
    inits = spec.get("initContainers", ())
    yield from init_container_errors(inits, f"{path}.initContainers", volumes, taken)
    policy = spec["restartPolicy"]
    if policy not in _RESTART_POLICIES:
        yield fields.unsupported(f"{path}.restartPolicy", policy, _RESTART_POLICIES)
    if spec["dnsPolicy"] not in _DNS_POLICIES:
        yield fields.unsupported(f"{path}.dnsPolicy", spec["dnsPolicy"], _DNS_POLICIES)
    yield from names.label_errors(f"{path}.nodeSelector", spec.get("nodeSelector", {}))
    account = spec.get("serviceAccountName", "")
    for problem in names.subdomain_problems(account) if account else ():
        yield fields.invalid(f"{path}.serviceAccountName", account, problem)
    for name in ("hostname", "subdomain"):
        for problem in names.dns_label_problems(spec[name]) if spec.get(name) else ():
            yield fields.invalid(f"{path}.{name}", spec[name], problem)
    if spec.get("ephemeralContainers"):
        detail = "ephemeral containers not allowed in pod template"
        yield fields.forbidden(f"{path}.ephemeralContainers", detail)
    if policy != "Always":
        yield fields.unsupported(f"{path}.restartPolicy", policy, ("Always",))
    if spec.get("activeDeadlineSeconds") is not None:
        detail = "activeDeadlineSeconds in ReplicaSet is not Supported"
        yield fields.forbidden(f"{path}.activeDeadlineSeconds", detail)


def _volume_errors(volumes: list[Node], path: str, valid: set[str]) -> Iterator[str]:
    """Yield the errors of all volumes, and put the names of the good ones into `valid`."""
    for index, volume in enumerate(volumes):
        found = list(_errors_of_volume(volume, f"{path}[{index}]", valid))
        yield from found
        if not found:
            valid.add(volume["name"])


def _errors_of_volume(volume: Node, path: str, valid: set[str]) -> Iterator[str]:
    sources = [key for key in volume if key != "name"]
    for source in sorted(sources, key=lambda source: source != "emptyDir")[1:]:
        yield fields.forbidden(f"{path}.{source}", "may not specify more than 1 volume type")
    name = volume["name"]
    if not name:
        yield fields.required(f"{path}.name")
    for problem in names.dns_label_problems(name) if name else ():
        yield fields.invalid(f"{path}.name", name, problem)
    if name in valid:
        yield fields.duplicate(f"{path}.name", name)
