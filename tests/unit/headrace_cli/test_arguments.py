import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner, Result

from headrace import __version__
from headrace.runtime.cluster_kube import Overrides
from headrace_cli.app import build
from headrace_cli.target import Target


def run(*args: str) -> Result:
    return CliRunner().invoke(build(), list(args), prog_name="headrace")


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["get"],
        ["get", "rollout"],
        ["get", "ro"],
        ["get", "exp"],
        ["list", "rollout"],
        ["list", "experiments"],
        ["status"],
        ["events"],
        ["promote"],
        ["abort"],
        ["retry"],
        ["retry", "rollouts"],
        ["retry", "experiment"],
        ["undo"],
        ["pause"],
        ["restart"],
        ["set", "image"],
        ["terminate", "ar"],
        ["terminate", "exp"],
        ["version"],
        ["completion"],
    ],
)
def test_every_command_explains_itself(command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert result.output.startswith("Usage: headrace")


def test_the_help_lists_commands_in_the_order_of_a_release() -> None:
    lines = run("--help").output.split("Commands:")[1].splitlines()
    names = [line.split()[0] for line in lines if line.strip()]
    assert names[:6] == ["get", "list", "status", "explain", "events", "set"]
    assert sorted(names) == sorted(set(names))
    assert names[-4:] == ["lint", "plan", "version", "completion"]
    assert not any(line.endswith("...") for line in lines)


@pytest.mark.parametrize(
    "args",
    [
        ["promote"],
        ["promote", "a", "b"],
        ["abort"],
        ["get", "pod", "x"],
        ["nonsense"],
        ["set", "image", "web"],
        ["set", "image", "web", "a=b=c"],
        ["set", "image", "web", "=b"],
        ["status", "web", "--timeout", "soon"],
        ["restart", "web", "--in", "-1s"],
        ["events", "--since", "yesterday"],
        ["undo", "web", "--to-revision", "x"],
        ["promote", "web", "--via", "pigeon"],
        ["completion", "tcsh"],
    ],
)
def test_wrong_usage_is_told_on_standard_error(args: list[str]) -> None:
    """Before a cluster is looked for."""
    result = CliRunner(env={"KUBECONFIG": os.devnull}).invoke(build(), args, prog_name="headrace")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Usage: headrace")


@pytest.mark.spec("cli-and-clients 2.2")
@pytest.mark.parametrize("flags", ["-ca", "-ac"])
def test_the_flags_that_skip_exclude_each_other(flags: str) -> None:
    result = run("promote", "web", flags)
    assert (result.exit_code, result.stdout) == (2, "")
    told = "Error: Cannot use skip-current-step and skip-all-steps flags at the same time\n"
    assert result.stderr.endswith(told)


def test_names_what_no_kubeconfig_means() -> None:
    result = run("get", "rollout", "web", "--kubeconfig", "/does/not/exist")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: no kubeconfig at /does/not/exist: set --kubeconfig or KUBECONFIG\n"
    )


@pytest.mark.parametrize(
    "args",
    [
        ["status", "web", "--watch=false"],
        ["status", "web", "-w"],
        ["status", "--watch=true", "web"],
        ["--kubeconfig", "/other", "status", "web"],
        ["retry", "web"],
        ["retry", "rollout", "web", "other"],
        ["promote", "web", "--full=true"],
        ["promote", "web", "-c=1"],
        ["get", "-n", "demo", "rollout", "web"],
        ["-v=6", "get", "--as=ann", "ro", "web", "--no-color"],
        ["retry", "-n=demo", "web"],
        ["retry", "--via", "kubernetes", "web"],
        ["retry", "-n", "demo", "experiment", "web"],
    ],
)
def test_arguments_may_stand_as_in_kubectl(args: list[str]) -> None:
    kubeconfig = [] if "--kubeconfig" in args else ["--kubeconfig", "/does/not/exist"]
    result = run(*args, *kubeconfig)
    assert "no kubeconfig at" in result.stderr


@pytest.mark.spec("cli-and-clients 1")
@pytest.mark.parametrize(
    "args",
    [
        ["abort", "web", "--as", "ann", "--as-group", "a", "--as-group", "b", "--as-uid", "7"],
        ["--as=ann", "promote", "web", "-v", "6", "--loglevel", "debug"],
        ["status", "web", "--cluster", "c", "--user", "u", "--insecure-skip-tls-verify=true"],
        ["get", "ro", "web", "--token", "t", "--request-timeout", "5s", "--cache-dir", "/tmp"],
        ["list", "ro", "--client-key", "k", "--client-certificate", "c", "--tls-server-name", "n"],
    ],
)
def test_flags_of_kubectl_are_taken(args: list[str]) -> None:
    result = run(*args, "--kubeconfig", "/does/not/exist")
    assert "no kubeconfig at" in result.stderr


