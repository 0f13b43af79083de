"""`status`: the phase of a Rollout, for people and for scripts that wait (cli-and-clients 2.8)."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from headrace.kubernetes.resources import ROLLOUTS
from headrace_cli.failures import Failure
from headrace_cli.operations.following import versions_of
from headrace_cli.operations.naming import read, subject
from headrace_cli.session import Session
from headrace_cli.views.phase import Phase, phase_of


async def print_phase(session: Session, name: str) -> None:
    """Print the phase as it is now. Raises Failure when the Rollout is degraded."""
    phase = phase_of(await read(session, ROLLOUTS, name))
    session.terminal.print(phase.name if phase.is_settled else f"{phase.name} - {phase.message}")
    _check(phase)


async def await_phase(session: Session, name: str, seconds: float | None) -> None:
    """Print each phase until the Rollout is healthy or degraded.

    Args:
        session: Where.
        name: Of the Rollout.
        seconds: How long to wait; None for ever.

    Raises:
        Failure: It is degraded, or not healthy in time.
    """
    await read(session, ROLLOUTS, name)
    last = Phase("")
    try:
        async with asyncio.timeout(seconds):
            last = await _follow(session, name)
    except TimeoutError:
        raise Failure("Rollout status watch exceeded timeout") from None
    _check(last)


async def _follow(session: Session, name: str) -> Phase:
    last: Phase | None = None
    async with aclosing(
        versions_of(session.cluster, ROLLOUTS, session.namespace, name)
    ) as versions:
        async for rollout in versions:
            if rollout is None:
                raise Failure(f"{subject(session, ROLLOUTS, name)} was deleted")
            phase = phase_of(rollout)
            if phase != last:
                session.terminal.print(str(phase))
            last = phase
            if phase.is_settled:
                return phase
    raise AssertionError("a watch has no end of its own")


def _check(phase: Phase) -> None:
    if phase.name == "Degraded":
        raise Failure(f"The rollout is in a degraded state with message: {phase.message}")
