"""Nothing in the three services remembers a Rollout or a run that is gone."""

from __future__ import annotations

import inspect
import types
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from service_world import ALL, World, has_phase, running, spec_of

from headrace.errors import NotFound
from headrace.kubernetes.resources import ANALYSIS_RUNS, ROLLOUTS, SERVICES

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(120)]

OURS = ("headrace.", "rollout_controller.", "traffic_router.", "analysis_runner.")
OUTSIDE = ("headrace.runtime.bus_memory", "headrace.runtime.cluster_memory")
"""The broker and the API server: they may keep what they retain."""

FORGET_SECONDS = 120.0
"""More than any deadline that a service may have planned for the Rollout, and two resyncs."""


def remembered(root: object, names: frozenset[str]) -> Iterator[str]:
    """Yield where, from an object on, a name is held: in a container or an attribute of ours."""
    seen: set[int] = set()
    open_ = deque([(root, type(root).__name__)])
    while open_:
        thing, path = open_.popleft()
        if isinstance(thing, str):
            if thing in names:
                yield path
            continue
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        open_.extend((part, f"{path}{where}") for where, part in parts_of(thing))


def parts_of(thing: object) -> Iterator[tuple[str, object]]:
    if isinstance(thing, Mapping):
        for key, value in thing.items():
            yield "[key]", key
            yield f"[{key!s}]", value
    elif isinstance(thing, list | tuple | set | frozenset | deque):
        yield from (("[]", part) for part in thing)
    elif inspect.ismethod(thing):
        yield "", thing.__self__
    elif isinstance(thing, types.FunctionType):
        yield from (("()", cell.cell_contents) for cell in thing.__closure__ or ())
    elif is_ours(thing):
        names = [*getattr(thing, "__dict__", {}), *slots_of(type(thing))]
        yield from ((f".{name}", getattr(thing, name)) for name in names if hasattr(thing, name))


def is_ours(thing: object) -> bool:
    module = type(thing).__module__
    return module.startswith(OURS) and not module.startswith(OUTSIDE)


def slots_of(kind: type) -> Iterator[str]:
    for each in kind.__mro__:
        slots = each.__dict__.get("__slots__", ())
        yield from ((slots,) if isinstance(slots, str) else slots)


TEMPLATE: dict[str, Any] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "AnalysisTemplate",
    "metadata": {"name": "always-an-error", "namespace": "default"},
    "spec": {
        "metrics": [
            {
                "name": "m",
                "count": 1,
                "provider": {"prometheus": {"address": "http://127.0.0.1:9", "query": "up"}},
            }
        ]
    },
}
ANALYSIS = {"analysis": {"templates": [{"templateName": "always-an-error"}]}}


async def names_of(world: World) -> frozenset[str]:
    """Return what the Rollout and everything of it is called."""
    rollout = await world.person.get(ROLLOUTS, "default", "app")
    runs = (await world.person.list(ANALYSIS_RUNS)).items
    names = {"default/app", rollout["metadata"]["uid"]}
    for run in runs:
        metadata = run["metadata"]
        names |= {metadata["uid"], f"default/{metadata['name']}"}
    return frozenset(names)


async def delete_all(world: World) -> None:
    await world.person.delete(ROLLOUTS, "default", "app")
    for name in ("active", "preview", "root"):
        await world.person.delete(SERVICES, "default", name)
    limit = world.clock.now() + FORGET_SECONDS
    while (await world.person.list(ANALYSIS_RUNS)).items:
        assert world.clock.now() < limit
        await world.clock.sleep(1)
    with pytest.raises(NotFound):
        await world.person.get(ROLLOUTS, "default", "app")


async def test_a_rollout_that_is_gone_is_forgotten() -> None:
    steps = [{"setWeight": 20}, {"pause": {"duration": 2}}, ANALYSIS]
    async with running(spec_of(steps=steps), TEMPLATE) as world:
        await world.set_image("app:v2")
        await world.until(has_phase("Degraded"))  # no metrics store: the run ends in Error
        await world.clock.sleep(60)
        names = await names_of(world)
        assert len(names) == 4
        known = {place for name in ALL for place in remembered(world.components[name], names)}
        assert any("verdicts" in place for place in known)
        await delete_all(world)
        await world.clock.sleep(FORGET_SECONDS)
        left = [place for name in ALL for place in remembered(world.components[name], names)]
        assert left == []
        exposed = [
            text for name in ALL for text in "".join(world.metrics[name].expose()).splitlines()
        ]
        assert [line for line in exposed if 'name="app' in line] == []
