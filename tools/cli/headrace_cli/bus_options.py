"""The flags that say where the event bus is."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Concatenate, ParamSpec, cast

import typer

from headrace_cli.session import Session

P = ParamSpec("P")

BootstrapServers = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers",
        envvar="HEADRACE_BOOTSTRAP_SERVERS",
        metavar="HOST:PORT,...",
        help="Kafka brokers; other HEADRACE_KAFKA_… variables are those of the services.",
    ),
]
ClusterName = Annotated[
    str | None,
    typer.Option(
        "--cluster-name",
        envvar="HEADRACE_CLUSTER_NAME",
        metavar="NAME",
        help="Name of the cluster in topic names, as the services have it.",
    ),
]
InstanceId = Annotated[
    str | None,
    typer.Option(
        "--instance-id",
        envvar="HEADRACE_INSTANCE_ID",
        metavar="ID",
        help="Instance id of the services; default: the Rollout's label.",
    ),
]


class Via(StrEnum):
    """How a command reaches the controller."""

    KUBERNETES = "kubernetes"
    KAFKA = "kafka"


ViaOption = Annotated[
    Via,
    typer.Option(
        "--via",
        help="kubernetes: patch the Rollout; kafka: send a command, which is applied once only "
        "and only to what you saw, and wait for the answer.",
    ),
]


@dataclass(frozen=True, slots=True)
class BusOptions:
    """Where the bus is; None leaves it to the environment or the Rollout."""

    bootstrap_servers: str | None = None
    cluster_name: str | None = None
    instance_id: str | None = None


def with_bus(
    function: Callable[Concatenate[Session, BusOptions, P], Coroutine[Any, Any, None]],
) -> Callable[..., Coroutine[Any, Any, None]]:
    """Give a command the flags of the bus; to be used below `on_cluster`."""

    @functools.wraps(function)
    async def command(
        session: Session,
        bootstrap_servers: str | None,
        cluster_name: str | None,
        instance_id: str | None,
        **arguments: Any,
    ) -> None:
        options = BusOptions(bootstrap_servers, cluster_name, instance_id)
        bound = cast(Callable[..., Awaitable[None]], function)  # typer gives what was declared
        await bound(session, options, **arguments)

    first, _, *own = inspect.signature(function, eval_str=True).parameters.values()
    keyword = inspect.Parameter.KEYWORD_ONLY
    added = (
        inspect.Parameter("bootstrap_servers", keyword, default=None, annotation=BootstrapServers),
        inspect.Parameter("cluster_name", keyword, default=None, annotation=ClusterName),
        inspect.Parameter("instance_id", keyword, default=None, annotation=InstanceId),
    )
    parameters = [first, *(each.replace(kind=keyword) for each in own), *added]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return command
