"""Checking manifests without a cluster, as the existing plugin does (cli-and-clients 5)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import ValidationError

from headrace.kubernetes.resources import ARGO_GROUP, ROLLOUTS, SERVICES, Manifest
from headrace_cli.failures import Failure
from headrace_cli.operations.manifests import (
    misshapen_part,
    read_manifests,
    undecodable_part,
    without_nulls,
)
from headrace_cli.output import Terminal
from headrace_cli.views.objects import text
from rollout_controller.core.validation import lint

_DECODING: Final = "error unmarshaling JSON: while decoding JSON: json: "


def lint_file(path: Path, terminal: Terminal) -> None:
    """Print what is wrong with the Rollouts of a file.

    Raises:
        Failure: Something is wrong; it names the first.
    """
    manifests = read_manifests(path)
    rollouts = [each for each in manifests if _is_rollout(each)]
    services = [each for each in manifests if _is_service(each)]
    for manifest in (*rollouts, *services):
        misshapen = misshapen_part(manifest)
        if misshapen:
            raise Failure(f"{_DECODING}cannot unmarshal {misshapen} of {manifest['kind']}")
    for rollout in rollouts:
        wrong = undecodable_part(ROLLOUTS.kind, rollout)
        if wrong:
            raise Failure(f"{_DECODING}{wrong}")
    rollouts, services = without_nulls(rollouts), without_nulls(services)
    try:
        errors = list(lint.errors(rollouts, services))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(["spec", *(str(part) for part in first["loc"])])
        raise Failure(f"{_DECODING}cannot unmarshal {field}: {first['msg']}") from error
    for each in errors:
        _, _, body = each.partition(": ")
        terminal.print(body)
    if errors:
        raise Failure(errors[0])


def _is_rollout(manifest: Manifest) -> bool:
    group, _, _ = text(manifest, "apiVersion").partition("/")
    return group == ARGO_GROUP and text(manifest, "kind") == ROLLOUTS.kind


def _is_service(manifest: Manifest) -> bool:
    wanted = (SERVICES.api_version, SERVICES.kind)
    return (text(manifest, "apiVersion"), text(manifest, "kind")) == wanted
