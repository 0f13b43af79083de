"""One run of a command: where it acts, and how it ends.

Everything heavy (the API client, the models) is imported when a command runs, so that help,
completion and version answer at once.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, cast

import typer

from headrace_cli import interrupts
from headrace_cli.durations import seconds_of
from headrace_cli.failures import Failure, about
from headrace_cli.output import Terminal
from headrace_cli.target import Target

if TYPE_CHECKING:
    from headrace.runtime.clock import Clock
    from headrace.runtime.cluster import Cluster

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Session:
    """What a command works with.

    Attributes:
        cluster: The API server.
        namespace: Where the named objects are.
        clock: For ages and deadlines.
        terminal: For output.
    """

    cluster: Cluster
    namespace: str
    clock: Clock
    terminal: Terminal


async def open_session(target: Target, terminal: Terminal) -> Session:
    """Return a session on the cluster that flags and kubeconfig name.

    Raises:
        Failure: There is no usable kubeconfig.
    """
    from headrace.runtime.clock import SystemClock
    from headrace.runtime.cluster_kube import KubeCluster, KubeClusterSettings, Kubeconfig

    clock = SystemClock()
    settings = KubeClusterSettings(user_agent="headrace-cli")
    seconds = seconds_of(target.request_timeout or "0")
    with about("kubeconfig"):
        cluster = await KubeCluster.connect(
            Kubeconfig(target.kubeconfig, target.kube_context, target.overrides()),
            clock=clock,
            settings=replace(settings, request_seconds_max=seconds) if seconds else settings,
        )
    return Session(cluster, target.namespace or cluster.default_namespace, clock, terminal)


def run(
    target: Target, command: Callable[[Session], Awaitable[None]], terminal: Terminal | None = None
) -> None:
    """Run a command to its end; a failure becomes a line on standard error and an exit code."""
    import headrace.runtime.cluster_kube  # noqa: F401 - while ^C still ends us at once

    shown = terminal or Terminal()

    async def main() -> None:
        session = await open_session(target, shown)
        try:
            await command(session)
        finally:
            await session.cluster.close()

    with told(shown):
        asyncio.run(main())


@contextmanager
def told(terminal: Terminal) -> Iterator[None]:
    """Turn a failure into a line on standard error and an exit code, and ^C into one, too."""
    try:
        with interrupts.raised():
            yield
    except Failure as failure:
        terminal.complain(f"Error: {failure}")
        raise typer.Exit(failure.exit_code) from None
    except KeyboardInterrupt:
        raise typer.Exit(interrupts.EXIT_CODE) from None


def on_cluster(
    function: Callable[Concatenate[Session, P], Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """Make a coroutine function that takes a Session a command with the flags of a cluster.

    The flags may stand before the command too (`headrace -n demo get -v 5 rollout x`).
    """
    _, *own = inspect.signature(function, eval_str=True).parameters.values()
    own_names = [each.name for each in own]

    @functools.wraps(function)
    def command(context: typer.Context, **arguments: Any) -> None:
        target = Target.of(arguments)
        target = target.over(context.obj) if isinstance(context.obj, Target) else target
        bound = cast(Callable[..., Awaitable[None]], function)  # typer gives what was declared
        run(target, lambda session: bound(session, **{name: arguments[name] for name in own_names}))

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        *(each.replace(kind=keyword) for each in own),
        inspect.Parameter("context", keyword, annotation=typer.Context),
        *Target.parameters(),
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command
