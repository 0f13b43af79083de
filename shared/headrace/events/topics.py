"""Topics, partitions and group names.

Every producer and consumer computes the partition with the function here, and so does the
ownership of keys (architecture: Ownership): a replica reads exactly the messages of the keys that
it may act for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from headrace.errors import InvalidSpec

PREFIX: Final = "headrace"
PARTITIONS: Final = 12
RETENTION_SECONDS: Final = 30 * 24 * 3600
KEY_ANNOTATION: Final = "headrace.io/key"
"""On AnalysisRuns and Experiments: the key of the Rollout that they belong to."""

TOPIC_PATTERN: Final = r"^headrace\.[^.]+\.(steps|traffic|verdicts|commands|answers)$"
"""What a subscriber of a whole fleet subscribes to (no dead letters)."""

_NAME_PART: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_TOPIC_NAME_LENGTH_MAX: Final = 249 - len(".verdicts.dead")
_DEAD_SUFFIX: Final = ".dead"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    Attributes:
        name: Full name.
        partitions: >= 1; the same for all topics of a cluster.
        retention_seconds: > 0.
        owner: The one service that produces; `anyone` for commands, `workers` of step plugins
            for answers (both limited by ACL).
    """

    name: str
    partitions: int = PARTITIONS
    retention_seconds: int = RETENTION_SECONDS
    owner: str = ""

    @property
    def kind(self) -> str:
        """The last part of the name: which types of the catalogue travel on it."""
        return self.name.rpartition(".")[2]

    @property
    def dead_letters(self) -> Topic:
        """The topic of messages of this one that could not be decoded; its readers write it."""
        return Topic(
            f"{self.name}{_DEAD_SUFFIX}", self.partitions, self.retention_seconds, "readers"
        )

    def partition(self, key: str) -> int:
        """Return the partition of a key, 0 to partitions - 1."""
        return partition(key, self.partitions)

    def definition(self) -> str:
        """Return the command with which an admin creates this topic (without its server)."""
        return (
            f"kafka-topics.sh --create --if-not-exists --topic {self.name}"
            f" --partitions {self.partitions}"
            f" --config retention.ms={self.retention_seconds * 1000}"
        )


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one cluster (and instance id)."""

    steps: Topic
    traffic: Topic
    verdicts: Topic
    commands: Topic
    answers: Topic

    def all(self) -> tuple[Topic, ...]:
        """Return all topics."""
        return (self.steps, self.traffic, self.verdicts, self.commands, self.answers)


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """What the names and sizes of topics depend on.

    Attributes:
        cluster: Name of the cluster; letters, digits, `-` and `_`.
        instance_id: As in the labels of rollout-api; "" for none.
        prefix: First part of each name, without dots.
        partitions: >= 1, the same in all services.
        retention_seconds: > 0.
    """

    cluster: str
    instance_id: str = ""
    prefix: str = PREFIX
    partitions: int = PARTITIONS
    retention_seconds: int = field(default=RETENTION_SECONDS)

    @property
    def scope(self) -> str:
        """The part of names that tells clusters and instances apart."""
        return f"{self.cluster}-{self.instance_id}" if self.instance_id else self.cluster


def topics(settings: TopicSettings) -> Topics:
    """Return the topics of a cluster.

    Raises:
        InvalidSpec: A name part holds what a topic name must not, or is too long.
    """
    base = f"{settings.prefix}.{settings.scope}"
    if len(base) > _TOPIC_NAME_LENGTH_MAX:
        raise InvalidSpec(f"topic names are too long: {base!r}")
    for part in (settings.prefix, settings.scope):
        if not _NAME_PART.fullmatch(part):
            raise InvalidSpec(
                f"{part!r} cannot be part of a topic name: letters, digits, '-' and '_' only"
            )

    def topic(kind: str, owner: str) -> Topic:
        return Topic(f"{base}.{kind}", settings.partitions, settings.retention_seconds, owner)

    return Topics(
        steps=topic("steps", "rollout-controller"),
        traffic=topic("traffic", "traffic-router"),
        verdicts=topic("verdicts", "analysis-runner"),
        commands=topic("commands", "anyone"),
        answers=topic("answers", "workers"),
    )


def group_name(service: str, settings: TopicSettings) -> str:
    """Return the group under which a service commits its offsets."""
    return f"headrace-{service}-{settings.scope}"


def object_key(namespace: str, name: str, annotations: Mapping[str, str]) -> str:
    """Return the key of an AnalysisRun or Experiment: its Rollout's, else its own."""
    return annotations.get(KEY_ANNOTATION) or f"{namespace}/{name}"


def partition(key: str, partitions: int) -> int:
    """Return the partition of `key`, 0 to partitions - 1, as Kafka's Java client computes it."""
    return (_murmur2(key.encode()) & 0x7FFFFFFF) % partitions


_SEED: Final = 0x9747B28C
_MIX: Final = 0x5BD1E995
_SHIFT: Final = 24
_UINT32: Final = 0xFFFFFFFF


def _murmur2(data: bytes) -> int:
    """Return the 32-bit MurmurHash2 of `data`.

    Source: org.apache.kafka.common.utils.Utils.murmur2 (seed and constants are Kafka's).
    """
    length = len(data)
    digest = _SEED ^ length
    whole = length & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _MIX & _UINT32
        word = (word ^ word >> _SHIFT) * _MIX & _UINT32
        digest = (digest * _MIX & _UINT32) ^ word
    if whole != length:
        digest ^= int.from_bytes(data[whole:], "little")
        digest = digest * _MIX & _UINT32
    digest = (digest ^ digest >> 13) * _MIX & _UINT32
    return digest ^ digest >> 15
