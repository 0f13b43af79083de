"""Commands of the bus: checked against what their sender saw, then written as a person would.

A command becomes the same patch that the command line sends, under a resourceVersion, and is
answered in the history of the Rollout. A redelivered one is known by its id and does nothing.

Source: architecture, "Commands".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import structlog

from headrace import intents
from headrace.errors import Forbidden, InvalidSpec, NotFound, Rejected
from headrace.events.commands import Action, CommandTarget, RolloutCommanded, refusal
from headrace.events.envelope import Event
from headrace.intents import Patches
from headrace.kubernetes.patches import merge_diff
from headrace.kubernetes.resources import ROLLOUTS, Manifest
from headrace.model.conditions import Reason
from headrace.model.headrace_status import HeadraceStatus, Transition
from headrace.model.meta import format_micro_time
from headrace.model.quantities import Instant
from headrace.runtime.clock import Clock
from headrace.runtime.cluster import Cluster, MergePatch
from rollout_controller.caches import Caches, Facts
from rollout_controller.core import labels
from rollout_controller.core.status.history import HISTORY_LENGTH

log = structlog.get_logger(__name__)

COMMANDS_KEPT = 10


class CommandHandler:
    """Applies commands.

    Args:
        guard: Returns the port for the writes of a key.
        caches: For the Rollout as it is known.
        facts: Told the command as the cause of what follows.
        clock: For expiry, corrected by the API server's.
    """

    def __init__(
        self, guard: Callable[[str], Cluster], caches: Caches, facts: Facts, clock: Clock
    ) -> None:
        self._guard = guard
        self._caches = caches
        self._facts = facts
        self._clock = clock

    async def handle(self, event: Event, command: RolloutCommanded) -> None:
        """Apply or refuse one command, and write the answer into the history.

        What the API server refuses of it is its answer, too.

        Raises:
            Conflict: The Rollout changed meanwhile; the command is looked at again.
        """
        rollout = self._caches.rollouts.get(command.namespace, command.rollout)
        if rollout is None:
            log.info("command for an unknown Rollout", key=command.key, command=command.command)
            return
        headrace = _headrace(rollout)
        if any(item.command == command.command for item in headrace.history):
            return  # answered before
        now = self._clock.now()
        why = refusal(command, _target(rollout, headrace), now=self._server_time(command.key, now))
        patches = Patches()
        if why is None:
            try:
                patches = self._patches(rollout, command, now)
            except InvalidSpec as error:
                why = str(error)
        is_begun = _is_begun(rollout, command)
        if is_begun:  # what is left is the status, as far as that is still what was meant
            patches = replace(patches, spec=None)
        was_applied = is_begun or command.command in headrace.commands
        answer = _answer(rollout, headrace, event, None if was_applied else why, now)
        if why is None:
            self._facts.causes[command.uid] = (event.id, event.actor)
        try:
            await self._write(rollout, headrace, patches, answer, command.command)
        except NotFound:
            log.info("command for a Rollout that is gone", key=command.key, command=command.command)
        except (Forbidden, Rejected) as error:
            if patches == Patches():
                raise  # the answer itself is refused
            refused = _answer(rollout, headrace, event, str(error), now)
            await self._write(rollout, headrace, Patches(), refused, command.command)

    def _server_time(self, key: str, now: Instant) -> Instant:
        """Return the time of the API server, which senders know, too."""
        return Instant(now + (self._guard(key).server_offset_seconds() or 0.0))

    def _patches(self, rollout: Manifest, command: RolloutCommanded, now: Instant) -> Patches:
        arguments, action = command.arguments, Action(command.action)
        if action in (Action.SET_IMAGE, Action.UNDO) and rollout["spec"].get("workloadRef"):
            raise InvalidSpec("the Rollout has its template from another object: change that")
        match action:
            case Action.PROMOTE:
                return intents.promote(rollout)
            case Action.PROMOTE_FULL:
                return intents.promote(rollout, full=True)
            case Action.SKIP:
                return intents.skip_current_step(rollout)
            case Action.SKIP_ALL:
                return intents.skip_all_steps(rollout)
            case Action.ABORT:
                return intents.ABORT
            case Action.RETRY:
                return intents.RETRY
            case Action.PAUSE:
                return intents.PAUSE
            case Action.RESUME:
                return intents.RESUME
            case Action.RESTART:
                return intents.restart(arguments.restart_at or now)
            case Action.SET_IMAGE:
                if not arguments.image:
                    raise InvalidSpec("setImage needs an image")
                changed = intents.with_image(rollout, arguments.container or "*", arguments.image)
                return Patches(spec={"template": changed["spec"]["template"]})
            case Action.UNDO:
                return self._undo(rollout, arguments.to_revision or 0)

    def _undo(self, rollout: Manifest, to_revision: int) -> Patches:
        sets = self._caches.replica_sets.by_index("owner", rollout["metadata"]["uid"])
        target = intents.undo_target(rollout, sets, to_revision)
        wanted = intents.restored_template(target)
        return Patches(spec=merge_diff(rollout["spec"], {**rollout["spec"], "template": wanted}))

    async def _write(
        self,
        rollout: Manifest,
        headrace: HeadraceStatus,
        patches: Patches,
        answer: Transition,
        command: str,
    ) -> None:
        metadata = rollout["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        cluster = self._guard(f"{namespace}/{name}")
        version = metadata["resourceVersion"]
        if patches.spec:
            body: dict[str, Any] = {
                "metadata": {
                    "resourceVersion": version,
                    "annotations": {labels.COMMAND: command},
                },
                "spec": patches.spec,
            }
            stored = await cluster.patch(ROLLOUTS, namespace, name, MergePatch(body))
            version = stored["metadata"]["resourceVersion"]
        is_applied = answer.type == _type("accepted")
        after = headrace.model_copy(
            update={
                "history": (*headrace.history, answer)[-HISTORY_LENGTH:],
                "commands": (*headrace.commands, command)[-COMMANDS_KEPT:]
                if is_applied
                else headrace.commands,
            }
        )
        changes = {
            **(patches.status or {}),
            "headrace": merge_diff(headrace.dump(), after.dump()),
        }
        patch = MergePatch({"metadata": {"resourceVersion": version}, "status": changes})
        await cluster.patch(ROLLOUTS, namespace, name, patch, subresource="status")


def _type(answer: str) -> str:
    return f"headrace.command.{answer}.v1"


def _answer(
    rollout: Manifest, headrace: HeadraceStatus, event: Event, why: str | None, now: Instant
) -> Transition:
    command = event.payload
    assert isinstance(command, RolloutCommanded)
    metadata = rollout["metadata"]
    return Transition(
        ordinal=headrace.history[-1].ordinal + 1 if headrace.history else 1,
        at=format_micro_time(now),
        type=_type("accepted" if why is None else "rejected"),
        epoch=headrace.epoch,
        reason=Reason.RECONCILIATION_ERROR if why else "CommandAccepted",
        message=why or f"{command.action} applied",
        causation=event.id,
        actor=event.actor,
        generation=int(metadata.get("generation") or 0),
        revision=(metadata.get("annotations") or {}).get(labels.REVISION, ""),
        pod_hash=str((rollout.get("status") or {}).get("currentPodHash", "")),
        command=command.command,
    )


def _target(rollout: Manifest, headrace: HeadraceStatus) -> CommandTarget:
    status = rollout.get("status") or {}
    return CommandTarget(
        uid=rollout["metadata"]["uid"],
        current_pod_hash=str(status.get("currentPodHash", "")),
        epoch=headrace.epoch,
        step_index=status.get("currentStepIndex"),
        known_commands=frozenset(headrace.commands),
    )


def _is_begun(rollout: Manifest, command: RolloutCommanded) -> bool:
    """Return whether the spec has its part of the command, so that it must not get it again."""
    annotations = rollout["metadata"].get("annotations") or {}
    return bool(annotations.get(labels.COMMAND) == command.command)


def _headrace(rollout: Manifest) -> HeadraceStatus:
    return HeadraceStatus.remembered((rollout.get("status") or {}).get("headrace"))
