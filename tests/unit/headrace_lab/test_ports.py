from __future__ import annotations

import random
import socket
from collections.abc import Iterator

import pytest

from headrace_lab import ports
from headrace_lab.errors import LabError


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_chooses_a_row_of_free_ports_below_those_of_outgoing_connections() -> None:
    chosen = ports.choose(["a", "b", "c"], {}, random.Random(1))

    assert list(chosen) == ["a", "b", "c"]
    numbers = list(chosen.values())
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    assert ports.LOWEST <= numbers[0] < ports.HIGHEST < 32768


def test_takes_chosen_ports_as_they_are() -> None:
    free = ports.choose(["a"], {})["a"]

    chosen = ports.choose(["a", "b"], {"a": free})

    assert chosen["a"] == free
    assert chosen["b"] != free


def test_refuses_a_chosen_port_that_is_in_use(taken: int) -> None:
    with pytest.raises(LabError, match=f"port {taken}, chosen for a, is in use"):
        ports.choose(["a"], {"a": taken})


def test_refuses_a_port_name_that_the_lab_does_not_have() -> None:
    with pytest.raises(LabError, match="unknown port names: b"):
        ports.choose(["a"], {"b": 1})


def test_tells_whether_something_listens(taken: int) -> None:
    assert ports.is_open(taken)
    assert not ports.is_free(taken)
