"""How to reach Kafka, as all its clients need it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from aiokafka.errors import ConsumerStoppedError, KafkaError

from headrace.errors import InvalidSpec
from headrace.runtime.bus_queue import QUEUE_SIZE_MAX
from headrace.runtime.flags import check_servers

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

CLIENT_ERRORS: Final = (KafkaError, OSError, TimeoutError, ConsumerStoppedError)
"""What the client raises for trouble with the broker (its timeouts are TimeoutErrors)."""


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How to reach the broker, and how patient to be.

    Attributes:
        bootstrap_servers: `host:port`, several divided by commas.
        group: Under which offsets are committed.
        client_id: Named in the broker's logs and quotas.
        security_protocol: As Kafka names it.
        ca_file: Certificates to trust (PEM); None for the system's.
        certificate_file: Own certificate (PEM), for mutual TLS.
        key_file: Its key; None when it is in the same file.
        sasl_mechanism: For the SASL protocols.
        username: For SASL.
        password: For SASL.
        replication_factor: Of topics that are created; None for the broker's default.
        may_create_topics: False leaves topics to an admin.
        queue_size_max: Messages that may wait for the broker.
        request_seconds: What a request may take.
        delivery_seconds: What the acknowledgement of a message may take while the broker
            answers; then the topics are looked at again.
        probe_seconds: How often the broker is asked whether it is there.
        grace_seconds: How long `close` waits for what is queued.

    Raises:
        InvalidSpec: A server is not `host:port`, or SASL lacks its credentials.
    """

    bootstrap_servers: str
    group: str
    client_id: str = "headrace"
    security_protocol: SecurityProtocol = "PLAINTEXT"
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    sasl_mechanism: SaslMechanism = "PLAIN"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    replication_factor: int | None = None
    may_create_topics: bool = True
    queue_size_max: int = QUEUE_SIZE_MAX
    request_seconds: float = 5.0
    delivery_seconds: float = 30.0
    probe_seconds: float = 1.0
    grace_seconds: float = 5.0

    def __post_init__(self) -> None:
        """Refuse what the client would fail on later, in the background."""
        try:
            check_servers([server.strip() for server in self.bootstrap_servers.split(",")])
        except ValueError as error:
            raise InvalidSpec(str(error)) from error
        if self.is_sasl and (self.username is None or self.password is None):
            raise InvalidSpec(f"{self.security_protocol} needs a user name and a password")

    @property
    def is_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.security_protocol in ("SSL", "SASL_SSL")

    @property
    def is_sasl(self) -> bool:
        """Whether connections begin with a user name and password."""
        return self.security_protocol in ("SASL_PLAINTEXT", "SASL_SSL")


def connection(settings: KafkaSettings) -> dict[str, Any]:
    """Return the arguments that all clients of the library share.

    Certificates are read each time, so that renewed files are taken with the next connection.

    Raises:
        OSError: A certificate or key cannot be read.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": settings.client_id,
        "request_timeout_ms": int(settings.request_seconds * 1000),
        "security_protocol": settings.security_protocol,
    }
    if settings.is_tls:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.certificate_file is not None:
            context.load_cert_chain(settings.certificate_file, settings.key_file)
        options["ssl_context"] = context
    if settings.is_sasl:
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.username
        options["sasl_plain_password"] = settings.password
    return options
