"""The life of one pod, from binding to deletion."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable

import aiohttp

from headrace_lab.kube import PODS, STRATEGIC_MERGE_PATCH, KubeError, Object, key_of, timestamp
from headrace_lab.kubelet_node import NODE_NAME, Node
from headrace_lab.kubelet_pods import (
    ContainerPlan,
    ContainerState,
    first_port,
    init_seconds,
    is_told,
    is_unschedulable,
    named_port,
    plan_containers,
    pod_status,
    told_states,
    unschedulable_status,
)
from headrace_lab.kubelet_process import (
    EXIT_NOT_STARTED,
    EXIT_UNKNOWN,
    Process,
    write_downward_files,
)

logger = logging.getLogger(__name__)

_PULL_BACK_OFF_SECONDS = 1.0
_CRASH_BACK_OFF_SECONDS_MIN = 1.0
_CRASH_BACK_OFF_SECONDS_MAX = 300.0
_STARTING_PROBE_SECONDS = 0.05
_STARTING_PROBE_FACTOR = 1.2
_RETRY_SECONDS_MIN = 0.1
_RETRY_SECONDS_MAX = 2.0
_EXIT_TERMINATED = 143
_GRACE_AFTER_PRE_STOP_SECONDS_MIN = 2.0


class PodWorker:
    """Plays scheduler and kubelet for one pod.

    Most pods have no process and are ready at once: for them it costs one binding, one status
    patch and one deletion. `update` takes what the watch says, `run` does the rest.
    """

    def __init__(self, node: Node, pod: Object) -> None:
        self._node = node
        self._pod = pod
        self._namespace, self._name = key_of(pod)
        self._folder = node.run / pod["metadata"]["uid"]
        self._address = pod.get("status", {}).get("podIP", "")
        if self._address:
            node.addresses.reserve(self._address)
        self._plans = plan_containers(pod)
        self._states = told_states(pod)
        self._processes: dict[str, Process] = {}
        self._deletion = asyncio.Event()
        self._stale = asyncio.Event()
        self.update(pod)

    def update(self, pod: Object) -> None:
        """Take the pod as it is now; older versions are ignored."""
        if int(pod["metadata"]["resourceVersion"]) < int(self._pod["metadata"]["resourceVersion"]):
            return
        self._pod = pod
        if "deletionTimestamp" in pod["metadata"]:
            self._deletion.set()
        if self._processes:
            write_downward_files(pod, self._folder, self._address)
        if pod["spec"].get("readinessGates"):
            self._stale.set()

    async def run(self) -> None:
        """Live until someone deletes the pod, then end it."""
        living = asyncio.create_task(self._live())
        deletion = asyncio.create_task(self._deletion.wait())
        try:
            await asyncio.wait((living, deletion), return_when=asyncio.FIRST_COMPLETED)
            if living.done():
                living.result()
            await deletion
        finally:
            living.cancel()
            deletion.cancel()
            await asyncio.wait((living,))
        await self._end()

    async def stop(self, grace_seconds: float) -> None:
        """End the pod's processes without a word to the API server."""
        await asyncio.gather(*(item.stop(grace_seconds) for item in self._processes.values()))

    def clear(self) -> None:
        """Forget the pod: the object is gone."""
        for process in self._processes.values():
            process.kill()
        self._drop_targets()
        self._node.addresses.give_back(self._address)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _live(self) -> None:
        if is_unschedulable(self._pod):
            await self._write_status(unschedulable_status(self._pod, timestamp()))
            return
        # Only now, so that all pods found at the start have reserved theirs.
        self._address = self._address or self._node.addresses.take()
        if not self._pod["spec"].get("nodeName"):
            await self._bind()
        await _pause(init_seconds(self._pod))
        self._stale.set()
        async with asyncio.TaskGroup() as group:
            for plan in self._plans:
                group.create_task(self._run_container(plan))
            group.create_task(self._publish_changes())

    async def _bind(self) -> None:
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": self._name, "uid": self._pod["metadata"]["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NODE_NAME},
        }
        path = PODS.path(self._namespace, self._name, "binding")
        await _persist(lambda: self._node.kube.request("POST", path, binding))

    async def _publish_changes(self) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            await self._publish()

    async def _publish(self) -> None:
        status = pod_status(self._pod, self._states, address=self._address, now=timestamp())
        if not is_told(self._pod, status):
            await self._write_status(status)

    async def _write_status(self, status: Object) -> None:
        path = PODS.path(self._namespace, self._name, "status")
        patch = {"metadata": {"uid": self._pod["metadata"]["uid"]}, "status": status}
        answer = await _persist(
            lambda: self._node.kube.request(
                "PATCH", path, patch, content_type=STRATEGIC_MERGE_PATCH
            )
        )
        if answer is not None:
            self.update(answer)

    def _set(self, plan: ContainerPlan, state: ContainerState) -> None:
        if state != self._states[plan.name]:
            self._states[plan.name] = state
            self._stale.set()

    async def _run_container(self, plan: ContainerPlan) -> None:
        if plan.is_pull_failing:
            self._set(plan, self._states[plan.name].wait("ErrImagePull"))
            await asyncio.sleep(_PULL_BACK_OFF_SECONDS)
            self._set(plan, self._states[plan.name].wait("ImagePullBackOff"))
            return
        policy = self._pod["spec"].get("restartPolicy", "Always")
        while True:
            state = self._states[plan.name]
            if state.is_over(policy):
                return
            if state.is_crashing:
                self._set(plan, state.wait("CrashLoopBackOff"))
                await asyncio.sleep(_crash_back_off(state.restarts))
            code = await self._run_once(plan)
            if code is None:
                return
            self._set(plan, self._states[plan.name].end(code, timestamp()))

    async def _run_once(self, plan: ContainerPlan) -> int | None:
        """Run a container and return its exit code, None if it stays as it is until deleted."""
        if plan.is_process:
            return await self._run_process(plan)
        delay = plan.initial_delay_seconds
        if not self._states[plan.name].started_at:
            await _pause(plan.post_start_seconds)
            is_ready = not delay and not plan.is_never_ready
            self._set(plan, self._states[plan.name].run(timestamp(), ready=is_ready))
        if plan.script is not None:
            delay = min(delay, plan.script.seconds)
        await _pause(delay)
        if not plan.is_never_ready:
            self._set_ready(plan, True)
        if plan.script is None:
            return None
        await asyncio.sleep(plan.script.seconds - delay)
        return plan.script.exit_code

    async def _run_process(self, plan: ContainerPlan) -> int:
        container = self._container(plan)
        process = self._take_over(plan)
        if process is None:
            try:
                process = self._start(plan, container)
            except OSError as error:
                logger.warning("pod %s: cannot start %s: %s", self._name, plan.name, error)
                return EXIT_NOT_STARTED
            self._processes[plan.name] = process
            await _pause(plan.post_start_seconds)
            self._set(plan, self._states[plan.name].run(timestamp(), ready=False))
        probing = asyncio.create_task(self._probe(plan, container))
        try:
            return await process.wait()
        finally:
            probing.cancel()

    def _take_over(self, plan: ContainerPlan) -> Process | None:
        """The process that an earlier stand-in left running."""
        state = self._states[plan.name]
        if not state.started_at:
            return None
        process = Process.find(self._folder, plan.name)
        if process is not None:
            self._processes[plan.name] = process
            write_downward_files(self._pod, self._folder, self._address)
        else:
            self._states[plan.name] = state.end(EXIT_UNKNOWN, timestamp())
        return process

    def _start(self, plan: ContainerPlan, container: Object) -> Process:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_downward_files(self._pod, self._folder, self._address)
        return Process.start(
            self._pod,
            container,
            image=self._node.image_folder(plan.image),
            folder=self._folder,
            address=self._address,
        )

    async def _probe(self, plan: ContainerPlan, container: Object) -> None:
        """Keep the container's readiness: asked often until the first success, then per period."""
        probe = container.get("readinessProbe", {})
        await _pause(plan.initial_delay_seconds)
        failures_max = int(probe.get("failureThreshold", 3))
        period = float(probe.get("periodSeconds", 10))
        port = first_port(container)
        failures = 0
        pause = _STARTING_PROBE_SECONDS
        while True:
            if await self._is_answering(container):
                failures = 0
                pause = period
                if port is not None:
                    self._node.targets.add(self._pod, self._address, port)
                self._set_ready(plan, not plan.is_never_ready)
            else:
                failures += 1
                if failures >= failures_max:
                    self._set_ready(plan, False)
            await asyncio.sleep(pause)
            pause = min(pause * _STARTING_PROBE_FACTOR, period)

    async def _is_answering(self, container: Object) -> bool:
        match container.get("readinessProbe", {}):
            case {"httpGet": request}:
                port = named_port(container, request["port"])
                url = f"http://{self._address}:{port}{request.get('path', '/')}"
                try:
                    async with self._node.probes.get(url) as response:
                        return 200 <= response.status < 400
                except (aiohttp.ClientError, TimeoutError):
                    return False
        port = first_port(container) or 0
        if not port:
            return True
        try:
            _, writer = await asyncio.open_connection(self._address, port)
        except OSError:
            return False
        writer.close()
        return True

    def _set_ready(self, plan: ContainerPlan, is_ready: bool) -> None:
        self._set(plan, self._states[plan.name].answer(ready=is_ready))

    def _container(self, plan: ContainerPlan) -> Object:
        containers = self._pod["spec"]["containers"]
        return next(item for item in containers if item["name"] == plan.name)

    async def _end(self) -> None:
        """Stop the containers within the grace period, then take the object away."""
        grace = float(self._pod["metadata"].get("deletionGracePeriodSeconds") or 0)
        has_started = any(state.started_at for state in self._states.values())
        pre_stop = max(plan.pre_stop_seconds for plan in self._plans) if has_started else 0.0
        await asyncio.sleep(min(pre_stop, grace))
        await self.stop(max(grace - pre_stop, _GRACE_AFTER_PRE_STOP_SECONDS_MIN))
        self._drop_targets()
        if self._pod["metadata"].get("finalizers"):
            await self._publish_end()
        options = {
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": self._pod["metadata"]["uid"]},
        }
        path = PODS.path(self._namespace, self._name)
        await _persist(lambda: self._node.kube.request("DELETE", path, options))

    async def _publish_end(self) -> None:
        """Say how a pod ended whose object stays: the job controller counts it by its phase."""
        for name, state in self._states.items():
            if state.exit is None:
                self._states[name] = state.end(_EXIT_TERMINATED, timestamp())
        await self._publish()

    def _drop_targets(self) -> None:
        for plan in self._plans:
            port = first_port(self._container(plan))
            if port is not None:
                self._node.targets.remove(self._address, port)


def _crash_back_off(restarts: int) -> float:
    seconds = _CRASH_BACK_OFF_SECONDS_MIN * 2.0 ** (restarts - 1)
    return min(seconds, _CRASH_BACK_OFF_SECONDS_MAX)


async def _pause(seconds: float) -> None:
    """Wait, but let nobody else run when there is nothing to wait for: one status patch less."""
    if seconds > 0:
        await asyncio.sleep(seconds)


async def _persist(send: Callable[[], Awaitable[Object]]) -> Object | None:
    """Send until the API server takes it; None if it never will (the pod is gone or bound)."""
    delay = _RETRY_SECONDS_MIN
    while True:
        try:
            return await send()
        except KubeError as error:
            if error.status in (404, 409):
                return None
            if error.status < 500 and error.status != 429:
                logger.exception("the API server refuses a request")
                return None
        except (aiohttp.ClientError, TimeoutError) as error:
            logger.info("request failed, trying again: %r", error)
        await asyncio.sleep(delay)
        delay = min(delay * 2, _RETRY_SECONDS_MAX)
