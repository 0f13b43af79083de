"""The exceptions of Headrace, one tree for all services.

    RolloutError
    ├─ PermanentError            do not retry; say it in a condition; keep serving others
    │   ├─ InvalidSpec           the user's fault: the reason goes to the status
    │   ├─ UnknownEvent          undecodable message: dead letter
    │   ├─ NotFound              404
    │   ├─ Forbidden             401, 403: a role or token is missing
    │   └─ Rejected              400, 413, 422: the API server refuses this request for ever
    ├─ TransientError            try again after `retry_after_seconds`
    │   ├─ Unavailable           broker, API server, metrics store
    │   ├─ RateLimited           429 (an eviction refused by a PodDisruptionBudget, too)
    │   └─ Expired               410: the watch's resourceVersion is gone, list again
    ├─ Conflict                  409: gather again at once, without back-off
    │   ├─ AlreadyExists         409 on create
    │   └─ PreconditionFailed    a JSON patch's `test` or a delete's precondition failed
    ├─ LostOwnership             the Lease is not ours now: leave the key to who holds it
    └─ InvariantViolation        a bug: freeze this rollout (fail static), keep others

Adapters translate: no exception of a client library crosses a port. Business outcomes
(an analysis failed, a quota is hit) are values of a plan, never exceptions.
"""

from __future__ import annotations

from typing import Final

INSTALL_CRDS: Final = "kubectl apply --server-side --force-conflicts -k deploy/crds"
"""What to do where the cluster lacks our CRDs, or has those of another release."""


class RolloutError(Exception):
    """Root of all exceptions that Headrace raises on purpose."""


class PermanentError(RolloutError):
    """Trying again cannot help; the caller says it in a condition and serves other keys."""


class InvalidSpec(PermanentError):
    """What the user wrote cannot work; the text is meant for the status, not for the log."""


class UnknownEvent(PermanentError):
    """A message that cannot be decoded; the consumer moves it to the dead letters."""


class NotFound(PermanentError):
    """The object does not exist; the caller treats it as absent."""


class Forbidden(PermanentError):
    """The API server refuses our identity; the caller names the missing right."""


class Rejected(PermanentError):
    """The API server refuses this request for ever (400, 413, 422)."""


class TransientError(RolloutError):
    """Worth another try.

    Attributes:
        retry_after_seconds: What the other side asked for, in seconds; None when it said nothing
            and the caller's own back-off decides.
    """

    def __init__(self, message: str = "", *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(TransientError):
    """The broker, API server or metrics store did not answer, or answered 5xx."""


class RateLimited(TransientError):
    """429: too many requests, or an eviction that a PodDisruptionBudget refuses now."""


class Expired(TransientError):
    """410: the resourceVersion is gone; the caller lists again."""


class Conflict(RolloutError):
    """The object changed since it was read; the caller gathers again at once."""


class AlreadyExists(Conflict):
    """An object of this name exists; the caller recognises its own by cause and owner."""


class PreconditionFailed(Conflict):
    """A JSON patch's `test`, or the uid or resourceVersion of a delete, did not hold."""


class LostOwnership(RolloutError):
    """A write was stopped since this replica's Lease for the key is not held (any more)."""


class InvariantViolation(RolloutError):
    """A plan or snapshot that must not exist; the caller freezes this rollout and says so."""
