"""`docs/cli.md`: the help of every command, as the terminal shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import typer

from headrace_cli.app import build

PATH: Final = "docs/cli.md"
_WIDTH: Final = 96

_HEAD: Final = """\
<!-- Generated from headrace_cli by `make gen`; do not edit. -->

# Command line

`headrace` and `kubectl headrace` are the same. Commands that Argo Rollouts' plugin has take the
same arguments, write the same patches and print the same output; scripts need only another name.

- A namespace is `-n`, else the one of the kubeconfig's context. kubectl's other flags for the
  connection work, too, before the command or after it: `--as`, `--as-group`, `--as-uid`,
  `--cluster`, `--user`, `--server`, `--tls-server-name`, `--certificate-authority`,
  `--insecure-skip-tls-verify`, `--token`, `--client-certificate`, `--client-key`,
  `--request-timeout`. `--cache-dir`, `--disable-compression`, `--loglevel` and `--kloglevel` are
  taken and change nothing.
- Kinds have short names: `ro` (rollout), `exp` (experiment), `ar` (analysisrun).
- Switches may be written as in kubectl, `--watch=false` for `--no-watch`.
- Output for people goes to standard output, errors to standard error. Exit codes: 0 success, 1
  failure (also: `status` of a Rollout that is degraded or not healthy in time), 2 wrong usage,
  130 interrupted, 141 when nobody reads the output any more (`headrace … | head -1`).
- Colours only go to a terminal; `NO_COLOR` switches them off.
- Completion of commands, flags and names: `source <(headrace completion bash)`. kubectl's own
  completion does the same for `kubectl headrace`, by `kubectl_complete-headrace` on the PATH.

With `--via kafka` a command goes over the event bus instead of into the object: it carries what
you saw (uid, version, epoch, step), is applied at most once and only if that still holds, and its
answer is awaited for 30 s, after which it has expired. Who sent it is told in every event that
follows. `headrace events` shows that chain.
"""


def render() -> Mapping[str, str]:
    """Return the text of the document by its path."""
    sections = [
        f"## {title}\n\n```text\n{text}\n```\n" for title, text in _helps(_root(), "headrace", None)
    ]
    return {PATH: "\n".join([_HEAD, *sections])}


def _root() -> Any:
    return typer.main.get_command(build())


def _helps(command: Any, title: str, parent: Any) -> Iterator[tuple[str, str]]:
    """Yield title and help of a command and of those below it."""
    name = title.rpartition(" ")[2]
    # Not made by `make_context`, which would read arguments and miss the required ones.
    context = typer.Context(
        command,
        parent=parent,
        info_name=name,
        terminal_width=_WIDTH,
        max_content_width=_WIDTH,
        help_option_names=["-h", "--help"],
    )
    lines = command.get_help(context).splitlines()
    yield title, "\n".join(line.rstrip() for line in lines)
    for name in command.list_commands(context) if hasattr(command, "list_commands") else ():
        yield from _helps(command.get_command(context, name), f"{title} {name}", context)
