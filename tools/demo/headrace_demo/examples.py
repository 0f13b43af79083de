"""The manifests of `examples/`, as people would apply them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import yaml

from headrace.kubernetes.resources import (
    ANALYSIS_TEMPLATES,
    ROLLOUTS,
    SERVICES,
    Manifest,
    Resource,
)

EXAMPLES: Final = Path(__file__).resolve().parents[3] / "examples"

# Names in both examples.
NAME: Final = "sample-app"
IMAGE: Final = "headrace/sample-app"
FIRST_VERSION: Final = "v1"
STABLE: Final = "rollout-canary-active"
CANARY: Final = "rollout-canary-preview"
ROOT: Final = "rollout-canary-all-traffic"
SPLIT: Final = "rollout-example-traffic-split"
FIRST_PAUSE: Final = 2
SECOND_PAUSE: Final = 5

_RESOURCES: Final = {each.kind: each for each in (SERVICES, ANALYSIS_TEMPLATES, ROLLOUTS)}

Edit = Callable[[Manifest], None]
"""Changes a manifest in place before it is applied."""


def unchanged(manifest: Manifest) -> None:
    """Change nothing."""


def manifests(example: str, namespace: str, edit: Edit) -> Iterator[tuple[Resource, Manifest]]:
    """Yield what a folder of examples consists of, in the order in which it can be applied."""
    found = [
        manifest
        for path in sorted((EXAMPLES / example).glob("*.yaml"))
        for manifest in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]
    for kind, resource in _RESOURCES.items():
        for manifest in found:
            if manifest["kind"] == kind:
                manifest["metadata"]["namespace"] = namespace
                edit(manifest)
                yield resource, manifest
