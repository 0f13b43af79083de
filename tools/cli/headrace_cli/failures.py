"""Errors as the user reads them: which object, what is wrong, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from headrace.errors import (
    INSTALL_CRDS,
    Conflict,
    Expired,
    Forbidden,
    InvalidSpec,
    NotFound,
    RateLimited,
    Rejected,
    RolloutError,
    Unavailable,
)


class Failure(Exception):
    """A command that did not succeed; its text is all that the user sees.

    Attributes:
        exit_code: Of the process.
    """

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code


@contextmanager
def about(subject: str, *, remedy: str = "") -> Iterator[None]:
    """Let errors of the cluster or the bus become failures that name their subject.

    Args:
        subject: What the request was about, as `rollout "guestbook" in namespace "default"`.
        remedy: What to do when it does not exist.
    """
    try:
        yield
    except RolloutError as error:
        raise Failure(explain(error, subject, remedy=remedy)) from error


def explain(error: RolloutError, subject: str, *, remedy: str = "") -> str:
    """Return what is wrong with `subject`, and what to do about it."""
    text = str(error)
    match error:
        case NotFound() if _is_unknown_kind(text):
            return (
                f"{subject}: the cluster does not know this kind; install the CRDs: {INSTALL_CRDS}"
            )
        case NotFound():
            return f"{subject} not found" + (f"; {remedy}" if remedy else "")
        case Forbidden() if text.startswith(("Unauthorized", "401")):
            return f"{subject}: the API server does not accept your credentials; log in again"
        case Forbidden():
            return f"{subject}: not allowed ({text}); ask for this right on this namespace"
        case InvalidSpec():
            return text
        case Conflict():
            return f"{subject} was changed by somebody else all the time; try again"
        case Rejected():
            return f"{subject}: refused by the API server: {text}"
        case RateLimited() | Expired():
            return f"{subject}: the API server is busy ({text}); try again"
        case Unavailable():
            return (
                f"{subject}: no answer: {text}; "
                "does the cluster run, and is it the right one (--context, --kubeconfig)?"
            )
        case _:
            return f"{subject}: {text}"


def _is_unknown_kind(text: str) -> bool:
    return "could not find the requested resource" in text or "page not found" in text
