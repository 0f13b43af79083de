"""The rules of the validation over manifests that are in no cluster yet (cli-and-clients 5).

All violations are told, not the first alone. Of what the spec names only Services that lie in the
same file are judged: what is missing there may be in the cluster. A Service belongs to the last
Rollout that names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headrace.kubernetes.resources import Manifest
from headrace.model.rollout import RolloutSpec
from rollout_controller.core import labels
from rollout_controller.core.observed import ServiceObject
from rollout_controller.core.validation import references, spec, support


def errors(rollouts: Sequence[Manifest], services: Sequence[Manifest]) -> Iterator[str]:
    """Yield every violated rule of every Rollout.

    Raises:
        pydantic.ValidationError: A value has a type that the CRD does not admit.
    """
    specs = [RolloutSpec.load(each.get("spec") or {}) for each in rollouts]
    owners = {
        name: place
        for place, each in enumerate(specs)
        for name in references.service_names(each.strategy)
    }
    views = {view.name: view for view in map(_view, services)}
    for place, (manifest, each) in enumerate(zip(rollouts, specs, strict=True)):
        yield from spec.errors(each)
        yield from support.errors(each)
        own = {name: view for name, view in views.items() if owners.get(name) == place}
        yield from references.service_errors(_name(manifest), each, own)


def _name(manifest: Manifest) -> str:
    return str((manifest.get("metadata") or {}).get("name", ""))


def _view(service: Manifest) -> ServiceObject:
    """Return a Service as if the Rollout that names it managed it."""
    selector = (service.get("spec") or {}).get("selector") or {}
    pod_hash = str(selector.get(labels.HASH, ""))
    return ServiceObject(_name(service), "", "", pod_hash, managed_by="", selector=selector)
