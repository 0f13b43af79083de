"""The watchdog wakes what slept past its time, and counts what is stuck."""

from __future__ import annotations

from headrace.kubernetes.resources import ROLLOUTS
from headrace.model.meta import format_time
from headrace.runtime.clock import VirtualClock
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import MemoryCluster
from rollout_controller.caches import Caches
from rollout_controller.core.status.stuck import GRACE_SECONDS
from rollout_controller.watchdog import Watchdog


async def test_wakes_and_counts() -> None:
    clock = VirtualClock()
    user = MemoryCluster(clock).client("user")
    since = format_time(clock.now())
    for name, waiting in {
        "asleep": {"reason": "Duration", "since": since, "expected": since},
        "told": {"reason": "Frozen", "since": since, "expected": since, "stuck": since},
        "person": {"reason": "Person", "since": since},
    }.items():
        await user.create(ROLLOUTS, {"metadata": {"namespace": "shop", "name": name}, "spec": {}})
        body = MergePatch({"status": {"headrace": {"waiting": waiting}}})
        await user.patch(ROLLOUTS, "shop", name, body, subresource="status")
    rollouts = Caches().rollouts
    rollouts.replace(await user.list(ROLLOUTS))
    woken: list[str] = []
    watchdog = Watchdog(rollouts, clock, woken.append)
    watchdog.look()
    assert woken == []
    assert list(watchdog.count()) == [(("Frozen",), 1.0)]
    clock.advance(GRACE_SECONDS)
    watchdog.look()
    assert woken == ["shop/asleep"]
    assert list(watchdog.count()) == [(("Duration",), 1.0), (("Frozen",), 1.0)]
