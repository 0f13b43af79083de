"""The three services of a world: several replicas of each, and what befalls them."""

from __future__ import annotations

from typing import Final

from analysis_runner.runner import AnalysisRunner
from analysis_runner.settings import RunnerSettings
from headrace.events.topics import Topics, TopicSettings, topics
from headrace.runtime.component import Drivable, Ports
from headrace_sandbox.bus import Broker
from headrace_sandbox.faults import Fault, Kind
from headrace_sandbox.measuring import SimulatedMeasurer, Workload
from headrace_sandbox.nodes import Kin, Looker, Node, Surroundings
from headrace_sandbox.world import World, Write
from rollout_controller.controller import RolloutController
from rollout_controller.settings import ControllerSettings
from traffic_router.router import TrafficRouter
from traffic_router.settings import RouterSettings

_TICK_SECONDS: Final = 1.0
_PARTITION_SECONDS_MAX: Final = 40.0
_OUTAGE_SECONDS_MAX: Final = 60.0

CONTROLLER: Final = ControllerSettings(bus="memory")


class Fleet:
    """All nodes of a world.

    Args:
        world: Where they live.
        looker: Looks on at what they do.
        workload: What the runners measure.
        replicas: Of each service.
    """

    def __init__(self, world: World, looker: Looker, workload: Workload, replicas: int) -> None:
        self._world = world
        self.topics: Topics = topics(TopicSettings(cluster="sandbox", partitions=4))
        self.broker = Broker(world)
        around = Surroundings(world, self.broker, self.topics, looker)

        def runner(ports: Ports, node: Node) -> Drivable:
            return AnalysisRunner(
                ports,
                RunnerSettings(bus="memory"),
                measure=lambda memory, wake: SimulatedMeasurer(
                    (world, node), workload, memory, wake
                ),
            )

        kins = (
            Kin("rollout-controller", lambda ports, _: RolloutController(ports, CONTROLLER)),
            Kin(
                "traffic-router",
                lambda ports, _: TrafficRouter(ports, RouterSettings(bus="memory")),
            ),
            Kin("analysis-runner", runner),
        )
        self.nodes: list[Node] = []
        for kin in kins:
            nodes = [Node(f"{kin.service}-{n}", kin, around) for n in range(replicas)]
            self.broker.register(kin.service, nodes)
            self.nodes += nodes
        world.watch(self)

    def start(self) -> None:
        """Start every node, and let faults befall them."""
        for node in self.nodes:
            node.start()
        self._world.after(_TICK_SECONDS, self._tick)

    def written(self, write: Write) -> None:
        """Let a change come through to every node."""
        for node in self.nodes:
            node.written(write)

    def heal(self) -> None:
        """End all that is under way: outages, partitions, freezes."""
        world = self._world
        world.api_down_until = self.broker.down_until = 0.0
        for node in self.nodes:
            node.cut_off_until = node.bus_cut_off_until = 0.0
            node.frozen_until = 0.0
        self.broker.look()
        self._hand_out()

    def _tick(self) -> None:
        """Once a second: outages and partitions begin, what waits is handed out."""
        strikes, world = self._world.faults.strikes, self._world
        for node in self.nodes:
            if (fault := strikes(Kind.PARTITION, node.name)) is not None:
                self._partition(node, fault)
        if (fault := strikes(Kind.BROKER_OUTAGE, "broker")) is not None:
            self.broker.down_until = world.now + fault.size * _OUTAGE_SECONDS_MAX
            world.tell("fault", "the broker is away", seconds=_seconds(fault, _OUTAGE_SECONDS_MAX))
        if (fault := strikes(Kind.API_OUTAGE, "api")) is not None:
            world.api_down_until = world.now + fault.size * _OUTAGE_SECONDS_MAX
            world.tell("fault", "the API server is away", seconds=_seconds(fault, 60.0))
        self.broker.look()
        self._hand_out()
        world.after(_TICK_SECONDS, self._tick)

    def _partition(self, node: Node, fault: Fault) -> None:
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

    def _hand_out(self) -> None:
        for service in {node.kin.service: None for node in self.nodes}:
            self.broker.hand_out(service)


def _seconds(fault: Fault, seconds_max: float) -> float:
    return round(fault.size * seconds_max, 1)
