import pytest

from headrace.errors import (
    Conflict,
    Forbidden,
    InvalidSpec,
    NotFound,
    RateLimited,
    Rejected,
    RolloutError,
    Unavailable,
)
from headrace_cli.failures import Failure, about, explain


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NotFound('rollouts "x" not found'), "x not found; look there"),
        (
            NotFound("the server could not find the requested resource"),
            "install the CRDs: kubectl apply --server-side --force-conflicts -k deploy/crds",
        ),
        (Forbidden("Unauthorized"), "does not accept your credentials"),
        (Forbidden('pods is forbidden: User "me"'), '(pods is forbidden: User "me")'),
        (InvalidSpec("no kubeconfig at ~/.kube/config"), "no kubeconfig at ~/.kube/config"),
        (Conflict("modified"), "changed by somebody else"),
        (Rejected("spec.replicas"), "refused by the API server: spec.replicas"),
        (RateLimited("slow down"), "busy (slow down)"),
        (Unavailable("GET /x: no answer in time"), "does the cluster run"),
        (RolloutError("odd"), "x: odd"),
    ],
)
def test_says_what_is_wrong_and_what_to_do(error: RolloutError, words: str) -> None:
    assert words in explain(error, "x", remedy="look there")


def test_errors_become_failures_that_keep_their_cause() -> None:
    with pytest.raises(Failure) as caught, about("x"):
        raise NotFound("gone")
    assert isinstance(caught.value.__cause__, NotFound)
    assert caught.value.exit_code == 1
