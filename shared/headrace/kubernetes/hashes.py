"""The two hashes that name things: pod templates and canary steps (rollout-api 7.3).

A pod template hash becomes the name of a ReplicaSet, its selector and a label of
its pods; it is what clients compare. The step hash tells whether the steps have
changed. Both must equal those of the reference, so that its live Rollouts can be
taken over without a new update.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from headrace.kubernetes import gojson
from headrace.kubernetes.canonical import typed_view
from headrace.kubernetes.godump import dump_pod_template
from headrace.model.steps import CanaryStep

_FNV_OFFSET: Final = 2166136261
_FNV_PRIME: Final = 16777619
_UINT32: Final = 0xFFFFFFFF
_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"


def canonical_pod_template(template: Mapping[str, Any]) -> str:
    """Return the JSON text of a pod template that is hashed.

    Raises:
        ValueError: A field has another type than Kubernetes gives it.
    """
    return gojson.encode(typed_view(template))


def pod_template_hash(template: Mapping[str, Any], collision_count: int | None = None) -> str:
    """Return the hash of a pod template.

    Nothing is defaulted first: two templates that mean the same may differ in
    their hash, which is why ReplicaSets are also looked up by their content.

    Args:
        template: The pod template as the user wrote it.
        collision_count: `status.collisionCount`, None when absent.

    Raises:
        ValueError: A field has another type than Kubernetes gives it.
    """
    return _encode(_fnv1a(_counted(canonical_pod_template(template), collision_count)))


def dumped_template_hash(template: Mapping[str, Any], collision_count: int | None = None) -> str:
    """Return the hash that the controllers of Kubernetes give a pod template.

    Args:
        template: The pod template as the user wrote it.
        collision_count: `status.collisionCount`, None when absent.

    Raises:
        ValueError: The template has no such hash (`headrace.kubernetes.godump`).
    """
    return _encode(_fnv1a_of_dump(_counted(dump_pod_template(template), collision_count)))


def step_hash(steps: Sequence[CanaryStep] | None) -> str:
    """Return the hash of the steps of a canary; no steps are hashed as `null`."""
    text = gojson.encode([gojson.struct(step) for step in steps] if steps else None)
    return _encode(_fnv1a(text.encode()))


def _counted(text: str, collision_count: int | None) -> bytes:
    if collision_count is None:
        return text.encode()
    return text.encode() + (collision_count & _UINT32).to_bytes(8, "little")


# The same few texts are hashed in every pass over a Rollout, byte by byte.
@lru_cache(maxsize=4096)
def _fnv1a(data: bytes) -> int:
    return _fnv1a_of(data)


# Some thousand bytes each, and looked at only while no ReplicaSet has the other hash.
@lru_cache(maxsize=64)
def _fnv1a_of_dump(data: bytes) -> int:
    return _fnv1a_of(data)


def _fnv1a_of(data: bytes) -> int:
    value = _FNV_OFFSET
    for byte in data:
        value = ((value ^ byte) * _FNV_PRIME) & _UINT32
    return value


def _encode(value: int) -> str:
    """Return a number in characters that form no words, as labels want it."""
    return "".join(_ALPHABET[ord(digit) % len(_ALPHABET)] for digit in str(value))
