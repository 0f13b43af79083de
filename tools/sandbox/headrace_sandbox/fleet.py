"""The three services of a world: several replicas of each, and what befalls them."""

from __future__ import annotations

from typing import Final

from analysis_runner.runner import AnalysisRunner
from analysis_runner.settings import RunnerSettings
from headrace.events.topics import Topics, TopicSettings, topics
from headrace.runtime.component import Drivable, Ports
from headrace_sandbox.bus import Broker
from headrace_sandbox.looking import Looker
from headrace_sandbox.measuring import SimulatedMeasurer, Workload
from headrace_sandbox.nodes import Kin, Node, Surroundings
from headrace_sandbox.plugins import PluginWorkers, SimulatedPosts
from headrace_sandbox.troubles import Troubles
from headrace_sandbox.world import World, Write
from rollout_controller.controller import RolloutController
from rollout_controller.settings import ControllerSettings
from traffic_router.router import TrafficRouter
from traffic_router.settings import RouterSettings

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
        self.topics: Topics = topics(TopicSettings(cluster="sandbox", partitions=4))
        self.broker = Broker(world)
        self.workers = PluginWorkers(world, self.broker, self.topics)
        around = Surroundings(world, self.broker, self.topics, looker)

        def runner(ports: Ports, node: Node) -> Drivable:
            return AnalysisRunner(
                ports,
                RunnerSettings(bus="memory"),
                measure=lambda memory, wake: SimulatedMeasurer(
                    (world, node), workload, memory, wake
                ),
            )

        def controller(ports: Ports, node: Node) -> Drivable:
            posts = SimulatedPosts(world, node, self.workers)
            return RolloutController(ports, CONTROLLER, posts)

        kins = (
            Kin("rollout-controller", controller),
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
        self._troubles = Troubles(world, self.nodes, self.broker)
        world.watch(self)

    def start(self) -> None:
        """Start every node, and let faults befall them."""
        for node in self.nodes:
            node.start()
        self._troubles.begin()

    def written(self, write: Write) -> None:
        """Let a change come through to every node."""
        for node in self.nodes:
            node.written(write)

    def heal(self) -> None:
        """End all that is under way: outages, partitions, freezes."""
        self._troubles.heal()
