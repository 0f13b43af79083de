"""Header rules of HTTPRoutes: the rules that header steps make beside the weighted ones.

Which of them shall exist is in the document; a managed rule that is not there is removed. A rule
of the user is never taken for one of ours because of its backends alone: what is removed has the
name of a managed route, or matches headers and has none. API servers whose CRD knows no names of
rules drop them, and older versions of the plugin gave none.

Source: traffic-routing 11.2 (detection), 11.3, 11.4.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

from headrace.kubernetes.resources import Manifest
from headrace.model.route import HeaderMatch, HeaderRoute, RouteDocument
from headrace.routes.targets import RenderError

_MATCH_DEFAULT: Final[Manifest] = {"path": {"type": "PathPrefix", "value": "/"}}
_BACKEND_DEFAULT: Final[Manifest] = {"group": "", "kind": "Service", "weight": 1}
"""What the API server adds. Source: Gateway API reference, HTTPRouteMatch and BackendRef."""


def is_managed(rule: Manifest, canary: str, managed: Collection[str]) -> bool:
    """Whether a header step made this rule: by its name, or with the canary as only backend."""
    return is_named(rule, managed) or _has_only(rule, canary)


def is_named(rule: Manifest, managed: Collection[str]) -> bool:
    """Whether the rule has the name of a managed route, or that name and a number."""
    name = rule.get("name") or ""
    base, _, number = name.rpartition("-")
    return bool(name) and (name in managed or (base in managed and number.isdecimal()))


def with_header_rules(
    manifest: Manifest, document: RouteDocument, made_before: Collection[str]
) -> Manifest | RenderError:
    """Return the route with exactly the header rules of the document, new ones behind all others.

    The same object comes back when it has them already, in whatever notation and place: behind
    ours may be those of another Rollout, which wants its own to stay as they are.

    Args:
        manifest: The route as it is.
        document: What shall hold.
        made_before: Names of our rules by the fence: managedRoutes may have lost them since.
    """
    services, managed = document.services, document.managed
    canary, stable = services.canary_role or "", services.stable_role or ""
    names = (*managed.names, *managed.step_names, *made_before)
    spec = manifest.get("spec") or {}
    rules: list[Manifest] = list(spec.get("rules") or ())
    made: list[Manifest] = []
    for route in managed.header:
        if any(_header(match) is None for match in route.match):
            return RenderError("invalid header match type")
        made += _rules_of(route, _sources(rules, names, canary, stable), canary)
    kept = [rule for rule in rules if not _is_ours(rule, names, canary)]
    stored = [rule for rule in rules if _is_ours(rule, names, canary)]
    if len(stored) == len(made) and all(
        _is_stored_as(rule, kept_as, made_before)
        for rule, kept_as in zip(made, stored, strict=True)
    ):
        return manifest
    return {**manifest, "spec": {**spec, "rules": [*kept, *made]}}


def without_header_rules(manifest: Manifest, names: Collection[str], canary: str) -> Manifest:
    """Return the route without the rules of these managed routes."""
    spec = manifest.get("spec") or {}
    rules: list[Manifest] = list(spec.get("rules") or ())
    kept = [rule for rule in rules if not _is_ours(rule, names, canary)]
    return manifest if kept == rules else {**manifest, "spec": {**spec, "rules": kept}}


def _is_ours(rule: Manifest, names: Collection[str], canary: str) -> bool:
    has_headers = any(match.get("headers") for match in rule.get("matches") or ())
    is_nameless = bool(names) and not rule.get("name") and has_headers and _has_only(rule, canary)
    return is_named(rule, names) or is_nameless


def _has_only(rule: Manifest, canary: str) -> bool:
    refs: list[Manifest] = rule.get("backendRefs") or []
    return len(refs) == 1 and refs[0].get("name") == canary


def _sources(
    rules: list[Manifest], names: Collection[str], canary: str, stable: str
) -> Iterator[Manifest]:
    for rule in rules:
        backends = {ref.get("name") for ref in rule.get("backendRefs") or ()}
        if not is_named(rule, names) and {canary, stable} <= backends:
            yield rule


def _rules_of(route: HeaderRoute, sources: Iterator[Manifest], canary: str) -> Iterator[Manifest]:
    headers = [header for match in route.match if (header := _header(match)) is not None]
    for index, source in enumerate(sources):
        port = next(ref.get("port") for ref in source["backendRefs"] if ref.get("name") == canary)
        backend: dict[str, Any] = {"group": "", "kind": "Service", "name": canary}
        matches: list[Manifest] = source.get("matches") or [{}]
        rule: dict[str, Any] = {
            "name": f"{route.name}-{index}" if index else route.name,
            "matches": [
                {**match, "headers": [*(match.get("headers") or ()), *headers]} for match in matches
            ],
            "backendRefs": [backend if port is None else {**backend, "port": port}],
        }
        if source.get("filters"):
            rule["filters"] = source["filters"]
        yield rule


def _header(match: HeaderMatch) -> dict[str, str] | None:
    value = match.header_value
    if value.exact is not None:
        kind, text = "Exact", value.exact
    elif value.prefix is not None:
        kind, text = "RegularExpression", f"{value.prefix}.*"
    elif value.regex is not None:
        kind, text = "RegularExpression", value.regex
    else:
        return None
    return {"name": match.header_name, "type": kind, "value": text}


def _is_stored_as(made: Manifest, stored: Manifest, made_before: Collection[str]) -> bool:
    """Return whether the API server has the rule.

    One that we wrote and that has no name is as it can be: the CRD knows no names of rules.
    """
    is_nameless = not stored.get("name") and is_named(made, made_before)
    known = {key: made[key] for key in made if key != "name"} if is_nameless else made
    return _defaulted(known) == _defaulted(stored)


def _defaulted(rule: Manifest) -> Manifest:
    """Return the rule as the API server stores it, so that its notation makes no difference."""
    matches = [{**_MATCH_DEFAULT, **match} for match in rule.get("matches") or ()]
    refs = [{**_BACKEND_DEFAULT, **ref} for ref in rule.get("backendRefs") or ()]
    return {**rule, "matches": matches, "backendRefs": refs}
