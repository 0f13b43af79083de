from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from headrace_lab.kubelet_process import Process, ProcessId, stop_orphans, write_downward_files

PRINT_ENVIRONMENT = ["sh", "-c", 'echo "$SAMPLE_VERSION $(POD_IP) $PODINFO_DIR $COPY"']


def make_pod(command: list[str]) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "pod",
            "namespace": "default",
            "uid": "1",
            "labels": {"role": "canary"},
        },
        "spec": {
            "containers": [
                {
                    "name": "main",
                    "image": "x/sample-app:v2",
                    "command": command,
                    "env": [
                        {
                            "name": "POD_IP",
                            "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}},
                        },
                        {"name": "PODINFO_DIR", "value": "/etc/podinfo/"},
                        {"name": "COPY", "value": "$(POD_IP)-$(NONE)"},
                    ],
                    "volumeMounts": [{"name": "info", "mountPath": "/etc/podinfo"}],
                }
            ],
            "volumes": [
                {
                    "name": "info",
                    "downwardAPI": {
                        "items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
                    },
                }
            ],
        },
    }


def start(pod: dict[str, Any], folder: Path) -> Process:
    folder.mkdir(exist_ok=True)
    container = pod["spec"]["containers"][0]
    return Process.start(pod, container, image=folder, folder=folder, address="127.20.0.1")


async def test_the_environment_is_the_pods_with_real_paths(tmp_path: Path) -> None:
    folder = tmp_path / "1"

    code = await start(make_pod(PRINT_ENVIRONMENT), folder).wait()

    assert code == 0
    mounted = f"{folder}/volumes/info/"
    expected = f"v2 127.20.0.1 {mounted} 127.20.0.1-$(NONE)\n"
    assert (folder / "main.log").read_text() == expected


async def test_the_exit_code_is_the_processs_own(tmp_path: Path) -> None:
    assert await start(make_pod(["sh", "-c", "exit 7"]), tmp_path / "1").wait() == 7


async def test_the_exit_code_of_a_signal_is_that_of_a_container(tmp_path: Path) -> None:
    process = start(make_pod(["sleep", "60"]), tmp_path / "1")

    process.id.signal_group(signal.SIGKILL)

    assert await process.wait() == 137


async def test_a_process_is_found_again_until_it_ends(tmp_path: Path) -> None:
    folder = tmp_path / "1"
    process = start(make_pod(["sleep", "60"]), folder)

    found = Process.find(folder, "main")

    assert found is not None
    assert found.id == process.id
    await process.stop(5.0)
    assert Process.find(folder, "main") is None


async def test_a_process_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    script = "trap '' TERM; touch ready; while true; do sleep 0.05; done"
    process = start(make_pod(["sh", "-c", script]), tmp_path / "1")
    async with asyncio.timeout(5):
        while not (tmp_path / "1" / "ready").exists():
            await asyncio.sleep(0.01)

    await process.stop(0.1)

    assert not process.id.is_alive


def test_a_later_process_with_the_same_number_is_another_one(tmp_path: Path) -> None:
    process = start(make_pod(["sleep", "60"]), tmp_path / "1")

    assert process.id.is_alive
    assert not ProcessId(process.id.pid, "0").is_alive
    process.kill()


def test_a_command_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="does-not-exist"):
        start(make_pod(["does-not-exist"]), tmp_path / "1")


def test_orphans_are_killed_and_forgotten_but_those_to_keep(tmp_path: Path) -> None:
    kept = start(make_pod(["sleep", "60"]), tmp_path / "kept")
    orphan = start(make_pod(["sleep", "60"]), tmp_path / "orphan")

    stopped = stop_orphans(tmp_path, keep=frozenset({"kept"}))

    assert stopped == 1
    assert kept.id.is_alive
    assert not (tmp_path / "orphan").exists()
    orphan.kill()
    assert not orphan.id.is_alive
    kept.kill()


def test_downward_files_follow_the_labels(tmp_path: Path) -> None:
    pod = make_pod([])
    file = tmp_path / "volumes" / "info" / "labels"

    write_downward_files(pod, tmp_path, "127.20.0.1")
    before = (file.read_text(), file.stat().st_ino)
    write_downward_files(pod, tmp_path, "127.20.0.1")
    same = (file.read_text(), file.stat().st_ino)
    pod["metadata"]["labels"]["role"] = "stable"
    write_downward_files(pod, tmp_path, "127.20.0.1")

    assert before == same
    assert before[0] == 'role="canary"'
    assert file.read_text() == 'role="stable"'
