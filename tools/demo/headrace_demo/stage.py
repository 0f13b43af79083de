"""An application in a namespace of the world: what people do to it, and what is seen of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from headrace import intents
from headrace.errors import NotFound
from headrace.events.envelope import Event
from headrace.kubernetes.resources import ANALYSIS_RUNS, ROLLOUTS, TRAFFIC_SPLITS, Manifest
from headrace.model.quantities import Instant
from headrace.runtime.cluster import MergePatch, Selection
from headrace_demo.errors import ActFailed
from headrace_demo.examples import (
    CANARY,
    IMAGE,
    NAME,
    ROOT,
    SPLIT,
    STABLE,
    Edit,
    manifests,
    unchanged,
)
from headrace_demo.mesh import Mesh, split_weights
from headrace_demo.telling import line
from headrace_demo.traffic import Traffic
from headrace_demo.views import WINDOW_SECONDS, Moment, View
from headrace_demo.world import World
from headrace_lab.load_report import Report, binomial_interval

_REQUESTS: Final = 600
"""Enough to tell 10 % from 33 %."""
_CONFIDENCE: Final = 0.99999
_LOOK_AGAIN_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Direction:
    """How the story is played; tests make it shorter.

    Attributes:
        edit: Changes the example's manifests before they are applied.
        deadline_seconds: How long anything may take that the story waits for.
    """

    edit: Edit = unchanged
    deadline_seconds: float = 30.0


class Stage:
    """One application that users send requests to.

    Args:
        world: Where it lives.
        namespace: Of its own.
        example: Folder of its manifests.
        direction: How the story is played.
        view: Shown what happens.
    """

    def __init__(
        self, world: World, namespace: str, example: str, direction: Direction, view: View
    ) -> None:
        self._client = world.client
        self._clock = world.clock
        self._namespace = namespace
        self._example = example
        self._direction = direction
        self._view = view
        self._mesh = Mesh(world.client, namespace)
        self._traffic = Traffic(self._mesh, ROOT, world.workload, world.clock, world.rng)
        self._began_at = world.clock.now()
        world.metrics.scrape(namespace, self._traffic)
        world.listen(namespace, self._hear)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Deploy the first version, and let users send it requests as long as the body runs.

        Raises:
            ActFailed: It never served; in a group when the body raised it.
        """
        await self._deploy()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._traffic.run()), group.create_task(self._show())]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    # What people do

    async def release(self, version: str) -> None:
        """Set the image, as `headrace set image` does."""
        self.say(f"headrace set image {NAME} {NAME}={IMAGE}:{version}")
        changed = intents.with_image(await self.rollout(), NAME, f"{IMAGE}:{version}")
        await self._client.replace(ROLLOUTS, changed)

    async def promote(self) -> None:
        """Send what `headrace promote` sends."""
        self.say(f"headrace promote {NAME}")
        patches = intents.promote(await self.rollout())
        if patches.status is not None:
            await self._client.patch(
                ROLLOUTS,
                self._namespace,
                NAME,
                MergePatch({"status": patches.status}),
                subresource="status",
            )

    def say(self, text: str) -> None:
        """Tell the audience what happens."""
        self._view.say(self.seconds, text)

    # What is seen

    @property
    def seconds(self) -> float:
        """Seconds since the act began."""
        return self._clock.now() - self._began_at

    @property
    def report(self) -> Report:
        """What became of all requests."""
        return self._traffic.report()

    async def rollout(self) -> Manifest:
        """Return the Rollout."""
        return await self._client.get(ROLLOUTS, self._namespace, NAME)

    async def status(self) -> dict[str, Any]:
        """Return the Rollout's status."""
        status: dict[str, Any] = (await self.rollout()).get("status") or {}
        return status

    async def phase_is(self, phase: str) -> bool:
        """Return whether the Rollout is in a phase, for the spec as it is."""
        rollout = await self.rollout()
        status = rollout.get("status") or {}
        is_observed = status.get("observedGeneration") == str(rollout["metadata"]["generation"])
        return is_observed and bool(status.get("phase") == phase)

    async def weight(self) -> int | None:
        """Return what the TrafficSplit gives to the canary Service; None without a split."""
        try:
            split = await self._client.get(TRAFFIC_SPLITS, self._namespace, SPLIT)
        except NotFound:
            return None
        return split_weights(split).get(CANARY)

    async def runs(self) -> list[Manifest]:
        """Return the AnalysisRuns."""
        listing = await self._client.list(ANALYSIS_RUNS, Selection(self._namespace))
        return [*listing.items]

    async def versions_behind(self, *services: str) -> set[str]:
        """Return the versions that the selectors of Services lead to."""
        return {
            pod.version
            for service in services
            for destination in await self._mesh.destinations(service)
            for pod in destination.pods
        }

    # What the story waits for

    async def wait(self, condition: Callable[[], Awaitable[object]], what: str) -> None:
        """Return when a condition holds.

        Raises:
            ActFailed: It did not in time.
        """
        seconds = self._direction.deadline_seconds
        deadline = self._clock.monotonic() + seconds
        while not await condition():
            if self._clock.monotonic() >= deadline:
                raise ActFailed(f"not within {seconds:g} s: {what} ({await self._describe()})")
            await self._clock.sleep(_LOOK_AGAIN_SECONDS)

    async def wait_paused(self, step: int) -> None:
        """Return when the Rollout is paused at a step, counted from 0."""

        async def is_paused() -> bool:
            status = await self._running_status()
            return status.get("phase") == "Paused" and status.get("currentStepIndex") == step

        await self.wait(is_paused, f"a pause at step {step + 1}")

    async def wait_measured(self) -> None:
        """Return when a measurement has been made."""

        async def is_measured() -> bool:
            await self._running_status()
            return any(_counts(run) for run in await self.runs())

        await self.wait(is_measured, "a measurement")

    async def wait_promoted(self, version: str) -> None:
        """Return when a version is all there is for users."""

        async def is_promoted() -> bool:
            await self._running_status()
            return await self.phase_is("Healthy")

        await self.wait(is_promoted, f"{version} is promoted")
        if (found := await self.versions_behind(STABLE, CANARY)) != {version}:
            raise ActFailed(f"the Services lead to {sorted(found)}, not to {version}")

    async def wait_aborted(self, version: str) -> None:
        """Return when a version was taken back."""

        async def is_aborted() -> bool:
            if await self.phase_is("Healthy"):
                raise ActFailed(f"{version} was promoted")
            return await self.phase_is("Degraded")

        await self.wait(is_aborted, f"{version} is aborted")

    async def expect_share(self, version: str, share: float) -> None:
        """Count requests for a while: so many of them must be answered by a version.

        Raises:
            ActFailed: The count is not compatible with the share.
        """
        since = self._clock.now()

        async def is_enough() -> bool:
            return self._traffic.report(since).total >= _REQUESTS

        await self.wait(is_enough, f"{_REQUESTS} requests")
        seen = self._traffic.report(since).share(version)
        if share not in binomial_interval(seen.count, seen.total, confidence=_CONFIDENCE):
            raise ActFailed(f"{version} answered {seen.value:.1%} of the requests, not {share:.0%}")
        self.say(
            f"{seen.count} of {seen.total} requests ({seen.value:.1%}) were answered by {version}"
        )

    def expect_nothing_lost(self) -> None:
        """Raise ActFailed when a request failed that no version answered."""
        if lost := self.report.failed_without_version:
            raise ActFailed(f"the release itself lost {lost} requests")

    async def expect_verdict(self, phase: str, *, successes_min: int = 0) -> None:
        """Look at the one AnalysisRun: it must be over.

        Raises:
            ActFailed: Its phase is another one, or it measured less often.
        """

        async def is_over() -> bool:
            return all(run["status"].get("completedAt") for run in await self.runs())

        await self.wait(is_over, "a verdict")
        runs = await self.runs()
        phases = [run["status"].get("phase") for run in runs]
        if phases != [phase]:
            raise ActFailed(f"verdicts {phases}, not {phase}")
        successes = _counts(runs[0], "successful")
        if successes < successes_min:
            raise ActFailed(f"only {successes} successful measurements")

    async def _running_status(self) -> dict[str, Any]:
        """Return the status; an abort is never what is waited for."""
        status = await self.status()
        if status.get("abort"):
            raise ActFailed(f"aborted: {status.get('message')}")
        return status

    async def _describe(self) -> str:
        status = await self.status()
        headrace = status.get("headrace") or {}
        waiting = headrace.get("waiting") or {}
        parts = [
            f"phase {status.get('phase') or 'unknown'}",
            str(status.get("message") or ""),
            f"weight {await self.weight()}",
            f"waiting for {waiting['on']}" if waiting.get("on") else "",
        ]
        return ", ".join(part for part in parts if part)

    # Inside

    async def _deploy(self) -> None:
        """Apply the example and wait until its first version serves."""
        edit = self._direction.edit
        for resource, manifest in manifests(self._example, self._namespace, edit):
            await self._client.create(resource, manifest)
        await self.wait(lambda: self.phase_is("Healthy"), "the first version is Healthy")

    async def _show(self) -> None:
        """Show how things stand until cancelled."""
        since = self._clock.now()
        while True:
            await self._clock.sleep(WINDOW_SECONDS)
            self._view.show(await self._moment(self._traffic.report(since)))
            since = self._clock.now()

    async def _moment(self, window: Report) -> Moment:
        rollout = await self.rollout()
        status = rollout.get("status") or {}
        pods: dict[str, int] = {}
        for pod in await self._mesh.pods():
            pods[pod.version] = pods.get(pod.version, 0) + 1
        return Moment(
            at=self.seconds,
            window=window,
            weight=await self.weight(),
            phase=status.get("phase", ""),
            message=status.get("message") or "",
            step=status.get("currentStepIndex") or 0,
            steps=len(rollout["spec"]["strategy"]["canary"]["steps"]),
            pods=pods,
        )

    def _hear(self, event: Event) -> None:
        self._view.hear(line(event, Instant(event.time - self._began_at)))


def _counts(run: Manifest, *outcomes: str) -> int:
    """Return how many measurements of a run had one of some outcomes; all, when none is given."""
    results = (run.get("status") or {}).get("metricResults") or ()
    names = outcomes or ("successful", "failed", "inconclusive", "error")
    return sum(int(result.get(name) or 0) for result in results for name in names)
