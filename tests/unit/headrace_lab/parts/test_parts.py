from __future__ import annotations

import pytest

from headrace_lab.errors import LabError
from headrace_lab.parts import PARTS, PORT_NAMES, named, select


def test_a_part_brings_what_it_needs_in_the_order_of_starting() -> None:
    assert select(["envoy"]) == ("etcd", "apiserver", "mesh", "envoy")


def test_a_group_is_its_parts() -> None:
    assert select(["kubernetes", "kafka"]) == ("etcd", "apiserver", "controller-manager", "kafka")


def test_none_means_all() -> None:
    assert select(None) == tuple(part.name for part in PARTS)


def test_an_unknown_part_is_refused_with_those_that_exist() -> None:
    with pytest.raises(LabError, match=r"no part zookeeper \(it has etcd, apiserver"):
        named("zookeeper")


def test_every_need_is_started_before() -> None:
    names = [part.name for part in PARTS]

    for part in PARTS:
        assert all(names.index(need) < names.index(part.name) for need in part.needs)


def test_port_names_are_unique() -> None:
    assert len(set(PORT_NAMES)) == len(PORT_NAMES)
