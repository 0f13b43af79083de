"""The two ways from a person to the controller: the object itself, or the bus."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from headrace.events.commands import Action, CommandArguments
from headrace_cli.bus_options import BusOptions, Via
from headrace_cli.session import Session


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants of a Rollout."""

    action: Action
    arguments: CommandArguments = field(default_factory=CommandArguments)


class Way(Protocol):
    """One way to carry a wish."""

    async def carry(self, name: str, wish: Wish) -> str:
        """Bring a wish to a Rollout and return what there is to say of it; mostly nothing.

        Raises:
            Failure: It cannot be done, or was refused.
        """
        ...


def choose(session: Session, via: Via, options: BusOptions) -> Way:
    """Return the way that the user wants."""
    if via is Via.KAFKA:
        from headrace_cli.operations.commanding import BusWay

        return BusWay(session, options)
    from headrace_cli.operations.patching import ObjectWay

    return ObjectWay(session)
