"""Command `python -m headrace_gen`: writes what is generated, or checks it.

Without names every generator runs. A generator is a function that returns the
text of each of its files by path; add it to `GENERATORS`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from headrace_gen import (
    cli_doc,
    compatibility,
    crds,
    events,
    metrics_doc,
    pod_schemas,
    settings_doc,
    state_machines,
)

Generator = Callable[[], Mapping[str, str]]

GENERATORS: Final[Mapping[str, Generator]] = {
    "cli": cli_doc.render,
    "compatibility": compatibility.render,
    "crds": crds.render,
    "events": events.render,
    "metrics": metrics_doc.render,
    "settings": settings_doc.render,
    "state-machines": state_machines.render,
}
ROOT: Final = Path(__file__).resolve().parents[3]

_POD_SCHEMAS: Final = "shared/headrace/model/data/pod-schemas.json"


def write(files: Mapping[str, str], root: Path) -> None:
    """Write the files below the root of the repository."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def stale(files: Mapping[str, str], root: Path) -> list[str]:
    """Return the paths whose files differ from what is generated."""
    return [
        name
        for name, text in files.items()
        if not (root / name).exists() or (root / name).read_text("utf-8") != text
    ]


def main(arguments: Iterable[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="headrace_gen", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(GENERATORS)}")
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository")
    parser.add_argument(
        "--pod-schemas",
        nargs=2,
        type=Path,
        metavar=("APPS", "BATCH"),
        help="take the schema of pod templates from these OpenAPI v3 documents of an API server "
        "(/openapi/v3/apis/apps/v1 and /openapi/v3/apis/batch/v1) first",
    )
    options = parser.parse_args(None if arguments is None else list(arguments))
    unknown = [name for name in options.names if name not in GENERATORS]
    if unknown:
        parser.error(f"no generator {', '.join(unknown)}; there are {', '.join(GENERATORS)}")
    if options.pod_schemas:
        schemas = pod_schemas.trim([json.loads(path.read_bytes()) for path in options.pod_schemas])
        write({_POD_SCHEMAS: json.dumps(schemas, separators=(",", ":")) + "\n"}, options.root)
    files = {
        path: text
        for name in options.names or GENERATORS
        for path, text in GENERATORS[name]().items()
    }
    if not options.check:
        write(files, options.root)
        return 0
    differing = stale(files, options.root)
    for name in differing:
        sys.stderr.write(f"{name} differs from its source: run `make gen` and commit it\n")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
