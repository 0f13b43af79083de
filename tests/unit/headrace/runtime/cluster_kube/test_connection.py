"""Where the API server is and who we are."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from headrace.errors import InvalidSpec
from headrace.runtime.clock import VirtualClock
from headrace.runtime.cluster_kube.connection import Connection, Kubeconfig, Overrides


def write(path: Path, user: dict[str, Any], **context: str) -> Kubeconfig:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "first",
        "clusters": [
            {"name": "one", "cluster": {"server": "http://127.0.0.1:1/"}},
            {"name": "two", "cluster": {"server": "http://127.0.0.1:2"}},
        ],
        "users": [{"name": "me", "user": user}],
        "contexts": [
            {"name": "first", "context": {"cluster": "one", "user": "me", **context}},
            {"name": "second", "context": {"cluster": "two", "user": "me"}},
        ],
    }
    path.write_bytes(orjson.dumps(config))
    return Kubeconfig(str(path))


def plugin(path: Path, expires: str | None = None) -> dict[str, Any]:
    """Return a user whose exec plugin gives a new token at each call."""
    status = {"token": "TOKEN"} | ({"expirationTimestamp": expires} if expires else {})
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": status,
    }
    script = path / "plugin.sh"
    text = orjson.dumps(credential).decode()
    script.write_text(
        f"echo >> {path}/calls; echo '{text}' | sed \"s/TOKEN/token-$(wc -l < {path}/calls)/\"\n"
    )
    command = {"command": "sh", "args": [str(script)], "apiVersion": credential["apiVersion"]}
    return {"exec": command}


async def test_reads_the_current_context(tmp_path: Path) -> None:
    kubeconfig = write(tmp_path / "config", {"token": "secret"}, namespace="shop")
    connection = await Connection.load(kubeconfig, VirtualClock())
    assert connection.server == "http://127.0.0.1:1"
    assert connection.namespace == "shop"
    assert await connection.authorization() == "Bearer secret"


async def test_reads_another_context(tmp_path: Path) -> None:
    path = write(tmp_path / "config", {}).path
    connection = await Connection.load(Kubeconfig(path, "second"), VirtualClock())
    assert connection.server == "http://127.0.0.1:2"
    assert connection.namespace == "default"
    assert await connection.authorization() is None


@pytest.mark.spec("cli-and-clients 1")
async def test_what_the_command_line_says_counts_instead_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "config", {"token": "of-the-file"}, namespace="shop").path
    overrides = Overrides(
        cluster="two",
        token="given",
        impersonated_user="ann",
        groups=("a", "b"),
        impersonated_uid="7",
    )
    connection = await Connection.load(Kubeconfig(path, None, overrides), VirtualClock())
    assert connection.server == "http://127.0.0.1:2"
    assert connection.namespace == "shop"
    assert await connection.authorization() == "Bearer given"
    assert connection.headers == (
        ("Impersonate-User", "ann"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
    )


@pytest.mark.spec("cli-and-clients 1")
@pytest.mark.parametrize("unknown", [Overrides(user="nobody"), Overrides(cluster="nobody")])
async def test_what_the_command_line_names_must_be_there(
    tmp_path: Path, unknown: Overrides
) -> None:
    """Nobody acts without credentials for a typing error."""
    path = write(tmp_path / "config", {"token": "of-the-file"}).path
    with pytest.raises(InvalidSpec, match="Expected object with name nobody"):
        await Connection.load(Kubeconfig(path, None, unknown), VirtualClock())


async def test_an_address_needs_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    overrides = Overrides(server="https://api:6443", insecure_skip_tls_verify=True)
    connection = await Connection.load(Kubeconfig(overrides=overrides), VirtualClock())
    assert connection.server == "https://api:6443"
    assert connection.tls.verify_mode is ssl.CERT_NONE
    with pytest.raises(InvalidSpec, match="no kubeconfig at"):
        await Connection.load(Kubeconfig("/absent", None, overrides), VirtualClock())


async def test_takes_the_certificates_that_clients_of_go_take(tmp_path: Path) -> None:
    """Those without an AuthorityKeyIdentifier, too, which Python from 3.13 on refuses."""
    connection = await Connection.load(
        Kubeconfig(write(tmp_path / "config", {}).path), VirtualClock()
    )
    assert connection.tls.verify_mode is ssl.CERT_REQUIRED
    assert not connection.tls.verify_flags & ssl.VERIFY_X509_STRICT


async def test_finds_the_users_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "config", {"token": "secret"}).path
    assert path is not None
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/absent:{path}")
    connection = await Connection.load(Kubeconfig(), VirtualClock())
    assert connection.server == "http://127.0.0.1:1"


@pytest.mark.parametrize("text", [None, "", "{}", "[]", "]", "current-context: x\ncontexts: 3"])
async def test_says_that_a_kubeconfig_is_not_usable(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidSpec, match="kubeconfig"):
        await Connection.load(Kubeconfig(str(path)), VirtualClock())


async def test_says_that_a_context_is_unknown(tmp_path: Path) -> None:
    path = write(tmp_path / "config", {}).path
    with pytest.raises(InvalidSpec, match="third"):
        await Connection.load(Kubeconfig(path, "third"), VirtualClock())


async def test_asks_a_plugin_again_shortly_before_its_token_ends(tmp_path: Path) -> None:
    clock = VirtualClock(1_700_000_000.0)  # 2023-11-14T22:13:20Z
    user = plugin(tmp_path, expires="2023-11-14T22:33:20Z")
    connection = await Connection.load(write(tmp_path / "config", user), clock)
    assert await connection.authorization() == "Bearer token-1"
    clock.advance(14 * 60)
    assert await connection.authorization() == "Bearer token-1"
    clock.advance(2 * 60)
    assert await connection.authorization() == "Bearer token-2"


async def test_asks_a_plugin_again_when_its_token_is_refused_but_not_all_the_time(
    tmp_path: Path,
) -> None:
    clock = VirtualClock()
    connection = await Connection.load(write(tmp_path / "config", plugin(tmp_path)), clock)
    clock.advance(60)
    used_at = clock.monotonic()
    clock.advance(1)
    assert await connection.renew(used_at)
    assert await connection.authorization() == "Bearer token-2"
    assert await connection.renew(used_at)  # refused before the renewal: worth another try
    assert not await connection.renew(clock.monotonic())
    assert await connection.authorization() == "Bearer token-2"


async def test_a_plugin_that_fails_is_told(tmp_path: Path) -> None:
    command = {"command": "false", "apiVersion": "client.authentication.k8s.io/v1"}
    with pytest.raises(InvalidSpec, match="process returned 1"):
        await Connection.load(write(tmp_path / "config", {"exec": command}), VirtualClock())


def test_the_typed_models_are_not_imported(tmp_path: Path) -> None:
    path = write(tmp_path / "config", {"token": "secret"}).path
    program = f"""
import asyncio, sys
from headrace.runtime.clock import VirtualClock
from headrace.runtime.cluster_kube.connection import Connection, Kubeconfig, Overrides
asyncio.run(Connection.load(Kubeconfig({path!r}), VirtualClock()))
print(sum(name.startswith("kubernetes_asyncio") for name in sys.modules))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("0\n", "")
