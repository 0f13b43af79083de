"""Writing to the objects, exactly as the existing plugin does (cli-and-clients 2)."""

from __future__ import annotations

from typing import Any, Final

from headrace import intents
from headrace.errors import Conflict, NotFound, RolloutError
from headrace.events.commands import Action
from headrace.intents import Patches
from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    DEPLOYMENTS,
    EXPERIMENTS,
    POD_TEMPLATES,
    REPLICA_SETS,
    ROLLOUTS,
    Manifest,
    Resource,
)
from headrace.model.meta import LabelSelector
from headrace.runtime.cluster import JsonPatch, MergePatch, Selection
from headrace_cli.failures import Failure, about, explain
from headrace_cli.operations.naming import about_object, read, subject
from headrace_cli.operations.ways import Wish
from headrace_cli.session import Session
from headrace_cli.views.objects import section, text

_WORKLOADS: Final = {
    "Deployment": DEPLOYMENTS,
    "ReplicaSet": REPLICA_SETS,
    "PodTemplate": POD_TEMPLATES,
}
_UPDATE_ATTEMPTS: Final = 5
_TERMINATION: Final[dict[str, Any]] = {"spec": {"terminate": True}}


class ObjectWay:
    """Carries wishes by patches of the Rollout."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def carry(self, name: str, wish: Wish) -> str:
        """Write a wish into the Rollout, or into the workload that has its pod template."""
        arguments = wish.arguments
        match wish.action:
            case Action.SET_IMAGE:
                return await self._set_image(
                    name, arguments.container or "*", arguments.image or ""
                )
            case Action.UNDO:
                return await self._undo(name, arguments.to_revision or 0)
            case Action.ABORT:
                return intents.why_no_abort(await self._send(name, intents.ABORT))
            case Action.RETRY:
                await self._send(name, intents.RETRY)
            case Action.PAUSE:
                await self._send(name, intents.PAUSE)
            case Action.RESTART:
                at = arguments.restart_at
                await self._send(
                    name, intents.restart(self._session.clock.now() if at is None else at)
                )
            case _:
                await self._send(name, await self._promotion(name, wish.action))
        return ""

    async def _promotion(self, name: str, action: Action) -> Patches:
        rollout = await read(self._session, ROLLOUTS, name)
        with about(f"rollout '{name}'"):
            match action:
                case Action.SKIP:
                    return intents.skip_current_step(rollout)
                case Action.SKIP_ALL:
                    return intents.skip_all_steps(rollout)
                case _:
                    return intents.promote(rollout, full=action is Action.PROMOTE_FULL)

    async def _send(self, name: str, patches: Patches) -> Manifest:
        """Write status, then spec; both at once where the CRD has no status subresource.

        Returns:
            The Rollout as the last write leaves it; empty when there was nothing to write.
        """
        cluster, namespace = self._session.cluster, self._session.namespace
        written: Manifest = {}
        with about_object(self._session, ROLLOUTS, name):
            if patches.status is not None and patches.unified is not None:
                status = MergePatch({"status": patches.status})
                try:
                    written = await cluster.patch(
                        ROLLOUTS, namespace, name, status, subresource="status"
                    )
                except NotFound:
                    body = MergePatch(patches.unified)
                    return await cluster.patch(ROLLOUTS, namespace, name, body)
            if patches.spec is not None:
                spec = MergePatch({"spec": patches.spec})
                written = await cluster.patch(ROLLOUTS, namespace, name, spec)
        return written

    async def _set_image(self, name: str, container: str, image: str) -> str:
        rollout = await read(self._session, ROLLOUTS, name)
        resource, target = ROLLOUTS, name
        if section(rollout, "spec", "workloadRef"):
            resource, target = DEPLOYMENTS, text(rollout, "spec", "workloadRef", "name")
        for attempt in range(1, _UPDATE_ATTEMPTS + 1):
            workload = await read(self._session, resource, target)
            with about_object(self._session, resource, target):
                changed = intents.with_image(workload, container, image)
                try:
                    await self._session.cluster.replace(resource, changed)
                    break
                except Conflict:
                    if attempt == _UPDATE_ATTEMPTS:
                        raise
        return f'{resource.kind.lower()} "{target}"'

    async def _undo(self, name: str, to_revision: int) -> str:
        session = self._session
        rollout = await read(session, ROLLOUTS, name)
        with about_object(session, ROLLOUTS, name):
            replica_sets = await session.cluster.list(
                REPLICA_SETS, Selection(session.namespace, labels=_selector_text(rollout))
            )
            target = intents.undo_target(rollout, replica_sets.items, to_revision)
        template = intents.restored_template(target)
        current = section(rollout, "spec").get("template")
        if current and intents.is_derivative(current, template):
            return f"skipped rollback (current template already matches revision {to_revision})"
        resource, workload = _template_holder(rollout)
        replacement = {"op": "replace", "path": "/spec/template", "value": template}
        try:
            await session.cluster.patch(
                resource, session.namespace, workload, JsonPatch([replacement])
            )
        except RolloutError as error:
            why = explain(error, subject(session, resource, workload))
            raise Failure(f"failed restoring revision {to_revision}: {why}") from error
        return ""


async def retry_experiment(session: Session, name: str) -> None:
    """Begin an Experiment again, by erasing its status."""
    await _merge(session, EXPERIMENTS, name, {"status": None})
    session.terminal.print(f"experiment '{name}' retried")


async def terminate_analysis_run(session: Session, name: str) -> None:
    """End an AnalysisRun now."""
    await _merge(session, ANALYSIS_RUNS, name, _TERMINATION)
    session.terminal.print(f"analysisRun '{name}' terminated")


async def terminate_experiment(session: Session, name: str) -> None:
    """End an Experiment now."""
    await _merge(session, EXPERIMENTS, name, _TERMINATION)
    # The existing plugin's word, which scripts know (cli-and-clients 2.1).
    session.terminal.print(f"experiment '{name}' retried")


async def _merge(session: Session, resource: Resource, name: str, body: dict[str, Any]) -> None:
    with about_object(session, resource, name):
        await session.cluster.patch(resource, session.namespace, name, MergePatch(body))


def _template_holder(rollout: Manifest) -> tuple[Resource, str]:
    """Return kind and name of the object that has the pod template."""
    reference = section(rollout, "spec", "workloadRef")
    if not reference:
        return ROLLOUTS, text(rollout, "metadata", "name")
    kind = str(reference.get("kind", ""))
    if kind not in _WORKLOADS:
        raise Failure(f"workload of type {kind} is not supported")
    return _WORKLOADS[kind], str(reference.get("name", ""))


def _selector_text(rollout: Manifest) -> str:
    selector = section(rollout, "spec").get("selector")
    return LabelSelector.load(selector).format() if selector else ""
