"""The bus as the command line sees it: settings, topics and names."""

from __future__ import annotations

import os
from dataclasses import replace

from headrace.errors import InvalidSpec
from headrace.events.topics import Topics, TopicSettings, topics
from headrace.kubernetes.resources import Manifest
from headrace.runtime import logs
from headrace.runtime.bus_kafka import KafkaSettings
from headrace.runtime.process import kafka_settings
from headrace.runtime.settings import ServiceSettings, parse
from headrace_cli.bus_options import BusOptions
from headrace_cli.failures import Failure
from headrace_cli.views.objects import labels_of

INSTANCE_ID_LABEL = "argo-rollouts.argoproj.io/controller-instance-id"


def silence_logs() -> None:
    """Keep the client's log lines back: what goes wrong is told once, as the command's failure."""
    logs.configure("critical")


def connect(options: BusOptions, rollout: Manifest | None) -> tuple[KafkaSettings, Topics]:
    """Return how to reach Kafka, and the topics there.

    The flags and variables are those of the services, so that one environment serves both.

    Args:
        options: What the user gave.
        rollout: Its label names the instance id when the user gave none.

    Raises:
        Failure: It is not said where Kafka is, or a setting is wrong.
    """
    if not options.bootstrap_servers:
        raise Failure(
            "where is Kafka? give --bootstrap-servers host:port or set HEADRACE_BOOTSTRAP_SERVERS"
        )
    labelled = labels_of(rollout).get(INSTANCE_ID_LABEL, "") if rollout is not None else ""
    instance_id = labelled if options.instance_id is None else options.instance_id
    flags = ["--bus=kafka", f"--bootstrap-servers={options.bootstrap_servers}"]
    flags += [f"--cluster-name={options.cluster_name}"] if options.cluster_name else []
    flags += [f"--instance-id={instance_id}"]
    settings = parse(flags, os.environ, ServiceSettings, "headrace")
    names = TopicSettings(
        cluster=settings.cluster_name,
        instance_id=settings.instance_id,
        prefix=settings.topic_prefix,
        partitions=settings.partitions,
    )
    try:
        kafka = replace(kafka_settings(settings, "headrace-cli"), may_create_topics=False)
        return kafka, topics(names)
    except InvalidSpec as error:
        raise Failure(str(error)) from error
