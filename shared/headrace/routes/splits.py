"""Arithmetic on splits: who gets which part of the traffic.

A split lists the canary Service first, additional destinations next, the stable Service last.
An observed split names a Service more than once when the rules of an object disagree: such a
split equals no rendered one, which is what makes the disagreement visible as drift.
"""

from __future__ import annotations

from fractions import Fraction

from headrace.kubernetes.resources import Manifest
from headrace.model.route import BackendShare, RouteDocument

Split = tuple[BackendShare, ...]


def wanted_split(document: RouteDocument) -> Split:
    """Return the split that the document asks for, in the order canary, additional, stable.

    With ping and pong it is the one that plays the role now.
    """
    weights, services = document.weights, document.services
    additional = tuple(
        BackendShare(service=each.service, weight=each.weight) for each in weights.additional
    )
    canary = BackendShare(service=services.canary_role or "", weight=weights.canary)
    stable = BackendShare(service=services.stable_role or "", weight=weights.stable)
    return (canary, *additional, stable)


def all_to_stable(split: Split) -> Split:
    """Return the split with the whole weight on its last member, the stable Service."""
    if not split:
        return split
    total = sum(share.weight for share in split)
    lowered = tuple(share.model_copy(update={"weight": 0}) for share in split[:-1])
    return (*lowered, split[-1].model_copy(update={"weight": total}))


def raises(rendered: Split, observed: Split, stable: str | None) -> bool:
    """Return whether any backend but `stable` would get more than the object shows now.

    Shares are compared, not numbers, since the base of the weights may change. Where the rules
    of the object disagree, the least that a backend surely gets counts.
    """
    return any(
        _share_max(rendered, service) > _share_min(observed, service)
        for service in {share.service for share in rendered} - {stable}
    )


def adds_rules(document: RouteDocument, old: Manifest | None, new: Manifest) -> bool:
    """Return whether a write may send requests by their headers to the canary, at any weight."""
    before = old.get("spec") if old is not None else None
    return bool(document.managed.header) and new.get("spec") != before


def _share_max(split: Split, service: str) -> Fraction:
    total = sum(max(share.weight, 0) for share in split)
    weight = sum(max(share.weight, 0) for share in split if share.service == service)
    return Fraction(weight, total) if total else Fraction(0)


def _share_min(split: Split, service: str) -> Fraction:
    """A lower bound: the service's least weight out of the sum of every service's greatest."""
    own = [max(share.weight, 0) for share in split if share.service == service]
    greatest: dict[str, int] = {}
    for share in split:
        greatest[share.service] = max(greatest.get(share.service, 0), share.weight, 0)
    total = sum(greatest.values())
    return Fraction(min(own), total) if own and total else Fraction(0)
