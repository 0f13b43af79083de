"""The story on real parts, with true requests: `make demo-lab`.

The mesh, the load and the judge of the shares know nothing of Headrace: what is claimed is what
users of the application saw. Two negative controls show that the router is what moves traffic.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console

from headrace_demo.errors import ActFailed
from headrace_demo.examples import CANARY, FIRST_PAUSE, SECOND_PAUSE, SPLIT, STABLE
from headrace_lab.application import Application
from headrace_lab.borrow import borrowed_lab
from headrace_lab.edits import asks_prometheus
from headrace_lab.errors import LabError
from headrace_lab.lab import Lab
from headrace_lab.load import Load
from headrace_lab.progress import Progress
from headrace_lab.recording import TRAFFIC_SPLITS
from headrace_lab.services import Fleet, three
from headrace_lab.steady_load import SteadyLoad

REQUESTS: Final = 5_000
"""True requests behind each share; at 10 % the 99.9 % interval is then 1.4 points wide."""

_RATE: Final = 400.0
_CONTROL_REQUESTS: Final = 2_000
_EDITED_WEIGHT: Final = 50
_REPAIR_SECONDS: Final = 1.0
_LEASE_SECONDS: Final = 15.0
_STILL_SECONDS: Final = 3.0
_DRIFTED: Final = "headrace.route.drifted.v1"


@dataclass(slots=True)
class LabStory:
    """One telling of the story.

    Attributes:
        lab: The real parts.
        fleet: The three services on Kafka.
        console: Where to tell it.
        results: Every claim and whether it held.
    """

    lab: Lab
    fleet: Fleet
    console: Console
    results: list[tuple[str, bool]] = field(default_factory=list)

    def tell(self) -> bool:
        """Tell all acts; return whether every claim held."""
        acts: tuple[Callable[[], None], ...] = (self._by_hand, self._by_metrics)
        for act in acts:
            try:
                act()
            except (ActFailed, LabError, TimeoutError) as error:
                self._claim(f"the act ends: {error}", holds=False)
        failed = [claim for claim, holds in self.results if not holds]
        self.console.print(
            f"\n{len(self.results) - len(failed)} of {len(self.results)} claims hold", style="bold"
        )
        return not failed

    def _by_hand(self) -> None:
        """A person promotes; with the router stopped nothing moves, and an edit is repaired."""
        self._title("A person promotes, and the router is stopped for a while")
        with self._application("manual", "canary-manual-approval") as application:
            self._promote(application)

    def _promote(self, application: Application) -> None:
        with self._load(application) as load:
            application.set_image("v2")
            application.wait_paused(FIRST_PAUSE)
            self._expect_share(load, 0.10, REQUESTS)

            self._without_router(application, load)

            application.wait_paused(SECOND_PAUSE)
            self._expect_share(load, 0.33, REQUESTS)
            application.promote()
            application.wait_phase("Healthy")
            application.wait(lambda: application.sizes["v1"] == 0, "v1 is scaled down")
            new = application.hash_of("v2")
            leads = application.selected(STABLE) == application.selected(CANARY) == new
            self._claim("all Services lead to the new version", holds=leads)
            self._expect_no_failures(load, "v1", "v2")

    def _without_router(self, application: Application, load: SteadyLoad) -> None:
        router = self.fleet["traffic-router"]
        router.stop()
        application.promote()
        time.sleep(_STILL_SECONDS)
        share = load.measure(_CONTROL_REQUESTS).share("v2")
        self._claim(
            f"control: promoted without router, the share stays ({share.value:.1%})",
            holds=0.10 in share.interval,
        )
        self._edit_weight(application, _EDITED_WEIGHT)
        share = load.measure(_CONTROL_REQUESTS).share("v2")
        self._claim(
            f"control: weight edited to {_EDITED_WEIGHT}, the share follows ({share.value:.1%})",
            holds=_EDITED_WEIGHT / 100 in share.interval,
        )
        router.start()
        router.wait_ready()
        self._wait(router.has_leases, "the router holds its Leases", _LEASE_SECONDS)
        began = time.monotonic()
        application.wait(lambda: application.canary_weight != _EDITED_WEIGHT, "the repair")
        seconds = time.monotonic() - began
        self._claim(
            f"the edit is repaired {seconds:.2f} s after the router holds its Leases",
            holds=seconds <= _REPAIR_SECONDS,
        )
        self.fleet.wait_record(application.key(), _DRIFTED)
        self._claim("the drift is said on Kafka", holds=True)

    def _by_metrics(self) -> None:
        """Metrics promote a good version, then abort a bad one."""
        self._title("Metrics promote a good version and abort a bad one")
        with self._application("metrics", "canary-with-metrics") as application:
            self._judge(application)

    def _judge(self, application: Application) -> None:
        with self._load(application) as load:
            self._release(application, "v2")
            application.wait_phase("Healthy", seconds=120)
            successes = application.measurements("Successful")
            self._claim(
                f"v2 is promoted with no person, after {successes} good measurements",
                holds=successes >= 3 and load.measure(500).versions == ["v2"],
            )
            self._release(application, "bad")
            application.wait_phase("Degraded", seconds=120)
            application.wait_weight(0)
            self._claim(
                "bad is aborted, and all traffic is back on v2",
                holds=load.measure(500).versions == ["v2"],
            )
            self.console.print(f"  {application.status()['message']}", style="dim")
            self._expect_no_failures(load, "v1", "v2")

    # Pieces

    @contextmanager
    def _application(self, name: str, example: str) -> Iterator[Application]:
        """Yield the application of an example, with its first version Healthy."""
        namespace = f"demo-{name}-{time.time_ns() // 10**6 % 10**7}"
        with Application(self.lab, namespace, self.fleet.instance_id) as application:
            application.deploy(example, asks_prometheus(self.lab.prometheus_url))
            yield application

    def _release(self, application: Application, tag: str) -> None:
        """Release a version and wait until its analysis has begun."""
        before = len(application.runs())
        application.set_image(tag)
        application.wait(lambda: len(application.runs()) > before, f"an analysis of {tag}")

    def _load(self, application: Application) -> SteadyLoad:
        return SteadyLoad(Load(self.lab.envoy_url, application.host, rate=_RATE))

    def _edit_weight(self, application: Application, weight: int) -> None:
        split = application.get(TRAFFIC_SPLITS, SPLIT)
        for backend in split["spec"]["backends"]:
            is_canary = backend["service"] == CANARY
            backend["weight"] = weight if is_canary else 100 - weight
        application.patch(TRAFFIC_SPLITS, SPLIT, {"spec": {"backends": split["spec"]["backends"]}})

    def _expect_share(self, load: SteadyLoad, wanted: float, requests: int) -> None:
        report = load.measure(requests)
        share = report.share("v2")
        low, high = share.interval.low, share.interval.high
        self._claim(
            f"{wanted:.0%} of {report.total:,} requests reach v2: {share.value:.2%}"
            f" (99.9 % interval {low:.2%} to {high:.2%})",
            holds=wanted in share.interval,
        )

    def _expect_no_failures(self, load: SteadyLoad, *good: str) -> None:
        report = load.stop()
        lost = report.failed_without_version
        bad = sum(
            count
            for version in good
            if version in report.versions
            for status, count in report.statuses(version).items()
            if status != 200
        )
        self._claim(
            f"none of {report.total:,} requests failed by the release itself",
            holds=lost == bad == 0,
        )

    def _wait(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise ActFailed(f"{what}: not within {seconds:.0f} s")
            time.sleep(0.02)

    def _title(self, text: str) -> None:
        self.console.print(f"\n{text}", style="bold")

    def _claim(self, text: str, *, holds: bool) -> None:
        self.results.append((text, holds))
        mark, style = ("✔", "green") if holds else ("✖", "red")
        self.console.print(f"  [{style}]{mark}[/{style}] {text}")


def tell_on_lab(directory: Path, console: Console) -> bool:
    """Tell the story on the lab of a folder, or on one for the time; return whether it held."""
    with ExitStack() as stack:
        lab = stack.enter_context(borrowed_lab(directory, progress=Progress()))
        fleet = three(lab, {"instance-id": f"demo-{time.time_ns() // 10**6 % 10**7}"})
        stack.callback(fleet.stop)
        return LabStory(lab, fleet.start(), console).tell()
