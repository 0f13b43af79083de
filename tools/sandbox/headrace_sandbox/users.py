"""Users: what they do, with the patches of the existing plugin, and when it hurts most.

By chance they act right after a write of Headrace, so that their patch lands between two effects
of one pass; every other time they do what hurts most in the state that they see (`moments.py`).
After the storm an operator brings every Rollout to its end: promotes what is paused
and lets go what was held by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Final

from headrace import intents
from headrace.errors import Conflict, InvalidSpec, NotFound
from headrace.intents import Patches
from headrace.kubernetes.resources import (
    DEPLOYMENTS,
    EXPERIMENTS,
    REPLICA_SETS,
    ROLLOUTS,
    Manifest,
    Resource,
)
from headrace.model.quantities import Instant
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import MemoryClient
from headrace.runtime.cluster_memory.objects import Record
from headrace_sandbox.edits import EDITS, NUMBERS, Edit, Edits
from headrace_sandbox.moments import View, deeds_now
from headrace_sandbox.nodes import drive
from headrace_sandbox.turns import TURNS, Turn, Turns
from headrace_sandbox.workload import NAMESPACE, Application, image_of, replica_sets
from headrace_sandbox.world import World

USER: Final = "user"
STRANGER: Final = "stranger"
CHARACTERS: Final = ("good", "good", "bad", "slow", "crash")
_OPERATOR_SECONDS: Final = 5.0
_AIMED_RATIO: Final = 0.5
"""How often users look first."""

_SHRINK: Final = 4
_NO_END: Final = 5
_NO_DELAY: Final = 6
_OTHER_TEMPLATE: Final = 7
"""Numbers by which a person does something else to an Experiment than to scale it."""


class Users:
    """Everybody who may patch the Rollouts of a world.

    Attributes:
        done: How often which action was done.
        edits: A person who edits more than versions.
        turns: A person who makes another kind of Rollout of one.
    """

    def __init__(self, world: World, applications: Mapping[str, Application]) -> None:
        self._world = world
        self._applications = applications
        self._client: MemoryClient = world.cluster.client(USER)
        self._versions: Counter[str] = Counter()
        self.edits = Edits(world, self._client, applications)
        self.turns = Turns(world, self._client, applications)
        self.done: Counter[str] = Counter()

    def act(self, name: str, action: str, argument: Any = None) -> None:
        """Do something to a Rollout; one that is gone, or that refuses, is left alone."""
        rollout = self.rollout(name)
        if rollout is None and action != "create":
            return
        self._world.tell(
            USER, action, rollout=name, **({} if argument is None else {"to": argument})
        )
        try:
            ACTIONS[action](self, name, rollout or {}, argument)
        except (InvalidSpec, Conflict, NotFound):
            return
        self.done[action] += 1

    def act_by_chance(self, name: str, size: float) -> None:
        """Do what a number between 0 and 1 chooses."""
        rng = Random(size)
        rollout = self.rollout(name)
        deeds = deeds_now(View(rollout, self._world.objects)) if rollout is not None else []
        if deeds and rng.random() < _AIMED_RATIO:
            self.act(name, *rng.choice(deeds))
            return
        action = rng.choice(BY_CHANCE)
        argument: Any = None
        if action in ("scale", "apply", "scale-set"):
            argument = rng.randint(0, 5)
        elif action == "edit-experiment":
            argument = rng.randint(0, _OTHER_TEMPLATE)
        elif action == "set-image":
            argument = rng.choice(CHARACTERS)
        elif action in EDITS or action in TURNS:
            argument = rng.randrange(NUMBERS)
        self.act(name, action, argument)

    def rollout(self, name: str) -> Manifest | None:
        """Return a Rollout as it is."""
        record = self._world.objects.find(ROLLOUTS, NAMESPACE, name)
        return record.copy() if record is not None else None

    def operate(self) -> None:
        """From now on, bring every Rollout to its end."""
        for name in self._applications:
            self._unblock(name)
        self._world.after(_OPERATOR_SECONDS, self.operate)

    def _unblock(self, name: str) -> None:
        rollout = self.rollout(name)
        if rollout is None:
            return
        status = rollout.get("status") or {}
        if rollout["spec"].get("paused"):
            self.act(name, "resume")
        elif (
            status.get("pauseConditions")
            and status.get("controllerPause")
            and not _is_timed(rollout, status)
        ):
            self.act(name, "promote")
        self._end_endless(name, rollout)

    def _end_endless(self, name: str, rollout: Manifest) -> None:
        """End an Experiment that nothing else would end."""
        current = ((rollout.get("status") or {}).get("canary") or {}).get("currentExperiment")
        record = self._world.objects.find(EXPERIMENTS, NAMESPACE, current or "")
        spec = record.manifest["spec"] if record is not None else {"terminate": True}
        is_endless = spec.get("duration", "soon") == "soon" and not spec.get("analyses")
        if is_endless and not spec.get("terminate"):
            self.act(name, "end-experiment")

    # Patches

    def send(self, name: str, patches: Patches) -> None:
        """Send the patches of a command as the plugin does: status first."""
        if patches.status is not None:
            body = MergePatch({"status": patches.status})
            drive(self._client.patch(ROLLOUTS, NAMESPACE, name, body, subresource="status"))
        if patches.spec is not None:
            self.patch(name, {"spec": patches.spec})

    def patch(self, name: str, body: Mapping[str, Any]) -> None:
        """Send one merge patch."""
        drive(self._client.patch(ROLLOUTS, NAMESPACE, name, MergePatch(body)))

    def set_image(self, name: str, rollout: Manifest, character: Any) -> None:
        """Deploy a version that was never there, or one by its full image."""
        text = str(character or "good")
        if ":" in text:
            image = text
        else:
            self._versions[name] += 1
            image = f"{name}:v{self._versions[name] + 1}-{text}"
        source = self._source(name, rollout)
        containers = source.manifest["spec"]["template"]["spec"]["containers"]
        changed = [{**containers[0], "image": image}, *containers[1:]]
        self._give(source, {"template": {"spec": {"containers": changed}}})

    def _source(self, name: str, rollout: Manifest) -> _Source:
        """Return the object that holds the pod template of a Rollout."""
        reference = rollout["spec"].get("workloadRef")
        if reference is None:
            return _Source(ROLLOUTS, rollout)
        record = self._world.objects.find(DEPLOYMENTS, NAMESPACE, reference["name"])
        if record is None:
            raise NotFound(f"deployments {reference['name']}")
        return _Source(DEPLOYMENTS, record.copy())

    def _give(self, source: _Source, spec: Mapping[str, Any]) -> None:
        name = source.manifest["metadata"]["name"]
        drive(self._client.patch(source.resource, NAMESPACE, name, MergePatch({"spec": spec})))

    def undo(self, name: str, rollout: Manifest, revision: Any) -> None:
        """Go back to an earlier revision."""
        found = [record.copy() for record in self._world.objects.all(REPLICA_SETS)]
        target = intents.undo_target(rollout, found, int(revision or 0))
        self._give(self._source(name, rollout), {"template": intents.restored_template(target)})

    def revive(self, name: str, rollout: Manifest) -> None:
        """Go back to a version that is on its way out, and has pods. Raises NotFound: none has."""
        status = rollout.get("status") or {}
        kept = (status.get("currentPodHash"), status.get("stableRS"))
        found = [
            record
            for pod_hash, record in self._sets(rollout).items()
            if pod_hash not in kept and record.manifest["spec"].get("replicas", 1)
        ]
        if not found:
            raise NotFound("no old version with pods")
        self.set_image(name, rollout, image_of(found[-1].manifest))

    def scale_set(self, rollout: Manifest, size: int) -> None:
        """Scale a ReplicaSet up by hand, past the Rollout. Raises NotFound: it has none."""
        found = [*self._sets(rollout).values()]
        if not found:
            raise NotFound("no ReplicaSet")
        record = found[size % len(found)]
        body = MergePatch({"spec": {"replicas": int(record.manifest["spec"]["replicas"]) + 1}})
        drive(self._client.patch(REPLICA_SETS, NAMESPACE, record.name, body))

    def _sets(self, rollout: Manifest) -> dict[str, Record]:
        return replica_sets(self._world.objects, rollout["metadata"]["uid"])

    def edit_steps(self, name: str, rollout: Manifest, steps: Any) -> None:
        """Give the canary other steps: the given ones, or the same with one more weight.

        Raises:
            InvalidSpec: It is no canary.
        """
        if "canary" not in rollout["spec"]["strategy"]:
            raise InvalidSpec("no canary")
        old = (rollout["spec"]["strategy"].get("canary") or {}).get("steps") or []
        new = steps if steps is not None else [{"setWeight": 5 + 5 * (len(old) % 4)}, *old[:6]]
        self.patch(name, {"spec": {"strategy": {"canary": {"steps": new}}}})

    def apply(self, name: str, rollout: Manifest, count: int) -> None:
        """Apply a manifest with another version and another number of pods."""
        if rollout["spec"].get("workloadRef") is not None:
            self.patch(name, {"spec": {"replicas": count}})
            self.set_image(name, rollout, "good")
            return
        self._versions[name] += 1
        (container,) = rollout["spec"]["template"]["spec"]["containers"]
        changed = [{**container, "image": f"{name}:v{self._versions[name] + 1}-good"}]
        template = {"spec": {"containers": changed}}
        self.patch(name, {"spec": {"replicas": count, "template": template}})

    def delete_stable(self, rollout: Manifest) -> None:
        """Delete the stable ReplicaSet. Raises NotFound."""
        record = self._sets(rollout).get((rollout.get("status") or {}).get("stableRS", ""))
        if record is None:
            raise NotFound("no stable ReplicaSet")
        drive(self._client.delete(REPLICA_SETS, NAMESPACE, record.name))

    def end_experiment(self, rollout: Manifest) -> None:
        """Ask the current, else the newest Experiment of a Rollout to end. Raises NotFound."""
        name = self._experiment(rollout)
        body = MergePatch({"spec": {"terminate": True}})
        drive(self._client.patch(EXPERIMENTS, NAMESPACE, name, body))

    def retry_experiment(self, rollout: Manifest) -> None:
        """Let the current, else the newest Experiment begin from scratch. Raises NotFound."""
        name = self._experiment(rollout)
        drive(self._client.patch(EXPERIMENTS, NAMESPACE, name, MergePatch({"status": None})))

    def edit_experiment(self, rollout: Manifest, number: int) -> None:
        """Scale the current, else the newest Experiment, or edit it otherwise. Raises NotFound."""
        name = self._experiment(rollout)
        found = self._world.objects.get(EXPERIMENTS, NAMESPACE, name).copy()
        first, *others = found["spec"]["templates"]
        spec: dict[str, Any] = {"templates": [{**first, "replicas": number}, *others]}
        if number == _SHRINK:
            spec = {"templates": [first]}
        elif number == _NO_END:
            spec = {"duration": "soon"}
        elif number == _NO_DELAY:
            spec = {"scaleDownDelaySeconds": 0}
        elif number == _OTHER_TEMPLATE:
            first["template"]["metadata"].setdefault("labels", {})["edited"] = "yes"
            spec = {"templates": [first, *others]}
        drive(self._client.patch(EXPERIMENTS, NAMESPACE, name, MergePatch({"spec": spec})))

    def _experiment(self, rollout: Manifest) -> str:
        found = [
            record
            for record in self._world.objects.dependents(rollout["metadata"]["uid"])
            if record.resource.plural == EXPERIMENTS.plural and not record.is_terminating
        ]
        if not found:
            raise NotFound("no experiment")
        current = ((rollout.get("status") or {}).get("canary") or {}).get("currentExperiment")
        if current in {record.name for record in found}:
            return str(current)
        return max(found, key=lambda record: str(record.metadata["creationTimestamp"])).name

    def create(self, name: str) -> None:
        """Create the Rollout of an application."""
        application = self._applications[name]
        drive(self._client.create(ROLLOUTS, application.rollout(f"{name}:v1-good")))

    def recreate(self, name: str, rollout: Manifest, *, is_routed: bool) -> None:
        """Delete a Rollout, and create it again soon, maybe without its router."""
        drive(self._client.delete(ROLLOUTS, NAMESPACE, name))
        image = image_of(self._source(name, rollout).manifest)

        def again() -> None:
            manifest = self._applications[name].rollout(image)
            if not is_routed:
                manifest["spec"]["strategy"]["canary"].pop("trafficRouting", None)
            if self.rollout(name) is None:
                drive(self._client.create(ROLLOUTS, manifest))

        self._world.after(3.0, again)


@dataclass(frozen=True, slots=True)
class _Source:
    """What holds a pod template."""

    resource: Resource
    manifest: Manifest


def _is_timed(rollout: Manifest, status: Mapping[str, Any]) -> bool:
    """Return whether a pause ends by itself."""
    if any(each["reason"].startswith("Inconclusive") for each in status["pauseConditions"]):
        return False
    blue_green = rollout["spec"]["strategy"].get("blueGreen")
    if blue_green is not None:
        is_automatic = blue_green.get("autoPromotionEnabled") is not False
        return is_automatic and bool(blue_green.get("autoPromotionSeconds"))
    steps = (rollout["spec"]["strategy"].get("canary") or {}).get("steps") or []
    index = int(status.get("currentStepIndex") or 0)
    step = steps[index] if index < len(steps) else {}
    return bool((step.get("pause") or {}).get("duration"))


def _edit(edit: Edit, users: Users, name: str, rollout: Manifest, number: Any) -> None:
    edit(users.edits, rollout, int(number or 0))


def _turn(turn: Turn, users: Users, name: str, rollout: Manifest, number: Any) -> None:
    turn(users.turns, rollout, int(number or 0))


Action = Callable[[Users, str, Manifest, Any], None]

ACTIONS: Final[Mapping[str, Action]] = {
    "create": lambda users, name, rollout, _: users.create(name),
    "set-image": lambda users, name, rollout, image: users.set_image(name, rollout, image),
    "promote": lambda users, name, rollout, _: users.send(name, intents.promote(rollout)),
    "promote-full": lambda users, name, rollout, _: users.send(
        name, intents.promote(rollout, full=True)
    ),
    "skip": lambda users, name, rollout, _: users.send(name, intents.skip_current_step(rollout)),
    "skip-all": lambda users, name, rollout, _: users.send(name, intents.skip_all_steps(rollout)),
    "abort": lambda users, name, rollout, _: users.send(name, intents.ABORT),
    "retry": lambda users, name, rollout, _: users.send(name, intents.RETRY),
    "pause": lambda users, name, rollout, _: users.send(name, intents.PAUSE),
    "resume": lambda users, name, rollout, _: users.send(name, intents.RESUME),
    "scale": lambda users, name, rollout, count: users.patch(
        name, {"spec": {"replicas": int(count)}}
    ),
    "restart": lambda users, name, rollout, _: users.send(
        name, intents.restart(Instant(users._world.now))
    ),
    "undo": lambda users, name, rollout, revision: users.undo(name, rollout, revision),
    "edit-steps": lambda users, name, rollout, steps: users.edit_steps(name, rollout, steps),
    "recreate": lambda users, name, rollout, how: users.recreate(
        name, rollout, is_routed=how != "without-router"
    ),
    "patch": lambda users, name, rollout, body: users.patch(name, body),
    "end-experiment": lambda users, name, rollout, _: users.end_experiment(rollout),
    "retry-experiment": lambda users, name, rollout, _: users.retry_experiment(rollout),
    "edit-experiment": lambda users, name, rollout, number: users.edit_experiment(
        rollout, int(number)
    ),
    "apply": lambda users, name, rollout, count: users.apply(name, rollout, int(count)),
    "revive": lambda users, name, rollout, _: users.revive(name, rollout),
    "scale-set": lambda users, name, rollout, size: users.scale_set(rollout, int(size or 0)),
    "delete-stable": lambda users, name, rollout, _: users.delete_stable(rollout),
    **{name: partial(_edit, edit) for name, edit in EDITS.items()},
    **{name: partial(_turn, turn) for name, turn in TURNS.items()},
}

BY_CHANCE: Final = (
    *("promote",) * 6,
    *("set-image",) * 5,
    *("abort",) * 4,
    *("retry",) * 3,
    *("promote-full",) * 2,
    *("undo",) * 2,
    *("scale",) * 2,
    "skip",
    "skip-all",
    "pause",
    "resume",
    "restart",
    "edit-steps",
    "recreate",
    "end-experiment",
    "retry-experiment",
    "edit-experiment",
    "apply",
    "delete-stable",
    "scale-set",
    *EDITS,
    *TURNS,
)
