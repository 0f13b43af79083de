"""The topics of a cluster called `default`, for admins who declare them."""

from __future__ import annotations

from typing import Any, Final

import yaml

from headrace.events.topics import Topic, TopicSettings, topics

PATH: Final = "deploy/kafka/topics.yaml"
CLUSTER: Final = "default"

_HEADER: Final = """\
# Generated from headrace.events.topics by `make gen`; do not edit.
#
# Topics of a cluster called `{cluster}` (--cluster-name), as objects of the Strimzi operator. For
# another name or with an instance id the names are headrace.<cluster>[-<instance id>].<topic>.
# The services create the topics themselves where their identity may do so.
# Without Strimzi:
{commands}"""


def render() -> dict[str, str]:
    """Return the text of the file by its path."""
    all_topics = declared()
    commands = "\n".join(
        f"#   {topic.definition()} --bootstrap-server HOST:PORT" for topic in all_topics
    )
    documents = yaml.safe_dump_all([_object(topic) for topic in all_topics], sort_keys=False)
    return {PATH: _HEADER.format(cluster=CLUSTER, commands=commands) + f"\n---\n{documents}"}


def declared() -> tuple[Topic, ...]:
    """Return the topics with their dead letters."""
    pairs = ((topic, topic.dead_letters) for topic in topics(TopicSettings(CLUSTER)).all())
    return tuple(topic for pair in pairs for topic in pair)


def _object(topic: Topic) -> dict[str, Any]:
    return {
        "apiVersion": "kafka.strimzi.io/v1beta2",
        "kind": "KafkaTopic",
        "metadata": {"name": topic.name, "labels": {"strimzi.io/cluster": "kafka"}},
        "spec": {
            "topicName": topic.name,
            "partitions": topic.partitions,
            "replicas": 3,
            "config": {
                "cleanup.policy": "delete",
                "retention.ms": topic.retention_seconds * 1000,
            },
        },
    }
