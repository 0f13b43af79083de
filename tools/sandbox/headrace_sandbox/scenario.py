"""Scenarios: named stories as YAML, each a regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final

import yaml

from headrace_sandbox.faults import NONE, STORM, Fault, FaultPlan
from headrace_sandbox.workload import Application

_FOLDER: Final = files("headrace_sandbox") / "scenarios"


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that a scenario lets happen.

    Attributes:
        do: A user's action, or one of the world's (`headrace_sandbox.happenings`).
        to: Which Rollout, node or image.
        argument: As the action has it.
        at: Seconds after the applications are deployed; with `when`, after that.
        when: Fields of the Rollout's status that must have these values first.
        of: Whose status that is, where it is not `to`.
    """

    do: str
    to: str = ""
    argument: Any = None
    at: float = 0.0
    when: Mapping[str, Any] | None = None
    of: str = ""


@dataclass(frozen=True, slots=True)
class Expectation:
    """How a Rollout ends: only what is given is compared.

    Attributes:
        phase: status.phase.
        image: Of the stable ReplicaSet.
        weight: Of the canary, in the traffic object.
        fields: Further fields, by dotted path in the Rollout.
    """

    phase: str | None = None
    image: str | None = None
    weight: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One story.

    Attributes:
        name: Of the file.
        about: What it shows, in a sentence.
        covers: Edge cases, as `canary 10.3` or `users B.4`.
        applications: What is deployed.
        plan: What goes wrong by chance.
        happenings: What happens for certain.
        faults: Single faults that strike, instead of chance.
        expect: By name of the Rollout.
        seconds: How long the story is.
        replicas: Of each service.
        seed: Found with it, or any.
        behaviours: Images (globs) and what their pods do from the beginning.
    """

    name: str
    about: str = ""
    covers: tuple[str, ...] = ()
    applications: tuple[Application, ...] = (Application("app"),)
    plan: FaultPlan = NONE
    happenings: tuple[Happening, ...] = ()
    faults: tuple[Fault, ...] | None = None
    expect: Mapping[str, Expectation] = field(default_factory=dict)
    seconds: float = 120.0
    replicas: int = 2
    seed: int = 1
    behaviours: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def names() -> list[str]:
    """Return the names of all scenarios."""
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in _FOLDER.iterdir()
        if entry.name.endswith(".yaml")
    )


def load(name: str) -> Scenario:
    """Return a scenario. Raises FileNotFoundError."""
    return parse(name, yaml.safe_load((_FOLDER / f"{name}.yaml").read_text()))


def parse(name: str, raw: Mapping[str, Any]) -> Scenario:
    """Return a scenario from its decoded file. Raises TypeError for an unknown field."""
    fields: dict[str, Any] = dict(raw)
    storm = fields.pop("storm", None)
    fields["plan"] = STORM if storm is True else NONE.with_ratios(storm or {})
    fields["covers"] = tuple(fields.get("covers", ()))
    applications = fields.get("applications") or [{"name": "app"}]
    fields["applications"] = tuple(Application(**each) for each in applications)
    fields["happenings"] = tuple(_happening(each) for each in fields.pop("story", ()))
    faults: Sequence[list[Any]] | None = fields.pop("faults", None)
    fields["faults"] = None if faults is None else tuple(Fault.load(each) for each in faults)
    expect = fields.pop("expect", {})
    fields["expect"] = {app: Expectation(**each) for app, each in expect.items()}
    return Scenario(name=name, **fields)


def _happening(raw: Mapping[str, Any]) -> Happening:
    fields = dict(raw)
    return Happening(**fields)