@pytest.mark.spec("cli-and-clients 1")
@pytest.mark.parametrize(
    "args",
    [
        ["get", "ro", "web", "-s=http://127.0.0.1:1", "-n=demo", "-v=6"],
        ["-n=demo", "get", "ro", "web", "-s", "http://127.0.0.1:1"],
        ["-n=other", "get", "-n=demo", "ro", "web", "-s", "http://127.0.0.1:1"],
        ["retry", "-s=http://127.0.0.1:1", "-n=demo", "web"],
        ["--insecure-skip-tls-verify=true", "-n=demo", "status", "web", "-s=http://127.0.0.1:1"],
        ["status", "web", "-t=5s", "-ndemo", "-w=false", "-s=http://127.0.0.1:1"],
    ],
)
def test_a_value_may_follow_a_letter_as_in_kubectl(args: list[str]) -> None:
    result = CliRunner(env={"KUBECONFIG": os.devnull}).invoke(build(), args)
    assert result.stderr.startswith('Error: Rollout "web" in namespace "demo": no answer: ')


def test_flags_after_the_command_complete_those_before_it() -> None:
    before = Target.of({"impersonated_user": "ann", "token": "old", "namespace": None})
    after = Target.of({"token": "new", "server": "https://api", "name": "web"})
    both = after.over(before)
    assert both == Target(impersonated_user="ann", token="new", server="https://api")
    assert both.overrides() == Overrides(server="https://api", token="new", impersonated_user="ann")


def test_what_follows_two_dashes_is_no_switch() -> None:
    result = run("abort", "--kubeconfig", "/does/not/exist", "--", "--watch=false")
    assert "no kubeconfig at" in result.stderr


def test_shows_the_version() -> None:
    assert run("version", "--short").output == f"headrace: v{__version__}\n"
    assert run("--version").output == f"headrace: v{__version__}\n"
    assert run("version").output.startswith(f"headrace: v{__version__}\n  Python: ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_prints_a_completion_script(shell: str) -> None:
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_HEADRACE_COMPLETE" in result.output


@pytest.mark.spec("cli-and-clients 1")
@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["pro"], "promote\tMove a Rollout past its pause or step.\n:4\n"),
        (["-n", "demo", "list", "rollouts", "--a"], "--all-namespaces\tOf all namespaces.\n:4\n"),
        (["lint", "-f", ""], ":0\n"),
    ],
)
def test_kubectl_gets_words_and_what_to_do_with_them(words: list[str], answer: str) -> None:
    code = "from headrace_cli.__main__ import complete_for_kubectl; complete_for_kubectl()"
    output = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert (output.stdout, output.stderr) == (answer, "")


class _Lists(BaseHTTPRequestHandler):
    """An API server that has `web` and `worker` of every kind in namespace demo."""

    def do_GET(self) -> None:
        items = [{"metadata": {"name": name}} for name in ("web", "worker")]
        is_demo = "/namespaces/demo/" in self.path
        listing = {"items": items if is_demo else [], "metadata": {"resourceVersion": "1"}}
        answer = json.dumps(listing).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Lists)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.spec("cli-and-clients 1")
@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["get", "rollout", "", "-n", "demo"], []),
        (["-n", "demo", "get", "ro", ""], ["web", "worker"]),
        (["get", "-n", "demo", "exp", "wo"], ["worker"]),
        (["terminate", "ar", "-n=demo", "w"], ["web", "worker"]),
        (["abort", "-n", "demo", "web", "wo"], ["worker"]),
        (["retry", "-n", "demo", "we"], ["web"]),
        (["retry", ""], ["experiment", "rollout"]),
        (["-n", "demo", "retry", "w"], ["web", "worker"]),
        (["retry", "-n", "demo", "web", "wo"], ["worker"]),
        (["retry", "-n", "demo", "exp"], ["experiment"]),
        (["list", "ro", "-n", "demo", "--name", "we"], ["web"]),
        (["get", "rollout", "w"], []),
    ],
)
def test_names_are_completed_by_what_the_cluster_has(
    words: list[str], names: list[str], api: str
) -> None:
    code = "from headrace_cli.__main__ import complete_for_kubectl; complete_for_kubectl()"
    answer = subprocess.run(
        [sys.executable, "-c", code, "-s", api, *words],
        env={**os.environ, "KUBECONFIG": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )
    offered = [line.split("\t")[0] for line in answer.stdout.splitlines()[:-1]]
    assert (sorted(offered), answer.stderr) == (names, "")


def test_help_loads_no_client_and_no_models() -> None:
    """What makes the start slow is imported when a command runs."""
    heavy = ("aiohttp", "aiokafka", "kubernetes_asyncio", "pydantic", "rich", "structlog")
    code = (
        "import sys; from headrace_cli.app import build; build(); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout == "[]\n"


def test_shells_get_commands_completed() -> None:
    environ = {
        **os.environ,
        "_HEADRACE_COMPLETE": "complete_bash",
        "COMP_WORDS": "headrace pro",
        "COMP_CWORD": "1",
    }
    output = subprocess.run(
        [sys.executable, "-m", "headrace_cli"], env=environ, capture_output=True, text=True
    )
    assert output.stdout == "promote\n"
