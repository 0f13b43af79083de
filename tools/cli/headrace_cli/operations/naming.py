"""How objects are named to the user, and read by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from headrace.kubernetes.resources import EXPERIMENTS, ROLLOUTS, Manifest, Resource
from headrace_cli.failures import about
from headrace_cli.session import Session

_LISTED = (ROLLOUTS, EXPERIMENTS)


def subject(session: Session, resource: Resource, name: str) -> str:
    """Return an object's name for messages, as `Rollout "guestbook" in namespace "default"`."""
    return f'{resource.kind} "{name}" in namespace "{session.namespace}"'


@contextmanager
def about_object(session: Session, resource: Resource, name: str) -> Iterator[None]:
    """Let errors of requests about one object name it and say what to do."""
    lister = "headrace list" if resource in _LISTED else "kubectl get"
    remedy = f"see: {lister} {resource.plural} -n {session.namespace}"
    with about(subject(session, resource, name), remedy=remedy):
        yield


async def read(session: Session, resource: Resource, name: str) -> Manifest:
    """Return an object of the session's namespace. Raises Failure."""
    with about_object(session, resource, name):
        return await session.cluster.get(resource, session.namespace, name)
