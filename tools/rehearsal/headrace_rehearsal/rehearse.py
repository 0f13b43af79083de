"""One update from its first to its last moment, as the engine would carry it out.

Where the engine would wait for somebody, the rehearsal goes on and notes it: a person promotes
at once, every analysis succeeds at once, the worker of a step plugin is done at once. Experiments
run for their duration. What is left is the least time that the update takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from headrace import intents
from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    CLUSTER_ANALYSIS_TEMPLATES,
    CONFIG_MAPS,
    EXPERIMENTS,
    REPLICA_SETS,
    ROLLOUTS,
    SERVICES,
    Manifest,
)
from headrace.model.quantities import Instant
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import Request
from headrace_rehearsal.manifests import missing, resource_of, step_plugins, version_before
from headrace_rehearsal.world import World, plugin_table

_ROUNDS_MAX: Final = 20_000
_HASH: Final = "rollouts-pod-template-hash"
_ROLES: Final = ("canaryRole", "stableRole")


class NotRehearsed(Exception):
    """The update cannot be rehearsed; the text says why."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happens.

    Attributes:
        seconds: Since the update was applied.
        reason: Of the Kubernetes Event; one word of our own where the rehearsal stands in.
        new: Pods of the new version.
        old: Pods of all others.
        experiment: Pods of Experiments.
        weight: Of the canary, as rendered; None without a router.
        additional: Weight of the Experiments together.
        split: Service -> weight, as rendered; empty without a router.
        selects: Service -> `new` or `old`.
        is_assumed: The rehearsal did it, not the engine.
    """

    seconds: float
    reason: str
    message: str
    new: int
    old: int
    experiment: int
    weight: int | None
    additional: int
    split: Mapping[str, int]
    selects: Mapping[str, str]
    is_assumed: bool = False


@dataclass(slots=True)
class Rehearsal:
    """How an update goes.

    Attributes:
        key: `<namespace>/<name>`.
        moments: In order.
        least_seconds: From the update to its end.
        writes: (verb, kind, name) -> how often.
        made_up: Objects that the files do not have.
        assumed: What the rehearsal stood in for -> how often.
    """

    key: str
    moments: list[Moment] = field(default_factory=list)
    least_seconds: float = 0.0
    writes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    made_up: list[str] = field(default_factory=list)
    assumed: Counter[str] = field(default_factory=Counter)


async def rehearse(manifests: Sequence[Manifest]) -> Rehearsal:
    """Return how an update to the Rollout of these manifests goes.

    Raises:
        NotRehearsed: There is not exactly one Rollout, it is refused, or its update never ends.
    """
    rollouts = [each for each in manifests if resource_of(each) == ROLLOUTS]
    if len(rollouts) != 1:
        raise NotRehearsed(f"there are {len(rollouts)} Rollouts in the files, not one")
    return await _Stage(_placed(rollouts[0]), manifests).play()


def _placed(rollout: Manifest) -> Manifest:
    metadata = rollout.get("metadata") or {}
    if not metadata.get("name"):
        raise NotRehearsed("the Rollout has no name")
    if not rollout.get("spec"):
        raise NotRehearsed("the Rollout has no spec")
    return {**rollout, "metadata": {**metadata, "namespace": metadata.get("namespace", "default")}}


class _Stage:
    """The world of one rehearsal, and the notes about it."""

    def __init__(self, rollout: Manifest, manifests: Sequence[Manifest]) -> None:
        metadata = rollout["metadata"]
        self._rollout, self._manifests = rollout, manifests
        self._notes = Rehearsal(f"{metadata['namespace']}/{metadata['name']}")
        self._world = World(self._notes.key, self)
        self._began: Instant | None = None
        self._told: dict[tuple[Instant, str, str], str] = {}

    async def play(self) -> Rehearsal:
        await self._world.start()
        await self._deploy_version_before()
        await self._run()
        self._began = self._world.clock.now()
        written = len(self._world.writes())
        await self._update()
        await self._run()
        notes = self._notes
        notes.least_seconds = notes.moments[-1].seconds if notes.moments else 0.0
        for request in self._world.writes()[written:]:
            notes.writes[request.verb, request.resource, _name(request)] += 1
        return notes

    async def record(
        self, involved: Manifest, reason: str, message: str, type: str = "Normal"
    ) -> None:
        """Note an Event with what is the case at that moment.

        What an Experiment tells its Rollout as well is noted once.
        """
        await self._note_calls()
        moment = (self._world.clock.now(), str(reason), message)
        if self._told.setdefault(moment, involved["kind"]) == involved["kind"]:
            await self._note(str(reason), message, is_assumed=False)

    async def _deploy_version_before(self) -> None:
        world, namespace = self._world, self._rollout["metadata"]["namespace"]
        made_up = list(missing(self._rollout, self._manifests))
        self._notes.made_up = [f"{each.kind} {body['metadata']['name']}" for each, body in made_up]
        for kind, body in made_up:
            await world.user.create(kind, body)
        for manifest in self._manifests:
            resource = resource_of(manifest)
            if resource is None or resource == ROLLOUTS:
                continue
            metadata = dict(manifest.get("metadata") or {})
            if resource != CLUSTER_ANALYSIS_TEMPLATES:
                metadata["namespace"] = namespace
            body = {**manifest, "apiVersion": resource.api_version, "metadata": metadata}
            await world.user.create(resource, version_before(body))
        plugins = set(step_plugins(self._rollout))
        if plugins:
            await world.user.create(CONFIG_MAPS, plugin_table(plugins))
        await world.user.create(ROLLOUTS, version_before(self._rollout))

    async def _update(self) -> None:
        """Apply the manifests as they are: another pod template, and paused if they say so."""
        world, namespace = self._world, self._rollout["metadata"]["namespace"]
        for manifest in (*self._manifests, self._rollout):
            resource = resource_of(manifest)
            spec = manifest.get("spec") or {}
            changes = {name: spec[name] for name in ("template", "paused") if spec.get(name)}
            if resource is None or not changes:
                continue
            name = manifest["metadata"]["name"]
            stored = await world.user.get(resource, namespace, name)
            await world.user.replace(resource, {**stored, "spec": {**stored["spec"], **changes}})

    async def _run(self) -> None:
        """Let everything happen until the Rollout has nothing left to do."""
        world = self._world
        for _ in range(_ROUNDS_MAX):
            look = await world.look()
            rollout = await world.get()
            self._check(rollout, look.error)
            if await self._stand_in(rollout) or look.has_moved:
                continue
            if await self._is_over(rollout):
                return
            times = (look.wake_at, world.cluster.wake_at())
            due = [at for at in times if at is not None]
            if not due:
                break
            world.advance_to(min(due))
        waiting = _headrace(await world.get()).get("waiting") or {}
        wait = f"{waiting.get('reason', 'nothing')} ({waiting.get('on', '-')})"
        raise NotRehearsed(f"the update does not end: it waits for {wait}")

    def _check(self, rollout: Manifest, error: str) -> None:
        if error:
            raise NotRehearsed(error)
        status = rollout.get("status") or {}
        for condition in status.get("conditions") or ():
            if condition.get("type") == "InvalidSpec":
                raise NotRehearsed(condition["message"])
        if status.get("abort"):
            raise NotRehearsed(f"the update is aborted: {status.get('message', '')}")

    async def _is_over(self, rollout: Manifest) -> bool:
        status = rollout.get("status") or {}
        if status.get("phase") != "Healthy" or status.get("stableRS") != status["currentPodHash"]:
            return False
        return sum(await self._pods()) == (await self._pods())[0]

    # In place of others

    async def _stand_in(self, rollout: Manifest) -> bool:
        """Do what others would do; return whether there was something to do."""
        await self._note_calls()
        if await self._succeed_run() or await self._end_experiment():
            return True
        waiting = _headrace(rollout).get("waiting") or {}
        if waiting.get("reason") in ("Person", "ManualPause"):
            await self._assume("Promote", "a person promotes; without one it stays here", "person")
            await self._world.patch(intents.promote(rollout))
            return True
        return False

    async def _note_calls(self) -> None:
        for plugin in self._world.take_calls():
            text = f"calls worker {plugin}, assumed successful"
            await self._assume("StepPlugin", text, "step plugin")

    async def _succeed_run(self) -> bool:
        for run in await self._world.list(ANALYSIS_RUNS):
            if not (run.get("status") or {}).get("phase"):
                name = run["metadata"]["name"]
                await self._assume("AnalysisRunSuccessful", f"{name} succeeds", "analysis")
                await self._world.set_status(ANALYSIS_RUNS, name, {"phase": "Successful"})
                return True
        return False

    async def _end_experiment(self) -> bool:
        """End an Experiment that would run for ever."""
        for experiment in await self._world.list(EXPERIMENTS):
            spec, status = experiment["spec"], experiment.get("status") or {}
            is_judged = any(each.get("requiredForCompletion") for each in spec.get("analyses", ()))
            is_endless = not spec.get("duration") and not is_judged and not spec.get("terminate")
            if status.get("phase") != "Running" or not is_endless:
                continue
            name = experiment["metadata"]["name"]
            text = f"a person ends {name}; without one it stays here"
            await self._assume("Terminate", text, "experiment")
            body = MergePatch({"spec": {"terminate": True}})
            await self._world.user.patch(EXPERIMENTS, self._world.namespace, name, body)
            return True
        return False

    async def _assume(self, reason: str, message: str, what: str) -> None:
        if self._began is not None:
            self._notes.assumed[what] += 1
        await self._note(reason, message, is_assumed=True)

    # Notes

    async def _note(self, reason: str, message: str, *, is_assumed: bool) -> None:
        if self._began is None:
            return
        new, old, experiment = await self._pods()
        split = await self._world.split()
        route = _headrace(await self._world.get()).get("route")
        services = route["services"] if route else {}
        canary, stable = (split.get(services.get(role) or "", 0) for role in _ROLES)
        self._notes.moments.append(
            Moment(
                seconds=round(self._world.clock.now() - self._began, 3),
                reason=reason,
                message=message,
                new=new,
                old=old,
                experiment=experiment,
                weight=None if route is None else canary,
                additional=sum(split.values()) - canary - stable,
                split=split,
                selects=await self._selects(),
                is_assumed=is_assumed,
            )
        )

    async def _pods(self) -> tuple[int, int, int]:
        """Return how many pods the newest revision, all others and Experiments shall have."""
        sizes = [0, 0, 0]
        sets = await self._world.list(REPLICA_SETS)
        newest = max(map(_revision, sets), default=0)
        for rs in sets:
            revision = _revision(rs)
            place = 2 if revision == 0 else int(revision < newest)
            sizes[place] += int(rs["spec"].get("replicas") or 0)
        return sizes[0], sizes[1], sizes[2]

    async def _selects(self) -> Mapping[str, str]:
        sets = await self._world.list(REPLICA_SETS)
        newest = max(sets, key=_revision)["metadata"]["labels"].get(_HASH) if sets else None
        return {
            service["metadata"]["name"]: "new" if pod_hash == newest else "old"
            for service in await self._world.list(SERVICES)
            if (pod_hash := (service["spec"].get("selector") or {}).get(_HASH))
        }


def _headrace(rollout: Manifest) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (rollout.get("status") or {}).get("headrace") or {}
    return found


def _revision(replica_set: Manifest) -> int:
    """Return the revision of a ReplicaSet, 0 of one that belongs to an Experiment."""
    annotations = replica_set["metadata"].get("annotations") or {}
    return int(annotations.get("rollout.argoproj.io/revision", 0))


def _name(request: Request) -> str:
    if request.name:
        return request.name
    body = request.body if isinstance(request.body, dict) else {}
    return str((body.get("metadata") or {}).get("name", ""))
