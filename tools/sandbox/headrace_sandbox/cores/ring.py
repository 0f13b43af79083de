"""The three cores of a world, one process of each, and what befalls them."""

from __future__ import annotations

from typing import Final

from headrace_sandbox.cores import controller, router, runner
from headrace_sandbox.cores.post import Post
from headrace_sandbox.cores.process import Part, Process, Surroundings
from headrace_sandbox.looking import Looker
from headrace_sandbox.measuring import Workload
from headrace_sandbox.troubles import Troubles
from headrace_sandbox.world import World, Write

_SERVICES: Final = ("rollout-controller", "traffic-router", "analysis-runner")


class Cores:
    """All processes of a world.

    Attributes:
        nodes: One of each service.
        broker: What carries their messages.
    """

    def __init__(self, world: World, looker: Looker, workload: Workload) -> None:
        self.broker = Post(world)
        around = Surroundings(world, self.broker, looker)
        parts = (
            Part("rollout-controller", controller.KINDS, controller.ControllerCore),
            Part("traffic-router", router.KINDS, lambda each: router.RouterCore(each, looker)),
            Part("analysis-runner", runner.KINDS, lambda each: runner.RunnerCore(each, workload)),
        )
        self.nodes = [Process(part, around) for part in parts]
        self.broker.register({each.service: each for each in self.nodes})
        self._troubles = Troubles(world, self.nodes, self.broker)
        world.watch(self)

    def start(self) -> None:
        """Start every process, and let faults befall them."""
        for node in self.nodes:
            node.start()
        self._troubles.begin()

    def written(self, write: Write) -> None:
        """Let a change be seen by every process."""
        for node in self.nodes:
            node.written(write)

    def heal(self) -> None:
        """End all that is under way."""
        self._troubles.heal()
