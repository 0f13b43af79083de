"""Reading manifests from files: several YAML documents, no key twice, and lists of objects."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from headrace.kubernetes.resources import Manifest
from headrace.model.strict import mistyped_field, unknown_field
from headrace_cli.failures import Failure


class _Loader(yaml.SafeLoader):
    """Refuses what the plain loader silently overwrites: a key that stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _misplaced(key, "a key must be a text")
            if key.value in lines:
                problem = f'mapping key "{key.value}" already defined at line {lines[key.value]}'
                raise _misplaced(key, problem)
            lines[key.value] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)


def _misplaced(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    """Return an error that names file and line, as those of the parser do."""
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


# Times stay texts, as in JSON, and 12:30 does, as for Go: base 60 is of an older YAML.
_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
STANDARD_INPUT: Final = Path("-")

_CLOCK_TIME: Final = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
for _resolvers in _Loader.yaml_implicit_resolvers.values():
    _resolvers.insert(0, ("tag:yaml.org,2002:str", _CLOCK_TIME))


def read_manifests(path: Path) -> list[Manifest]:
    """Return the objects of a file, or of standard input (`-`), in order.

    Empty documents are left out. Of a list, as `kubectl get -o yaml` prints it, its items count.

    Raises:
        Failure: It cannot be read, is no YAML, or holds something else than objects.
    """
    try:
        content = _bytes_of(path).decode("utf-8")
    except OSError as error:
        raise Failure(f"open {path}: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise Failure(f"{path}: not UTF-8") from error
    try:
        stream: Any = io.StringIO(content)
        stream.name = str(path)  # where an error is said to be
        documents = list(yaml.load_all(stream, Loader=_Loader))
    except yaml.YAMLError as error:
        raise Failure(f"yaml: {error}") from error
    except RecursionError as error:
        raise Failure(f"{path}: nested too deeply") from error
    manifests = [document for document in documents if document is not None]
    for manifest in manifests:
        if not isinstance(manifest, dict):
            raise Failure(f"{path}: a document is no object but {type(manifest).__name__}")
    return [item for manifest in manifests for item in _items(manifest, path)]


def _bytes_of(path: Path) -> bytes:
    return sys.stdin.buffer.read() if path == STANDARD_INPUT else path.read_bytes()


def _items(manifest: Manifest, path: Path) -> Iterator[Manifest]:
    if (manifest.get("apiVersion"), manifest.get("kind")) != ("v1", "List"):
        yield manifest
        return
    for item in manifest.get("items") or ():
        if not isinstance(item, dict):
            raise Failure(f"{path}: an item of a List is no object but {type(item).__name__}")
        yield item


def without_nulls(value: Any) -> Any:
    """Return an object without the fields that are null.

    So the API server stores it, and templates of charts leave many (`steps:`).
    """
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


def misshapen_part(manifest: Manifest) -> str:
    """Return the path of the first part that is no object, "" when an object can be read."""
    for path in (("metadata",), ("spec",), ("spec", "selector")):
        found: Any = manifest
        for name in path:
            found = found.get(name) or {}
            if not isinstance(found, dict):
                return ".".join(path)
    return ""


def undecodable_part(kind: str, manifest: Manifest) -> str:
    """Return what the CRD of a kind of Argo refuses of an object, in words; "" for nothing."""
    unknown = unknown_field(kind, manifest)
    if unknown is not None:
        return f'unknown field "{unknown}"'
    mistyped = mistyped_field(kind, manifest)
    return "" if mistyped is None else f"cannot unmarshal {mistyped}"
