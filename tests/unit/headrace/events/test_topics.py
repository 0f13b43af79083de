from __future__ import annotations

import re

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import InvalidSpec
from headrace.events.topics import (
    TOPIC_PATTERN,
    Topic,
    TopicSettings,
    group_name,
    object_key,
    partition,
    topics,
)


@pytest.mark.parametrize(
    ("key", "expected"),
    # Unsigned forms of the values in Apache Kafka's UtilsTest.testMurmur2.
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_hashes_as_the_java_client(key: str, expected: int) -> None:
    assert partition(key, 2**31) == expected & 0x7FFFFFFF


@given(st.text(), st.integers(min_value=1, max_value=100))
def test_agrees_with_aiokafka(key: str, partitions: int) -> None:
    oracle = DefaultPartitioner()(key.encode(), list(range(partitions)), [])
    assert partition(key, partitions) == oracle


def test_names_topics_by_cluster() -> None:
    names = [topic.name for topic in topics(TopicSettings("east")).all()]
    assert names == [
        "headrace.east.steps",
        "headrace.east.traffic",
        "headrace.east.verdicts",
        "headrace.east.commands",
        "headrace.east.answers",
    ]


def test_the_instance_id_and_the_prefix_are_part_of_the_name() -> None:
    settings = TopicSettings("east", instance_id="blue", prefix="delivery")
    assert topics(settings).steps.name == "delivery.east-blue.steps"
    assert group_name("traffic-router", settings) == "headrace-traffic-router-east-blue"
    assert group_name("traffic-router", TopicSettings("east")) == "headrace-traffic-router-east"


def test_each_topic_has_one_owner() -> None:
    owners = [topic.owner for topic in topics(TopicSettings("east")).all()]
    assert owners == [
        "rollout-controller",
        "traffic-router",
        "analysis-runner",
        "anyone",
        "workers",
    ]


def test_a_fleet_subscriber_finds_all_topics_but_no_dead_letters() -> None:
    for topic in topics(TopicSettings("east", instance_id="blue")).all():
        assert re.search(TOPIC_PATTERN, topic.name)
        assert not re.search(TOPIC_PATTERN, topic.dead_letters.name)


@pytest.mark.parametrize("name", ["", "a.b", "a b", "ä", "a/b"])
def test_refuses_names_that_kafka_or_the_pattern_would_not_take(name: str) -> None:
    with pytest.raises(InvalidSpec, match="cannot be part of a topic name"):
        topics(TopicSettings(name))


def test_refuses_names_that_are_too_long() -> None:
    longest = TopicSettings("c" * 226)
    assert len(topics(longest).verdicts.dead_letters.name) == 249
    with pytest.raises(InvalidSpec, match="too long"):
        topics(TopicSettings("c" * 227))


def test_dead_letters_lie_beside_their_topic() -> None:
    topic = Topic("headrace.east.steps", partitions=6, retention_seconds=60)
    dead = topic.dead_letters
    assert (dead.name, dead.partitions, dead.retention_seconds) == (
        "headrace.east.steps.dead",
        6,
        60,
    )


def test_prints_the_command_that_makes_the_topic() -> None:
    assert Topic("headrace.east.steps", partitions=6, retention_seconds=60).definition() == (
        "kafka-topics.sh --create --if-not-exists --topic headrace.east.steps"
        " --partitions 6 --config retention.ms=60000"
    )


def test_an_object_of_a_rollout_has_the_rollouts_key() -> None:
    assert object_key("shop", "run-1", {"headrace.io/key": "shop/web"}) == "shop/web"
    assert object_key("shop", "run-1", {}) == "shop/run-1"
