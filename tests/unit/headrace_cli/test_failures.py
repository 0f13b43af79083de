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
        (NotFound('404 NotFound: rollouts "x" not found'), "x not found; look there"),
        (
            NotFound("404 NotFound: the server could not find the requested resource"),
            "install the CRDs: kubectl apply --server-side --force-conflicts -k deploy/crds",
        ),
        (Forbidden("401 Unauthorized: Unauthorized"), "does not accept your credentials"),
        (Forbidden('403 Forbidden: User "me" cannot patch'), '(User "me" cannot patch)'),
        (InvalidSpec("no kubeconfig at ~/.kube/config"), "no kubeconfig at ~/.kube/config"),
        (Conflict("409 Conflict: modified"), "changed by somebody else"),
        (Rejected("422 Invalid: spec.replicas"), "refused by the API server: spec.replicas"),
        (RateLimited("429 TooManyRequests: slow down"), "busy (slow down)"),
        (Unavailable("GET /x: no answer in time"), "does the cluster run"),
        (RolloutError("odd"), "x: odd"),
    ],
)
def test_says_what_is_wrong_and_what_to_do(error: RolloutError, words: str) -> None:
    assert words in explain(error, "x", remedy="look there")


def test_errors_become_failures_that_keep_their_cause() -> None:
    with pytest.raises(Failure) as caught, about("x"):
        raise NotFound("404 NotFound: gone")
    assert isinstance(caught.value.__cause__, NotFound)
    assert caught.value.exit_code == 1
