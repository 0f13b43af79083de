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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, cast

import typer

from headrace_cli import interrupts
from headrace_cli.failures import Failure, about
from headrace_cli.output import Terminal

if TYPE_CHECKING:
    from headrace.runtime.clock import Clock
    from headrace.runtime.cluster import Cluster

P = ParamSpec("P")

Kubeconfig = Annotated[
    str | None, typer.Option("--kubeconfig", metavar="FILE", help="Kubeconfig file to use.")
]
Context = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="Context of the kubeconfig.")
]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", metavar="NAME", help="Namespace; default: the context's."),
]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a command acts; None leaves it to the kubeconfig."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None

    def over(self, other: Target) -> Target:
        """Return this target, completed by another."""
        return Target(
            self.kubeconfig or other.kubeconfig,
            self.context or other.context,
            self.namespace or other.namespace,
        )


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
    from headrace.runtime.cluster_kube import KubeCluster, KubeClusterSettings
    from headrace.runtime.cluster_kube import Kubeconfig as KubeconfigFile

    clock = SystemClock()
    with about("kubeconfig"):
        cluster = await KubeCluster.connect(
            KubeconfigFile(target.kubeconfig, target.context),
            clock=clock,
            settings=KubeClusterSettings(user_agent="headrace-cli"),
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

    The flags may stand before the command too (`headrace -n demo get rollout x`).
    """

    @functools.wraps(function)
    def command(
        context: typer.Context,
        kubeconfig: str | None,
        kube_context: str | None,
        namespace: str | None,
        **arguments: Any,
    ) -> None:
        target = Target(kubeconfig, kube_context, namespace)
        outer = context.find_root().obj
        target = target.over(outer) if isinstance(outer, Target) else target
        bound = cast(Callable[..., Awaitable[None]], function)  # typer gives what was declared
        run(target, lambda session: bound(session, **arguments))

    _, *own = inspect.signature(function, eval_str=True).parameters.values()
    keyword = inspect.Parameter.KEYWORD_ONLY
    added = (
        inspect.Parameter("context", keyword, annotation=typer.Context),
        inspect.Parameter("kubeconfig", keyword, default=None, annotation=Kubeconfig),
        inspect.Parameter("kube_context", keyword, default=None, annotation=Context),
        inspect.Parameter("namespace", keyword, default=None, annotation=Namespace),
    )
    parameters = [*(each.replace(kind=keyword) for each in own), *added]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command
