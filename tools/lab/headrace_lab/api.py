"""A synchronous client of the API server for what the lab itself does: wait, and install.

Synchronous, since a lab is started and stopped from command lines and fixtures, inside and
outside of event loops; `kube.py` is the client of the lab's own long-running parts.
"""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from headrace_lab.errors import ApiError

MANAGER: Final = "headrace-lab"
JSON: Final = "application/json"
APPLY_PATCH: Final = "application/apply-patch+yaml"
TIMEOUT_SECONDS: Final = 10.0

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Resource:
    """Where a kind lives in the API."""

    plural: str
    namespaced: bool


class ApiClient:
    """Talks to one API server as one identity."""

    def __init__(self, server: str, token: str, authority: str) -> None:
        self._server = server
        self._headers = {"Authorization": f"Bearer {token}", "Accept": JSON}
        self._context = ssl.create_default_context(cafile=authority)
        self._resources: dict[tuple[str, str], Resource] = {}

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        content_type: str = JSON,
    ) -> Any:
        """Send a request and return the decoded answer.

        Raises:
            ApiError: The server refused it.
            OSError: The server is out of reach.
        """
        request = urllib.request.Request(  # noqa: S310
            self._server + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={**self._headers, "Content-Type": content_type},
        )
        try:
            with urllib.request.urlopen(  # noqa: S310
                request, timeout=TIMEOUT_SECONDS, context=self._context
            ) as answer:
                raw = answer.read()
                kind = answer.headers.get_content_type()
        except urllib.error.HTTPError as error:
            with error:
                raise ApiError(error.code, _message(error.read())) from error
        return json.loads(raw) if kind == JSON else raw.decode()

    def get(self, path: str) -> Any:
        """Return what is at a path."""
        return self.request("GET", path)

    def is_ready(self) -> bool:
        """Say whether `/readyz` answers ok."""
        try:
            return bool(self.get("/readyz") == "ok")
        except (ApiError, OSError):
            return False

    def apply(self, manifest: Manifest) -> Manifest:
        """Create or update an object by server-side apply, taking over what others own."""
        path = f"{self._path(manifest)}?fieldManager={MANAGER}&force=true"
        applied: Manifest = self.request("PATCH", path, manifest, content_type=APPLY_PATCH)
        return applied

    def _path(self, manifest: Manifest) -> str:
        version, kind = manifest["apiVersion"], manifest["kind"]
        resource = self._resource(version, kind)
        root = "/api/v1" if version == "v1" else f"/apis/{version}"
        metadata = manifest["metadata"]
        if resource.namespaced:
            root += f"/namespaces/{quote(metadata.get('namespace', 'default'))}"
        return f"{root}/{resource.plural}/{quote(metadata['name'])}"

    def _resource(self, version: str, kind: str) -> Resource:
        if (version, kind) not in self._resources:
            root = "/api/v1" if version == "v1" else f"/apis/{version}"
            for item in self.get(root)["resources"]:
                if "/" not in item["name"]:
                    self._resources[version, item["kind"]] = Resource(
                        item["name"], item["namespaced"]
                    )
        try:
            return self._resources[version, kind]
        except KeyError as error:
            raise ApiError(404, f"the server has no kind {kind} in {version}") from error


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:300]
