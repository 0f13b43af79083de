"""Owner references: whose an object is, for the garbage collector and for clients."""

from __future__ import annotations

from typing import Any


def controller_reference(api_version: str, kind: str, name: str, uid: str) -> dict[str, Any]:
    """Return the reference to an object's controller; it waits for the object when it goes.

    Source: Kubernetes, "Owners and Dependents".
    """
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
