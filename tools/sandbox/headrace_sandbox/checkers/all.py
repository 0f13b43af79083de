"""All checkers of a run, as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from headrace.kubernetes.resources import Resource
from headrace.runtime.bus_queue import Outgoing
from headrace.runtime.reconciler import Outcome
from headrace_sandbox.checkers.bluegreen import BlueGreenRules
from headrace_sandbox.checkers.book import Book
from headrace_sandbox.checkers.claims import ClaimRules
from headrace_sandbox.checkers.diligence import Diligence
from headrace_sandbox.checkers.experiments import ExperimentRules
from headrace_sandbox.checkers.facts import FactRules
from headrace_sandbox.checkers.haste import Haste
from headrace_sandbox.checkers.knowledge import KnowledgeRules
from headrace_sandbox.checkers.protections import Protections
from headrace_sandbox.checkers.rows import Rows
from headrace_sandbox.checkers.steps import StepRules
from headrace_sandbox.checkers.traffic import TrafficRules
from headrace_sandbox.checkers.violations import Findings
from headrace_sandbox.looking import Agent
from headrace_sandbox.plugins import PluginWorkers
from headrace_sandbox.workload import Application
from headrace_sandbox.world import World, Write


class Checkers(Findings):
    """Follows everything, and finds what must not be."""

    def __init__(self, world: World, applications: Mapping[str, Application]) -> None:
        super().__init__(world)
        self.seen: Counter[str] = Counter()
        self._is_quiet = False
        self._nodes: dict[str, Agent] = {}
        self._book = Book(world)
        self._knowledge = KnowledgeRules(world, self)
        self._traffic = TrafficRules(world, self._book, self._knowledge, self)
        self._claims = ClaimRules(world, self._book, applications, self)
        self._protections = Protections(world, self._book, self)
        self._blue_green = BlueGreenRules(world, self._book, self)
        self._experiments = ExperimentRules(world, self._book, self)
        self._steps = StepRules(world, self._book, self)
        self._facts = FactRules(world, self)
        self._haste = Haste(world, self)
        self._diligence = Diligence(world, self)
        self._rows = Rows(world, self.seen)
        world.watch(self)

    def written(self, write: Write) -> None:
        """Hear of a committed change."""
        self._book.note(write)
        self._rows.written(write)
        if write.identity in self._nodes:
            self._blue_green.written(write)
            self._experiments.written(write)
            self._steps.written(write)
            self._traffic.written(write)
            self._claims.written(write)
            self._haste.written(write)
            self._knowledge.written(write)
            self._protections.written(write)
            self._protections.aborted_knowingly(self._nodes[write.identity], write)
        self._book.selected(write, by_others=write.identity not in self._nodes)
        if self._is_quiet and write.request is not None:
            record = write.change.record
            if record.resource.plural != "leases" and write.identity[-1:].isdigit():
                text = f"{write.identity} writes {record.resource.plural}/{record.name}"
                self.require(False, "a settled world is quiet", text)
        self._tell(write)

    def _tell(self, write: Write) -> None:
        record, request = write.change.record, write.request
        if record.resource.plural in ("leases",) or request is None:
            return
        self._world.tell(
            write.identity,
            f"{request.verb} {record.resource.plural}/{record.name}"
            + (f" {request.subresource}" if request.subresource else ""),
            body=request.body if request.verb != "create" else "",
        )

    def published(self, identity: str, message: Outgoing) -> None:
        """Hear of a message."""
        self._protections.published(identity, message)
        self._facts.published(message)
        self._world.tell(identity, f"says {message.headers.get('ce_type')}", key=message.key)

    def sends(self, node: Agent, verb: str, resource: Resource, name: str) -> None:
        """Hear that a request leaves a node."""
        self._nodes[node.name] = node
        is_read = verb in ("get", "list")
        if not is_read:
            self._book.sent(node.name, resource.plural, name)
            self._protections.sends(node, verb, resource, name)
        self._knowledge.sends(node, resource, name, is_read=is_read)

    def refused(self, uid: str, rollout: str, found_epoch: int) -> None:
        """Hear that a route was refused for a newer epoch on a traffic object."""
        self._protections.refused(uid, rollout, found_epoch)

    def reconciled(self, node: Agent, key: str, outcome: Outcome, seconds: float) -> None:
        """Hear how a reconcile ended."""
        self._protections.reconciled(node, key, outcome)
        self._knowledge.reconciled(node, key)
        if seconds == 0:  # else what it knows now may be news
            self._diligence.reconciled(node, key, outcome)
        self._haste.reconciled(node, key, outcome)
        if outcome.is_error:
            self._world.tell(node.name, outcome.kind, key=key, message=outcome.message)

    def expect_quiet(self) -> None:
        """From now on nothing may be written."""
        self._is_quiet = True

    def at_rest(self) -> None:
        """Look at the settled world."""
        self._claims.at_rest()
        self._facts.at_rest()
        self._blue_green.at_rest()
        self._experiments.at_rest()
        self._steps.at_rest()

    def know(self, workers: PluginWorkers) -> None:
        """Look at what the workers of step plugins are asked, too."""
        self._steps.know(workers)
