"""Pods of the sample application as local processes, each on its own loopback address.

A process belongs to a container of a pod and is recorded in the pod's folder, so that a stand-in
that was killed finds it again, and `stop_orphans` can end what nobody watches any more.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import orjson

from headrace_lab.kube import Object
from headrace_lab.kubelet_pods import field_value, image_tag
from headrace_lab.processes import OWNER_VARIABLE

EXIT_UNKNOWN = 255
"""Exit code told for a process that was taken over: only its parent can know the real one."""
EXIT_NOT_STARTED = 128
_EXIT_BY_SIGNAL = 128
_RECORD_SUFFIX = ".process"


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process, told apart from a later one with the same number by its start time."""

    pid: int
    start_time: str

    @property
    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return _start_time(self.pid) == self.start_time

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the process and its children, if it is still there."""
        if self.is_alive:
            os.killpg(self.pid, number)


class Process:
    """One running process of a pod."""

    def __init__(self, process_id: ProcessId, child: subprocess.Popen[bytes] | None) -> None:
        self.id = process_id
        self._child = child

    @classmethod
    def start(
        cls, pod: Object, container: Object, *, image: Path, folder: Path, address: str
    ) -> Process:
        """Start a container's command in its image's folder.

        Raises:
            OSError: The command cannot be executed.
        """
        argv = [*container.get("command", []), *container.get("args", [])]
        mounts = _mounts(pod, container, folder)
        environment = _environment(pod, container, mounts, address)
        with (folder / f"{container['name']}.log").open("ab") as log:
            child = subprocess.Popen(
                [_relocate(_expand(word, environment), mounts) for word in argv],
                cwd=image,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        process_id = ProcessId(child.pid, _start_time(child.pid) or "")
        record = {"pid": process_id.pid, "startTime": process_id.start_time}
        _replace(_record_file(folder, container["name"]), orjson.dumps(record))
        return cls(process_id, child)

    @classmethod
    def find(cls, folder: Path, container: str) -> Process | None:
        """The process recorded for a container, if it still runs."""
        process_id = _recorded(_record_file(folder, container))
        if process_id is None or not process_id.is_alive:
            return None
        return cls(process_id, None)

    async def wait(self) -> int:
        """Wait for the end and return the exit code, 128 more than the number of a signal."""
        loop = asyncio.get_running_loop()
        try:
            descriptor = os.pidfd_open(self.id.pid)
        except ProcessLookupError:
            return self._exit_code()
        ended = loop.create_future()
        loop.add_reader(descriptor, _settle, ended)
        try:
            await ended
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        return self._exit_code()

    async def stop(self, grace_seconds: float) -> None:
        """End the process: SIGTERM, and SIGKILL when the grace is over."""
        self.id.signal_group(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_seconds):
                await self.wait()
        except TimeoutError:
            self.kill()

    def kill(self) -> None:
        """End the process at once."""
        self.id.signal_group(signal.SIGKILL)
        if self._child is not None:
            self._child.wait()

    def _exit_code(self) -> int:
        if self._child is None:
            return EXIT_UNKNOWN
        code = self._child.wait()
        return code if code >= 0 else _EXIT_BY_SIGNAL - code


def write_downward_files(pod: Object, folder: Path, address: str) -> None:
    """Write a pod's downward-API volumes; a file is replaced only when its text changed."""
    for volume in pod["spec"].get("volumes", []):
        for item in volume.get("downwardAPI", {}).get("items", []):
            if "fieldRef" not in item:
                continue
            file = _volume_folder(folder, volume["name"]) / item["path"]
            text = field_value(pod, item["fieldRef"]["fieldPath"], address=address).encode()
            if not file.exists() or file.read_bytes() != text:
                file.parent.mkdir(parents=True, exist_ok=True)
                _replace(file, text)


def stop_orphans(run: Path, *, keep: frozenset[str] = frozenset()) -> int:
    """Kill the recorded processes of all pods but those to keep (uids); return how many."""
    stopped = 0
    for folder in run.iterdir() if run.is_dir() else ():
        if folder.name in keep or not folder.is_dir():
            continue
        for record in folder.glob(f"*{_RECORD_SUFFIX}"):
            process = Process.find(folder, record.name.removesuffix(_RECORD_SUFFIX))
            if process is not None:
                process.kill()
                stopped += 1
        shutil.rmtree(folder, ignore_errors=True)
    return stopped


def _environment(
    pod: Object, container: Object, mounts: dict[str, Path], address: str
) -> dict[str, str]:
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOSTNAME": pod["metadata"]["name"],
        "SAMPLE_VERSION": image_tag(container["image"]),
    }
    if owner := os.environ.get(OWNER_VARIABLE):
        # So that the lab ends it too, should the stand-in be killed.
        environment[OWNER_VARIABLE] = owner
    for entry in container.get("env", []):
        reference = entry.get("valueFrom", {}).get("fieldRef")
        if reference is not None:
            value = field_value(pod, reference["fieldPath"], address=address)
        else:
            value = _expand(entry.get("value", ""), environment)
        environment[entry["name"]] = _relocate(value, mounts)
    return environment


def _expand(value: str, environment: dict[str, str]) -> str:
    return re.sub(r"\$\((\w+)\)", lambda name: environment.get(name[1], name[0]), value)


def _mounts(pod: Object, container: Object, folder: Path) -> dict[str, Path]:
    """Where each mount path of the container really is."""
    mounts = {}
    for mount in container.get("volumeMounts", []):
        real = _volume_folder(folder, mount["name"])
        real.mkdir(parents=True, exist_ok=True)
        mounts[mount["mountPath"].rstrip("/")] = real
    return mounts


def _relocate(text: str, mounts: dict[str, Path]) -> str:
    """Without a mount namespace a process sees real paths: put them in place of mount paths."""
    for path, real in mounts.items():
        if text == path or text.startswith(path + "/"):
            return str(real) + text.removeprefix(path)
    return text


def _volume_folder(folder: Path, volume: str) -> Path:
    return folder / "volumes" / volume


def _record_file(folder: Path, container: str) -> Path:
    return folder / f"{container}{_RECORD_SUFFIX}"


def _recorded(file: Path) -> ProcessId | None:
    try:
        record = orjson.loads(file.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    return ProcessId(record["pid"], record["startTime"])


def _start_time(pid: int) -> str | None:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = status.rpartition(")")[2].split()
    return fields[19] if fields[0] not in "ZX" else None


def _settle(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


def _replace(file: Path, content: bytes) -> None:
    draft = file.with_name(f".{file.name}.new")
    draft.write_bytes(content)
    draft.replace(file)
