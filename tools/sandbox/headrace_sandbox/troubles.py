"""What befalls the processes of a world once in a while: outages and partitions, and their end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from headrace_sandbox.faults import Fault, Kind
from headrace_sandbox.world import World

_TICK_SECONDS: Final = 1.0
_PARTITION_SECONDS_MAX: Final = 40.0
_OUTAGE_SECONDS_MAX: Final = 60.0


class Sufferer(Protocol):
    """A process, as faults see it.

    Attributes:
        name: As `traffic-router-1`.
        frozen_until: Until then it does nothing, and does not know.
        cut_off_until: Until then it does not reach the API server.
        bus_cut_off_until: Until then it does not reach the broker.
        lags_until: Until then no change comes through to what it knows of Rollouts.
    """

    name: str
    frozen_until: float
    cut_off_until: float
    bus_cut_off_until: float
    lags_until: float

    def crash(self) -> None:
        """Lose everything but what is stored; start again some time later."""
        ...


class Carrier(Protocol):
    """What carries messages.

    Attributes:
        down_until: Until then it carries none.
    """

    down_until: float

    def look(self) -> None:
        """Notice whether it can be reached."""
        ...


class Cast(Protocol):
    """All processes of Headrace in a world."""

    @property
    def nodes(self) -> Sequence[Sufferer]:
        """The processes."""
        ...

    @property
    def broker(self) -> Carrier:
        """What carries their messages."""
        ...

    def start(self) -> None:
        """Start every process, and let faults befall them."""
        ...

    def heal(self) -> None:
        """End all that is under way: outages, partitions, freezes."""
        ...


class Troubles:
    """Lets outages and partitions begin by chance."""

    def __init__(self, world: World, nodes: Sequence[Sufferer], broker: Carrier) -> None:
        self._world = world
        self._nodes = nodes
        self._broker = broker

    def begin(self) -> None:
        """Look once a second from now on."""
        self._world.after(_TICK_SECONDS, self._tick)

    def heal(self) -> None:
        """End all that is under way: outages, partitions, freezes."""
        self._world.api_down_until = self._broker.down_until = 0.0
        for node in self._nodes:
            node.cut_off_until = node.bus_cut_off_until = 0.0
            node.frozen_until = 0.0
        self._broker.look()

    def _tick(self) -> None:
        strikes, world = self._world.faults.strikes, self._world
        for node in self._nodes:
            if (fault := strikes(Kind.PARTITION, node.name)) is not None:
                self._partition(node, fault)
        if (fault := strikes(Kind.BROKER_OUTAGE, "broker")) is not None:
            self._broker.down_until = world.now + fault.size * _OUTAGE_SECONDS_MAX
            world.tell("fault", "the broker is away", seconds=_seconds(fault, _OUTAGE_SECONDS_MAX))
        if (fault := strikes(Kind.API_OUTAGE, "api")) is not None:
            world.api_down_until = world.now + fault.size * _OUTAGE_SECONDS_MAX
            world.tell("fault", "the API server is away", seconds=_seconds(fault, 60.0))
        self._broker.look()
        world.after(_TICK_SECONDS, self._tick)

    def _partition(self, node: Sufferer, fault: Fault) -> None:
        """Cut a node off from the API server, the broker or both."""
        seconds = (fault.size * 3 % 1) * _PARTITION_SECONDS_MAX
        until = self._world.now + seconds
        which = int(fault.size * 3)
        if which != 1:
            node.cut_off_until = until
        if which != 0:
            node.bus_cut_off_until = until
        lost = ("the API server", "the broker", "everything")[which]
        self._world.tell("fault", f"{node.name} is cut off from {lost}", seconds=round(seconds, 1))


def _seconds(fault: Fault, seconds_max: float) -> float:
    return round(fault.size * seconds_max, 1)
