"""One run: deploy in calm, storm, heal, settle, be quiet; checkers on all the time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal

from headrace.kubernetes.resources import ANALYSIS_TEMPLATES, HTTP_ROUTES, Manifest
from headrace_sandbox.checkers.all import Checkers
from headrace_sandbox.checkers.violations import Violation
from headrace_sandbox.cores.ring import Cores
from headrace_sandbox.faults import Fault, Kind
from headrace_sandbox.fleet import Fleet
from headrace_sandbox.happenings import Stage, behaviour, value_at
from headrace_sandbox.nodes import drive
from headrace_sandbox.scenario import Expectation, Scenario
from headrace_sandbox.story import Story
from headrace_sandbox.troubles import Cast
from headrace_sandbox.users import Users
from headrace_sandbox.workload import (
    Versions,
    image_of,
    replica_sets,
    roles,
    routes,
    split_of,
    templates,
)
from headrace_sandbox.world import World, WorldSettings, Write

Ring = Literal["shells", "cores"]
"""What plays the three services: their full shells, or their pure cores alone."""

DEPLOY_SECONDS: Final = 120.0
SETTLE_SECONDS: Final = 1800.0
"""Liveness: after the storm every Rollout is at its end within so long."""
DELAYS_SECONDS: Final = 75.0
"""What is planned for later (scale-down delays) is done so long after the end."""
QUIET_SECONDS: Final = 60.0

_TICK_SECONDS: Final = 1.0
_CRASH_SECONDS_MAX: Final = 40.0


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a run.

    Attributes:
        scenario: Its name.
        seed: Where all chance came from.
        violations: What must not have been; empty when all is well.
        struck: Every fault that struck, for playing it again.
        seen: How often which fault, action, row and rule was met.
        seconds: Virtual time that passed.
        steps: Appointments kept.
        story: What happened.
        ring: Who played.
    """

    scenario: str
    seed: int
    violations: tuple[Violation, ...]
    struck: tuple[Fault, ...]
    seen: Counter[str] = field(repr=False)
    seconds: float
    steps: int
    story: Story = field(repr=False)
    ring: Ring = "shells"

    @property
    def is_good(self) -> bool:
        """Whether nothing was violated."""
        return not self.violations


