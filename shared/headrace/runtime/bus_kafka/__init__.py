"""The Bus port on Kafka, with aiokafka; the only package that imports it.

No exception of the client leaves this package.

Source: architecture, "Ownership" and "Topics and events"; behaviour of aiokafka 0.14.
"""

from headrace.runtime.bus_kafka.bus import KafkaBus
from headrace.runtime.bus_kafka.consumer import KafkaConsumer
from headrace.runtime.bus_kafka.reader import KafkaReader
from headrace.runtime.bus_kafka.settings import KafkaSettings, SaslMechanism, SecurityProtocol

__all__ = [
    "KafkaBus",
    "KafkaConsumer",
    "KafkaReader",
    "KafkaSettings",
    "SaslMechanism",
    "SecurityProtocol",
]
