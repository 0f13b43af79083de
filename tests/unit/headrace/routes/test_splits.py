from __future__ import annotations

import pytest

from headrace.model.route import BackendShare
from headrace.routes.splits import Split, all_to_stable, raises


def split(*weights: tuple[str, int]) -> Split:
    return tuple(BackendShare(service=name, weight=weight) for name, weight in weights)


@pytest.mark.parametrize(
    ("rendered", "observed", "is_raise"),
    [
        (split(("c", 10), ("s", 90)), split(("c", 0), ("s", 100)), True),
        (split(("c", 10), ("s", 90)), split(("c", 10), ("s", 90)), False),
        (split(("c", 0), ("s", 100)), split(("c", 10), ("s", 90)), False),
        (split(("c", 1), ("s", 99)), (), True),
        (split(("c", 0), ("s", 100)), (), False),
        (split(("c", 0), ("e", 5), ("s", 95)), split(("c", 50), ("s", 50)), True),
        (split(("c", 100), ("s", 900)), split(("c", 10), ("s", 90)), False),
        (split(("c", 50), ("s", 50)), split(("c", 100), ("s", 900)), True),
        (split(("c", 15), ("s", 85)), split(("c", 10), ("s", 90), ("c", 20), ("s", 80)), True),
        (split(("c", 10), ("s", 90)), split(("c", -1), ("s", 90)), True),
        (split(("c", 0), ("s", 0)), split(("c", 0), ("s", 0)), False),
    ],
)
def test_a_raise_gives_more_to_any_backend_but_stable(
    rendered: Split, observed: Split, is_raise: bool
) -> None:
    assert raises(rendered, observed, "s") is is_raise


def test_all_to_stable_keeps_the_total() -> None:
    lowered = all_to_stable(split(("c", 10), ("e", 5), ("s", 85)))
    assert lowered == split(("c", 0), ("e", 0), ("s", 100))
    assert all_to_stable(()) == ()