class Simulation:
    """One world on its way through a scenario."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        script: tuple[Fault, ...] | None = None,
        *,
        ring: Ring = "shells",
        is_told: bool = True,
    ) -> None:
        self._scenario = scenario
        self._seed = seed
        self._ring = ring
        script = script if script is not None else scenario.faults
        self.world = World(WorldSettings(seed, scenario.plan, script, is_told))
        self.world.faults.is_over = True  # until the applications are deployed
        self._apps = {each.name: each for each in scenario.applications}
        self.users = Users(self.world, self._apps)
        self.checkers = Checkers(self.world, self._apps)
        self.fleet = self._cast(ring, scenario.replicas)
        self.stage = Stage(self.world, self.fleet, self.users)
        self._rng = self.world.stream("chance")
        self.world.watch(self)

    def run(self) -> Result:
        """Play the scenario to its end, or to the first violation."""
        self._deploy()
        phases = (self._storm, self._settle, self._rest)
        for phase in phases:
            if self.checkers.violations:
                break
            phase()
        return self._result()

    def _cast(self, ring: Ring, replicas: int) -> Cast:
        versions = Versions(self.world)
        if ring == "cores":
            return Cores(self.world, self.checkers, versions)
        fleet = Fleet(self.world, self.checkers, versions, replicas)
        fleet.broker.listen(self.checkers)
        fleet.workers.deploy()
        self.checkers.know(fleet.workers)
        return fleet

    # Phases

    def _deploy(self) -> None:
        """Create everything in calm, and wait for it."""
        world, client = self.world, self.world.cluster.client("deployer")
        for image, raw in self._scenario.behaviours.items():
            world.behave(image, behaviour(raw))
        world.behave("*-slow", behaviour({"ready_seconds": 20}))
        world.behave("*-crash", behaviour("crash"))
        for template in templates():
            drive(client.create(ANALYSIS_TEMPLATES, template))
        for route in routes(self._scenario.applications):
            drive(client.create(HTTP_ROUTES, route))
        for application in self._scenario.applications:
            for resource, manifest in application.others():
                drive(client.create(resource, manifest))
        self.fleet.start()
        for name in self._apps:
            self.users.act(name, "create")
        is_done = world.run(DEPLOY_SECONDS, self._is_stopped_or_settled)
        if not self.checkers.violations:
            self.checkers.require(is_done, "deploys", self._unsettled())

    def _storm(self) -> None:
        world = self.world
        world.tell("scenario", "the story begins")
        world.faults.is_over = False
        for happening in self._scenario.happenings:
            self.stage.plan(happening)
        world.after(_TICK_SECONDS, self._tick)
        world.run(self._scenario.seconds, self._is_stopped)

    def _settle(self) -> None:
        """Heal, let an operator bring everything to its end, and demand that it comes there."""
        world = self.world
        world.tell("scenario", "the storm is over")
        world.faults.is_over = True
        self.fleet.heal()
        world.behave("*-crash", behaviour({"ready_seconds": 1}))
        world.behave("*-slow", behaviour({"ready_seconds": 1}))
        self.users.operate()
        world.run(SETTLE_SECONDS, self._is_stopped_or_settled)
        if not self.checkers.violations:
            self.checkers.require(not self._unsettled(), "settles", self._unsettled())

    def _rest(self) -> None:
        """Nothing is written when nothing is left to do."""
        world = self.world
        # A deadline that the fastest clock wrote may be read by the slowest one.
        skew = self._scenario.plan.clock_skew_seconds_max
        world.run(DELAYS_SECONDS + 2 * skew, self._is_stopped)
        untold = self.stage.untold
        self.checkers.require(not untold, "the story is told", "; ".join(untold))
        for name, expectation in self._scenario.expect.items():
            self._expect(name, expectation)
        world.tell("scenario", "all is settled")
        self.checkers.expect_quiet()
        world.run(QUIET_SECONDS, self._is_stopped)
        self.checkers.at_rest()

    # Chance

    def written(self, write: Write) -> None:
        """Let users act right after a write of Headrace, by chance."""
        if not write.identity.startswith(SERVICES) or write.change.record.resource.plural in _DULL:
            return
        faults = self.world.faults
        for name in self._apps:
            if (fault := faults.strikes(Kind.USER, name)) is not None:
                self.world.after(
                    0.02 * self._rng.random(),
                    partial(self.users.act_by_chance, name, fault.size),
                )

    def _tick(self) -> None:
        faults, world = self.world.faults, self.world
        for name in self._apps:
            if (fault := faults.strikes(Kind.POD_DEATH, name)) is not None:
                self._kill_pod(name, fault)
            if (fault := faults.strikes(Kind.HAND_EDIT, name)) is not None:
                world.tell("fault", "somebody edits the traffic object", rollout=name)
                self.stage.edit_split(name, int(fault.size * 100))
            if (fault := faults.strikes(Kind.POD_SLOW, name)) is not None:
                seconds = round(fault.size * 30, 1)
                world.tell("fault", "new pods are slow", rollout=name, seconds=seconds)
                world.behave(f"{name}:*-good", behaviour({"ready_seconds": seconds}))
            if (fault := faults.strikes(Kind.POD_CRASH, name)) is not None:
                self._crash_pods(name, fault)
        world.after(_TICK_SECONDS, self._tick)

    def _kill_pod(self, name: str, fault: Fault) -> None:
        image = self._victim(name, fault.size)
        if image:
            self.world.tell("fault", "a pod dies", image=image)
            self.stage.kill_pod(image)

    def _crash_pods(self, name: str, fault: Fault) -> None:
        """Let all pods of a version crash for a while; one that crashes anyway goes on."""
        image = self._victim(name, fault.size)
        if not image or image.endswith("-crash"):
            return
        world, seconds = self.world, round(fault.size * 7 % 1 * _CRASH_SECONDS_MAX, 1)
        world.tell("fault", "all pods of a version crash", image=image, seconds=seconds)
        world.behave(image, behaviour("crash"))
        world.after(seconds, partial(world.behave, image, behaviour({"ready_seconds": 1})))

    def _victim(self, name: str, size: float) -> str:
        """Return the image of the version that a number chooses, "" where there is none."""
        rollout = self.users.rollout(name)
        uid = rollout["metadata"]["uid"] if rollout is not None else ""
        found = [*replica_sets(self.world.objects, uid).values()]
        return image_of(found[int(size * len(found)) % len(found)].manifest) if found else ""

    # The end

    def _is_stopped(self) -> bool:
        return bool(self.checkers.violations)

    def _is_stopped_or_settled(self) -> bool:
        return bool(self.checkers.violations) or not self._unsettled()

    def _unsettled(self) -> str:
        """Return what is not at its end, empty when all is."""
        for name in self._apps:
            rollout = self.users.rollout(name)
            if rollout is None:
                return f"{name} does not exist"
            if (why := _unsettled(rollout)) != "":
                return f"{name} {why}"
        return ""

    def _expect(self, name: str, expectation: Expectation) -> None:
        rollout = self.users.rollout(name)
        assert rollout is not None
        status = rollout["status"]
        found: dict[str, object] = {}
        wanted: dict[str, object] = {}
        if expectation.phase is not None:
            wanted["phase"], found["phase"] = expectation.phase, status.get("phase")
        if expectation.image is not None:
            stable = replica_sets(self.world.objects, rollout["metadata"]["uid"]).get(
                status.get("stableRS", "")
            )
            wanted["image"] = expectation.image
            found["image"] = image_of(stable.manifest) if stable is not None else None
        if expectation.weight is not None:
            split = split_of(self.world.objects, rollout)
            service, _ = roles(rollout)
            wanted["weight"] = expectation.weight
            found["weight"] = split[1].get(service) if split is not None else None
        for path, value in expectation.fields.items():
            wanted[path], found[path] = value, value_at(rollout, path)
        self.checkers.require(found == wanted, "ends as told", f"{name}: {found}, not {wanted}")

    def _result(self) -> Result:
        world = self.world
        seen: Counter[str] = Counter()
        seen.update({f"fault {kind}": count for kind, count in world.faults.counts().items()})
        if self._scenario.plan.clock_skew_seconds_max:
            seen[CLOCK_SKEW] = len(self.fleet.nodes)
        seen.update({f"action {name}": count for name, count in self.users.done.items()})
        seen.update(self.checkers.seen)
        return Result(
            self._scenario.name,
            self._seed,
            tuple(self.checkers.violations),
            tuple(world.faults.struck),
            seen,
            world.now - world.began,
            world.steps,
            world.story,
            self._ring,
        )


CLOCK_SKEW: Final = "fault clock-skew"
"""The clock of a process is wrong by so much that it matters; it is from its beginning."""

SERVICES: Final = ("rollout-controller", "traffic-router", "analysis-runner")
_DULL: Final = ("leases", "events")


def _unsettled(rollout: Manifest) -> str:
    """Return why a Rollout is not at its end, empty when it is."""
    status = rollout.get("status") or {}
    headrace = status.get("headrace") or {}
    if status.get("observedGeneration") != str(rollout["metadata"]["generation"]):
        return f"has not seen generation {rollout['metadata']['generation']}"
    phase = status.get("phase")
    is_aborted = phase == "Degraded" and bool(status.get("abort"))
    if phase != "Healthy" and not is_aborted:
        return f"is {phase}: {status.get('message')}, {headrace.get('waiting')}"
    if rollout["spec"].get("restartAt") != status.get("restartedAt"):
        return "is restarting"
    route, known = headrace.get("route"), headrace.get("acknowledged") or {}
    if route and known.get("epoch") != route["epoch"]:
        return f"waits for epoch {route['epoch']}"
    return ""
