"""The pod stand-in: scheduler and kubelet of a lab without a container runtime.

It binds every pod to its one node and plays its life. Pods of the sample application run as real
processes on addresses of their own; all others have none and become what their spec asks for:
ready, crashing, not pullable, or ended like a script. See `kubelet_pods` for the marks.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from ipaddress import IPv4Network
from pathlib import Path

import aiohttp
import uvloop

from headrace_lab.kube import DELETED, PODS, Kube, Object
from headrace_lab.kubelet_node import Addresses, Node, Targets
from headrace_lab.kubelet_pods import SAMPLE_APP
from headrace_lab.kubelet_process import stop_orphans
from headrace_lab.kubelet_worker import PodWorker

logger = logging.getLogger(__name__)

_STOP_GRACE_SECONDS = 3.0
_PROBE_TIMEOUT_SECONDS = 1.0


class Kubelet:
    """One worker per pod."""

    def __init__(self, node: Node, ready_file: Path | None = None) -> None:
        self._node = node
        self._ready_file = ready_file
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Play all pods, for ever."""
        await self._node.kube.follow(PODS, self.on_change, on_synced=self._on_synced)

    def on_change(self, kind: str, pod: Object) -> None:
        """Take one event of the watch."""
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        if kind == DELETED:
            self._forget(uid)
        elif worker is not None:
            worker.update(pod)
        else:
            worker = self._workers[uid] = PodWorker(self._node, pod)
            task = self._tasks[uid] = asyncio.create_task(worker.run())
            task.add_done_callback(_tell_failure)

    async def stop(self) -> None:
        """End all processes; the pods' objects stay as they are."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        stops = (worker.stop(_STOP_GRACE_SECONDS) for worker in self._workers.values())
        await asyncio.gather(*stops)

    def _forget(self, uid: str) -> None:
        task = self._tasks.pop(uid, None)
        if task is not None:
            task.cancel()
        worker = self._workers.pop(uid, None)
        if worker is not None:
            worker.clear()

    def _on_synced(self) -> None:
        stop_orphans(self._node.run, keep=frozenset(self._workers))
        self._node.targets.write()
        if self._ready_file is not None:
            self._ready_file.parent.mkdir(parents=True, exist_ok=True)
            self._ready_file.touch()


def _tell_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("a pod's worker failed", exc_info=error)


async def serve(options: argparse.Namespace) -> None:
    """Run until SIGTERM."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    options.run.mkdir(parents=True, exist_ok=True)
    options.targets.mkdir(parents=True, exist_ok=True)
    probes = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, limit=0),
        timeout=aiohttp.ClientTimeout(total=_PROBE_TIMEOUT_SECONDS),
    )
    async with Kube.from_kubeconfig(options.kubeconfig) as kube, probes:
        node = Node(
            kube=kube,
            probes=probes,
            run=options.run.resolve(),
            addresses=Addresses(options.pod_network),
            targets=Targets(options.targets / "pods.json"),
            images={SAMPLE_APP: options.sample_app.resolve()},
        )
        kubelet = Kubelet(node, options.ready_file)
        running = asyncio.create_task(kubelet.run())
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            running.cancel()
        await kubelet.stop()
        if running.done() and not running.cancelled():
            running.result()


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    repository = Path(__file__).parents[3]
    parser = argparse.ArgumentParser(prog="headrace_lab.kubelet", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path)
    parser.add_argument("--targets", type=Path, help="folder of Prometheus' discovery files")
    parser.add_argument("--run", type=Path, required=True, help="folder of the pods' files")
    parser.add_argument("--pod-network", type=IPv4Network, default=IPv4Network("127.20.0.0/16"))
    parser.add_argument("--ready-file", type=Path)
    parser.add_argument("--sample-app", type=Path, default=repository / "examples" / SAMPLE_APP)
    parser.add_argument("--stop-orphans", action="store_true", help="end left processes and exit")
    options = parser.parse_args(arguments)
    if not options.stop_orphans and (options.kubeconfig is None or options.targets is None):
        parser.error("--kubeconfig and --targets are required")
    return options


def main() -> None:
    """Entry point of `python -m headrace_lab.kubelet`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    options = parse_arguments()
    if options.stop_orphans:
        stop_orphans(options.run)
    else:
        uvloop.run(serve(options))


if __name__ == "__main__":
    main()
