"""What a checker finds, and where it tells it."""

from __future__ import annotations

from dataclasses import dataclass

from headrace_sandbox.world import World


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be.

    Attributes:
        rule: Name of the rule.
        text: What is wrong.
        at: True time.
    """

    rule: str
    text: str
    at: float


class Findings:
    """The violations of one run, oldest first; a rule that is switched off finds nothing."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.violations: list[Violation] = []
        self.checked: dict[str, int] = {}

    def require(self, holds: bool, rule: str, text: str) -> None:
        """Note a violation of `rule` unless it holds."""
        self.checked[rule] = self.checked.get(rule, 0) + 1
        if not holds:
            self._world.tell("checker", f"VIOLATION {rule}", why=text)
            self.violations.append(Violation(rule, text, self._world.now))
