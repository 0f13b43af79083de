"""How many rollouts both rings of the simulator play in a second of one core.

A rollout is the benchmark's canary (one replica, setWeight 10, pause, setWeight 33, pause), from
the new image to its promotion, with all checkers on. Several follow each other in one history, far
enough apart that the old pods are gone. Only processor time counts, so that others on the same
machine disturb little.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from typing import Any

from headrace.kubernetes.resources import ROLLOUTS, Manifest
from headrace_sandbox.faults import NONE, STORM, FaultPlan
from headrace_sandbox.running import be_quiet
from headrace_sandbox.scenario import Happening, Scenario
from headrace_sandbox.simulation import Ring, Simulation
from headrace_sandbox.users import USER
from headrace_sandbox.workload import Application
from headrace_sandbox.world import Write

NAME = "app"
STEPS: tuple[dict[str, Any], ...] = (
    {"setWeight": 10},
    {"pause": {}},
    {"setWeight": 33},
    {"pause": {}},
)
APART_SECONDS = 45.0
PERSON_SECONDS = 0.2
AIMS: dict[Ring, float] = {"cores": 100.0, "shells": 15.0}
FAULTS: dict[str, FaultPlan] = {"calm": NONE, "faults": STORM.with_ratios({"user_ratio": 0.0})}


@dataclass(slots=True)
class Releases:
    """The person who releases one version after the other, and the watch on what they cost.

    Attributes:
        done: How many were promoted.
        seconds: Processor time from the new images to the promotions.
    """

    simulation: Simulation
    done: int = 0
    seconds: float = 0.0
    began: float | None = None
    promoting: str = ""

    def written(self, write: Write) -> None:
        """Promote what pauses; note what is promoted, and release the next one later."""
        new, old = write.change.new, write.change.old
        if new is None or new.resource.plural != ROLLOUTS.plural:
            return
        if (
            write.identity == USER
            and old is not None
            and new.manifest["spec"] != old.manifest["spec"]
        ):
            self.began = time.process_time()
        if self.began is None:
            return
        status: Manifest = new.manifest.get("status") or {}
        if status.get("pauseConditions"):
            pause = f"{status['currentPodHash']}/{status['currentStepIndex']}"
            if pause != self.promoting:
                self.promoting = pause
                self.simulation.world.after(PERSON_SECONDS, self._promote)
        elif self._is_promoted(new.manifest, status):
            self.seconds += time.process_time() - self.began
            self.began = None
            self.done += 1
            self.simulation.world.after(APART_SECONDS, self._release)

    def _is_promoted(self, rollout: Manifest, status: Manifest) -> bool:
        is_observed = status.get("observedGeneration") == str(rollout["metadata"]["generation"])
        is_stable = status.get("stableRS") == status.get("currentPodHash")
        return is_observed and is_stable and status.get("phase") == "Healthy"

    def _promote(self) -> None:
        self.simulation.users.act(NAME, "promote")

    def _release(self) -> None:
        if not self.simulation.world.faults.is_over:  # else the story is over
            self.simulation.users.act(NAME, "set-image", "good")


def play(ring: Ring, plan: FaultPlan, *, seed: int, releases: int) -> Releases:
    """Play one history. Raises AssertionError when a rule was violated."""
    seconds = releases * (APART_SECONDS + 10.0)
    application = Application(NAME, steps=STEPS)
    scenario = Scenario(
        "bench",
        applications=(application,),
        plan=plan,
        happenings=(Happening("set-image", NAME, "good", at=1.0),),
        seconds=seconds,
        replicas=1,
    )
    simulation = Simulation(scenario, seed, ring=ring, is_told=False)
    found = Releases(simulation)
    simulation.world.watch(found)
    result = simulation.run()
    assert result.is_good, (ring, seed, result.violations)
    return found


def main() -> int:
    """Measure; 1 when an aim is missed and that counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=6)
    parser.add_argument("--releases", type=int, default=8, help="in one history")
    parser.add_argument("--strict", action="store_true", help="fail when an aim is missed")
    arguments = parser.parse_args()
    be_quiet()
    missed = False
    for ring in ("cores", "shells"):
        for name, plan in FAULTS.items():
            done, seconds, began = 0, 0.0, time.process_time()
            for seed in range(1, arguments.histories + 1):
                found = play(ring, plan, seed=seed, releases=arguments.releases)
                done, seconds = done + found.done, seconds + found.seconds
            whole = time.process_time() - began
            missed |= done / seconds < AIMS[ring]
            sys.stdout.write(
                f"{ring:<7} {name:<7} {done / seconds:7.1f} rollouts/s from image to promotion, "
                f"{done / whole:6.1f} with deployment, delays and rest (aim {AIMS[ring]:g})\n"
            )
    return 1 if missed and arguments.strict else 0


if __name__ == "__main__":
    sys.exit(main())
