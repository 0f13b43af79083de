"""People who drive a release: with the existing kubectl plugin, or with `headrace`.

The plugin's requests are those of `Application`, literals over plain HTTP. Our command line is run
as a process with a person's kubeconfig; nothing of it is imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final, Protocol

from headrace_lab.application import NAME, Application
from headrace_lab.errors import LabError

COMMAND_SECONDS: Final = 60.0


class Person(Protocol):
    """What a story needs somebody for; `Application` does it by the plugin's requests."""

    def set_image(self, tag: str, name: str = NAME) -> None:
        """Release a version."""

    def promote(self, name: str = NAME) -> None:
        """Resume a paused Rollout, else skip the current step."""

    def promote_full(self, name: str = NAME) -> None:
        """Skip all that is left."""

    def abort(self, name: str = NAME) -> None:
        """Bring all traffic back."""

    def retry(self, name: str = NAME) -> None:
        """Begin again after an abort."""

    def undo(self, name: str = NAME, revision: int = 0) -> None:
        """Go back to a revision; 0 is the one before."""

    def terminate_experiment(self, name: str) -> None:
        """End an Experiment now."""

    def retry_experiment(self, name: str) -> None:
        """Begin an Experiment again."""


class CommandLine:
    """Somebody with a terminal, in the namespace of an application."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `headrace` with some words, whatever comes of it."""
        return subprocess.run(
            self.command(*words),
            env=self.environ(),
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )

    def __call__(self, *words: str) -> list[str]:
        """Return the lines that `headrace` prints. Raises LabError when it fails."""
        done = self.run(*words)
        if done.returncode != 0:
            raise LabError(f"headrace {' '.join(words)}: {done.stderr}")
        return done.stdout.splitlines()

    def command(self, *words: str) -> list[str]:
        """Return the words of a whole command."""
        return [sys.executable, "-m", "headrace_cli", "-n", self._application.namespace, *words]

    def environ(self) -> dict[str, str]:
        """Return the environment of a person, with nothing of the services in it."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith("HEADRACE_")}
        kubeconfig = str(self._application.lab.kubeconfig("person"))
        return {**kept, "KUBECONFIG": kubeconfig, "TERM": "xterm"}

    def set_image(self, tag: str, name: str = NAME) -> None:
        """Release a version."""
        self("set", "image", name, f"*={self._application.image}:{tag}")

    def promote(self, name: str = NAME) -> None:
        """Resume a paused Rollout, else skip the current step."""
        self("promote", name)

    def promote_full(self, name: str = NAME) -> None:
        """Skip all that is left."""
        self("promote", name, "--full")

    def abort(self, name: str = NAME) -> None:
        """Bring all traffic back."""
        self("abort", name)

    def retry(self, name: str = NAME) -> None:
        """Begin again after an abort."""
        self("retry", name)

    def undo(self, name: str = NAME, revision: int = 0) -> None:
        """Go back to a revision; 0 is the one before."""
        self("undo", name, *([f"--to-revision={revision}"] if revision else []))

    def terminate_experiment(self, name: str) -> None:
        """End an Experiment now."""
        self("terminate", "experiment", name)

    def retry_experiment(self, name: str) -> None:
        """Begin an Experiment again."""
        self("retry", "experiment", name)
