"""Commands that change Rollouts: what is wanted, sent one way or the other, told to the user."""

from __future__ import annotations

from headrace.events.commands import Action, CommandArguments
from headrace.model.quantities import Instant
from headrace_cli.operations.ways import Way, Wish
from headrace_cli.session import Session


async def promote(session: Session, way: Way, name: str, *, full: bool = False) -> None:
    """Move a Rollout past its pause or step, or with `full` to the end."""
    await way.carry(name, Wish(Action.PROMOTE_FULL if full else Action.PROMOTE))
    session.terminal.print(f"rollout '{name}' {'fully ' if full else ''}promoted")


async def skip(session: Session, way: Way, name: str, *, all_steps: bool) -> None:
    """Skip the current step, or all of them (deprecated flags of promote)."""
    await way.carry(name, Wish(Action.SKIP_ALL if all_steps else Action.SKIP))
    session.terminal.print(f"rollout '{name}' promoted")


async def abort(session: Session, way: Way, name: str) -> None:
    """Take all traffic back to the stable version; say where that cannot be any more."""
    void = await way.carry(name, Wish(Action.ABORT))
    session.terminal.print(f"rollout '{name}' aborted")
    if void:
        session.terminal.complain(
            f"The abort has no effect: {void}. "
            f"`headrace undo {name}` goes back to the version before."
        )


async def retry(session: Session, way: Way, name: str) -> None:
    """Begin an aborted update again."""
    await way.carry(name, Wish(Action.RETRY))
    session.terminal.print(f"rollout '{name}' retried")


async def pause(session: Session, way: Way, name: str) -> None:
    """Hold a Rollout where it is."""
    await way.carry(name, Wish(Action.PAUSE))
    session.terminal.print(f"rollout '{name}' paused")


async def restart(session: Session, way: Way, name: str, *, delay: str, seconds: float) -> None:
    """Replace all pods of a Rollout.

    Args:
        session: Where.
        way: How.
        name: Of the Rollout.
        delay: From now, as the user gave it.
        seconds: The same.
    """
    at = Instant(session.clock.now() + seconds)
    await way.carry(name, Wish(Action.RESTART, CommandArguments(restart_at=at)))
    session.terminal.print(f"rollout '{name}' restarts in {delay}")


async def set_image(session: Session, way: Way, name: str, container: str, image: str) -> None:
    """Give a container another image, in the Rollout or in the Deployment that it refers to."""
    arguments = CommandArguments(container=container, image=image)
    workload = await way.carry(name, Wish(Action.SET_IMAGE, arguments))
    session.terminal.print(f"{workload} image updated")


async def undo(session: Session, way: Way, name: str, to_revision: int) -> None:
    """Go back to the pod template of an earlier revision; 0 for the one before."""
    arguments = CommandArguments(to_revision=to_revision or None)
    skipped = await way.carry(name, Wish(Action.UNDO, arguments))
    if skipped:
        session.terminal.write(skipped)
    else:
        session.terminal.print(f"rollout '{name}' undo")
