"""Where a command acts, and as whom: the flags that every command of a cluster takes.

Those that kubectl has for the connection work, too, so that scripts keep theirs; they are not in
the help of each command (cli-and-clients 1).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Self, get_type_hints

import typer

if TYPE_CHECKING:
    from headrace.runtime.cluster_kube import Overrides


def _hidden(*names: str, metavar: str | None = "TEXT") -> Any:
    return typer.Option(*names, metavar=metavar, hidden=True)


@dataclass(frozen=True, slots=True)
class Target:
    """The flags as they were given; what is empty is left to the kubeconfig."""

    kubeconfig: Annotated[
        str | None, typer.Option("--kubeconfig", metavar="FILE", help="Kubeconfig file to use.")
    ] = None
    kube_context: Annotated[
        str | None, typer.Option("--context", metavar="NAME", help="Context of the kubeconfig.")
    ] = None
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace", "-n", metavar="NAME", help="Namespace; default: the context's."
        ),
    ] = None
    kube_cluster: Annotated[str | None, _hidden("--cluster")] = None
    kube_user: Annotated[str | None, _hidden("--user")] = None
    server: Annotated[str | None, _hidden("--server", "-s")] = None
    tls_server_name: Annotated[str | None, _hidden("--tls-server-name")] = None
    certificate_authority: Annotated[str | None, _hidden("--certificate-authority")] = None
    insecure: Annotated[bool, _hidden("--insecure-skip-tls-verify", metavar=None)] = False
    token: Annotated[str | None, _hidden("--token")] = None
    client_certificate: Annotated[str | None, _hidden("--client-certificate")] = None
    client_key: Annotated[str | None, _hidden("--client-key")] = None
    impersonated_user: Annotated[str | None, _hidden("--as")] = None
    impersonated_uid: Annotated[str | None, _hidden("--as-uid")] = None
    impersonated_groups: Annotated[list[str] | None, _hidden("--as-group")] = None
    request_timeout: Annotated[str | None, _hidden("--request-timeout")] = None
    # Taken for scripts that give them; there is nothing here that they could change.
    cache_dir: Annotated[str | None, _hidden("--cache-dir")] = None
    disable_compression: Annotated[bool, _hidden("--disable-compression", metavar=None)] = False
    log_level: Annotated[str | None, _hidden("--loglevel")] = None
    kube_log_level: Annotated[int | None, _hidden("--kloglevel", "-v")] = None

    @classmethod
    def parameters(cls) -> list[inspect.Parameter]:
        """Return the flags as parameters of a command."""
        hints = get_type_hints(cls, include_extras=True)
        return [
            inspect.Parameter(
                each.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=each.default,
                annotation=hints[each.name],
            )
            for each in fields(cls)
        ]

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Self:
        """Return the target that the arguments of a command name."""
        names = (each.name for each in fields(cls))
        return cls(**{name: arguments[name] for name in names if arguments.get(name)})

    def over(self, other: Target) -> Target:
        """Return this target, completed by another."""
        names = [each.name for each in fields(self)]
        return Target(**{name: getattr(self, name) or getattr(other, name) for name in names})

    def overrides(self) -> Overrides:
        """Return what stands in the place of the kubeconfig's."""
        from headrace.runtime.cluster_kube import Overrides

        return Overrides(
            cluster=self.kube_cluster or "",
            user=self.kube_user or "",
            server=self.server or "",
            tls_server_name=self.tls_server_name or "",
            certificate_authority=self.certificate_authority or "",
            insecure_skip_tls_verify=self.insecure,
            token=self.token or "",
            client_certificate=self.client_certificate or "",
            client_key=self.client_key or "",
            impersonated_user=self.impersonated_user or "",
            impersonated_uid=self.impersonated_uid or "",
            groups=tuple(self.impersonated_groups or ()),
        )


def taking_flags(callback: Callable[..., None]) -> Callable[..., None]:
    """Let the callback of a group take the flags, so that they may stand before the command."""
    signature = inspect.signature(callback, eval_str=True)
    own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
    first, *others = own
    callback.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[first, *Target.parameters(), *others]
    )
    return callback


@taking_flags
def within_group(context: typer.Context, **arguments: Any) -> None:
    """Remember the flags that stand before a command of a group, over those before the group."""
    context.obj = Target.of(arguments).over(context.obj)
