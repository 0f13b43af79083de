"""Commands over the bus: sent with what the user saw, answered in the Rollout's history.

A command is applied once only, whatever is delivered twice, and only to the Rollout as it was
read here (architecture: Commands). Its answer is read from the object, which has it for certain.
"""

from __future__ import annotations

import asyncio
import getpass
import random
import secrets
import socket
from contextlib import aclosing
from typing import Final

from headrace.events.commands import Action, Preconditions, RolloutCommanded
from headrace.events.envelope import Event
from headrace.events.rollout import CommandAccepted, CommandRejected
from headrace.intents import why_no_abort
from headrace.kubernetes.resources import NAMESPACES, ROLLOUTS, Manifest
from headrace.model.headrace_status import HeadraceStatus, Transition
from headrace.model.quantities import Instant
from headrace.runtime.bus_kafka import KafkaBus
from headrace_cli.bus_options import BusOptions
from headrace_cli.failures import Failure, about
from headrace_cli.operations import bus
from headrace_cli.operations.following import versions_of
from headrace_cli.operations.naming import read, subject
from headrace_cli.operations.ways import Wish
from headrace_cli.session import Session
from headrace_cli.views.objects import REVISION_ANNOTATION, annotations_of, count, section, text

_DELIVERY_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 30.0
"""The command expires with our patience: what was not answered is not applied later."""


class BusWay:
    """Carries wishes as commands on the bus."""

    def __init__(self, session: Session, options: BusOptions) -> None:
        self._session = session
        self._options = options

    async def carry(self, name: str, wish: Wish) -> str:
        """Send a command and return when it was applied."""
        rollout = await read(self._session, ROLLOUTS, name)
        if section(rollout, "spec", "workloadRef") and wish.action in (
            Action.SET_IMAGE,
            Action.UNDO,
        ):
            raise Failure(
                f"{subject(self._session, ROLLOUTS, name)} has its template from another object; "
                "leave out --via kafka to change that"
            )
        command = self._command(rollout, wish)
        await self._publish(rollout, command)
        answer = await self._answer(name, command.command)
        if answer.type == CommandRejected.EVENT_TYPE:
            raise Failure(f"rollout '{name}' refused {wish.action}: {answer.message}")
        match wish.action:
            case Action.SET_IMAGE:
                return f'rollout "{name}"'
            case Action.ABORT:
                return why_no_abort(rollout)
            case _:
                return ""

    def _command(self, rollout: Manifest, wish: Wish) -> RolloutCommanded:
        session = self._session
        offset = session.cluster.server_offset_seconds() or 0.0
        headrace = HeadraceStatus.remembered(section(rollout, "status", "headrace"))
        pod_hash = text(rollout, "status", "currentPodHash")
        return RolloutCommanded(
            namespace=session.namespace,
            rollout=text(rollout, "metadata", "name"),
            uid=text(rollout, "metadata", "uid"),
            generation=count(rollout, "metadata", "generation"),
            revision=annotations_of(rollout).get(REVISION_ANNOTATION, ""),
            pod_hash=pod_hash,
            epoch=headrace.epoch,
            command=secrets.token_hex(8),
            action=wish.action,
            arguments=wish.arguments,
            preconditions=Preconditions(
                uid=text(rollout, "metadata", "uid"),
                current_pod_hash=pod_hash,
                epoch=headrace.epoch,
                step_index=section(rollout, "status").get("currentStepIndex"),
            ),
            expires_at=Instant(session.clock.now() + offset + _ANSWER_SECONDS),
        )

    async def _publish(self, rollout: Manifest, command: RolloutCommanded) -> None:
        session = self._session
        settings, topics = bus.connect(self._options, rollout)
        bus.silence_logs()
        with about("namespace kube-system, whose uid names the cluster"):
            namespace = await session.cluster.get(NAMESPACES, None, "kube-system")
        event = Event.of(
            command,
            source=namespace["metadata"]["uid"],
            time=session.clock.now(),
            actor=f"{getpass.getuser()}@{socket.gethostname()}",
        )
        kafka = KafkaBus(settings, [topics.commands], session.clock, random.Random())
        delivered = asyncio.Event()
        await kafka.start()
        try:
            kafka.publish(topics.commands, event, on_delivered=lambda _: delivered.set())
            async with asyncio.timeout(_DELIVERY_SECONDS):
                await delivered.wait()
        except TimeoutError:
            raise Failure(
                f"Kafka at {settings.bootstrap_servers} did not take the command for topic "
                f"{topics.commands.name}: are --bootstrap-servers, --cluster-name and "
                "--instance-id those of the services? Without --via kafka the Rollout is patched "
                "directly"
            ) from None
        finally:
            await kafka.close()

    async def _answer(self, name: str, command: str) -> Transition:
        session = self._session
        try:
            async with (
                asyncio.timeout(_ANSWER_SECONDS),
                aclosing(
                    versions_of(session.cluster, ROLLOUTS, session.namespace, name)
                ) as versions,
            ):
                async for rollout in versions:
                    found = _answer_in(rollout, command)
                    if found is not None:
                        return found
        except TimeoutError:
            pass
        raise Failure(
            f"no answer for rollout '{name}' within {_ANSWER_SECONDS:g} s; the command has "
            "expired and will not be applied; is the rollout-controller running with --bus kafka?"
        )


def _answer_in(rollout: Manifest | None, command: str) -> Transition | None:
    status = HeadraceStatus.remembered(section(rollout or {}, "status", "headrace"))
    answers = (CommandAccepted.EVENT_TYPE, CommandRejected.EVENT_TYPE)
    return next(
        (each for each in status.history if each.command == command and each.type in answers),
        None,
    )
