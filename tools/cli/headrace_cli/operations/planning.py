"""`plan`: rehearses the update of a file's Rollout, without a cluster."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import structlog

from headrace.errors import RolloutError
from headrace.kubernetes.resources import ARGO_GROUP, Manifest
from headrace_cli.failures import Failure
from headrace_cli.operations.manifests import (
    misshapen_part,
    read_manifests,
    undecodable_part,
    without_nulls,
)
from headrace_cli.output import Terminal
from headrace_cli.views import rehearsal as view
from headrace_rehearsal.manifests import resource_of
from headrace_rehearsal.rehearse import NotRehearsed, rehearse


def plan(paths: Sequence[Path], terminal: Terminal, *, is_json: bool, no_color: bool) -> None:
    """Print how the update goes.

    Raises:
        Failure: The files cannot be read, or their Rollout cannot be rehearsed.
    """
    # The services of the rehearsal log as they always do; here nobody operates them.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    manifests = []
    for path in paths:
        for manifest in read_manifests(path):
            _check(manifest, path)
            manifests.append(manifest)
    try:
        found = asyncio.run(rehearse(without_nulls(manifests)))
    except (NotRehearsed, RolloutError) as error:
        raise Failure(str(error)) from error
    if is_json:
        terminal.print(json.dumps(view.document(found), ensure_ascii=False, indent=2))
    else:
        terminal.print(*view.lines(found, terminal.palette(no_color=no_color)))


def _check(manifest: Manifest, path: Path) -> None:
    """Refuse what no API server would store; of several files, which one it is in is told."""
    resource = resource_of(manifest)
    if resource is None:
        return
    wrong = misshapen_part(manifest)
    if wrong:
        raise Failure(f"{path}: {resource.kind}: cannot unmarshal {wrong}")
    if resource.group != ARGO_GROUP:
        return
    wrong = undecodable_part(resource.kind, manifest)
    if wrong:
        raise Failure(f"{path}: {resource.kind}: {wrong}")
