"""Specs, decoded, and what follows from a spec alone: computed once per generation. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from headrace.kubernetes.hashes import pod_template_hash, step_hash
from headrace.kubernetes.resources import Manifest
from headrace.kubernetes.templates import find_new_replica_set, hash_label
from headrace.model.rollout import RolloutSpec
from rollout_controller.core.validation.rules import spec_error
from rollout_controller.workloads import Found

Version = tuple[int, int | None, tuple[str, int]]
"""Generation, collision count and workload that a decoded spec holds for."""


@dataclass(frozen=True, slots=True)
class ParsedSpec:
    """The spec of one version, and what is computed from it once."""

    version: Version
    spec: RolloutSpec
    template_hash: str
    step_hash: str
    spec_error: str = ""


def parse_spec(manifest: Manifest, version: Version, found: Found) -> ParsedSpec:
    """Return the spec of a Rollout; what cannot be decoded is told in `spec_error`."""
    try:
        spec = found.resolve(RolloutSpec.load(manifest.get("spec") or {}))
        template_hash = "" if found.error else pod_template_hash(spec.template or {}, version[1])
    except (ValidationError, ValueError) as error:
        return ParsedSpec(version, RolloutSpec(), "", "", _first_line(error))
    canary = spec.strategy.canary
    steps = step_hash(canary.steps) if canary is not None else ""
    text = spec_error(spec, is_resolved=found.manifest is not None)
    return ParsedSpec(version, spec, template_hash, steps, text)


def new_replica_set(parsed: ParsedSpec, sets: Sequence[Manifest]) -> str | None:
    """Return the name of the ReplicaSet of the template (rollout-api 7.3)."""
    if not parsed.template_hash:
        return None
    by_hash = sorted(
        (rs for rs in sets if hash_label(rs) == parsed.template_hash),
        key=lambda rs: str(rs["metadata"].get("creationTimestamp")),
    )
    if by_hash:
        return str(by_hash[0]["metadata"]["name"])
    _, collision_count, _ = parsed.version
    found = find_new_replica_set(sets, parsed.spec.template or {}, collision_count)
    return str(found["metadata"]["name"]) if found is not None else None


def _first_line(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        return f"spec.{path}: {first['msg']}"
    return f"spec.template: {error}"
