"""What an Experiment is told to have, from the caches (experiment 3)."""

from typing import Any

import pytest

from headrace.errors import PermanentError
from headrace.kubernetes.owners import controller_reference
from headrace.kubernetes.resources import EXPERIMENTS
from headrace.runtime.clock import VirtualClock
from headrace.runtime.cluster_memory import MemoryCluster
from headrace.runtime.store import Store
from rollout_controller.caches import Caches, Facts
from rollout_controller.core import labels, samples
from rollout_controller.experiments.facts import Failures
from rollout_controller.experiments.gather import Gatherer

pytestmark = pytest.mark.spec("experiment 3")


def part(name: str, template: str, *, experiment: str = "exp", owner: str = "uid") -> Any:
    """A ReplicaSet or Service of a template, as far as its owner tells them apart."""
    annotations = {labels.EXPERIMENT: experiment, labels.EXPERIMENT_TEMPLATE: template}
    reference = controller_reference(EXPERIMENTS.api_version, EXPERIMENTS.kind, "exp", owner)
    metadata = {
        "name": name,
        "namespace": "default",
        "uid": f"uid-{name}",
        "resourceVersion": "1",
        "annotations": annotations,
        "ownerReferences": [reference],
    }
    return {"metadata": metadata, "spec": {"replicas": 1}}


class Gathered:
    """The caches of a controller with one Experiment."""

    def __init__(self) -> None:
        self.caches = Caches()
        metadata = {"name": "exp", "namespace": "default", "uid": "uid", "resourceVersion": "1"}
        self.caches.experiments.offer({"metadata": metadata, "spec": {"templates": []}})
        cluster = MemoryCluster(VirtualClock()).client("controller")
        self._gatherer = Gatherer((self.caches, Facts()), Failures(), cluster)

    def store(self, what: str) -> Store:
        return self.caches.replica_sets if what == "ReplicaSets" else self.caches.services

    async def parts(self, what: str) -> dict[str, str]:
        observed = await self._gatherer.gather("default/exp", samples.NOW)
        assert observed is not None
        found = observed.replica_sets if what == "ReplicaSets" else observed.services
        return {template: each.name for template, each in found.items()}


@pytest.mark.parametrize("what", ["ReplicaSets", "Services"])
async def test_two_of_one_template_are_an_error(what: str) -> None:
    gathered = Gathered()
    store = gathered.store(what)
    store.offer(part("exp-a", "a"))
    store.offer(part("exp-b", "b"))
    assert await gathered.parts(what) == {"a": "exp-a", "b": "exp-b"}
    store.offer(part("exp-a-again", "a"))
    text = f"multiple {what} match single experiment template: a"
    with pytest.raises(PermanentError, match=text):
        await gathered.parts(what)


@pytest.mark.parametrize("what", ["ReplicaSets", "Services"])
async def test_owner_and_annotations_say_what_belongs_to_it(what: str) -> None:
    gathered = Gathered()
    store = gathered.store(what)
    store.offer(part("exp-a", "a"))
    store.offer(part("others", "a", owner="another"))
    store.offer(part("misnamed", "a", experiment="another"))
    assert await gathered.parts(what) == {"a": "exp-a"}
