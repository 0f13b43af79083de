"""Settings of a service: flags over environment over defaults, checked once at the start.

Every field `a_b` of a settings model is the flag `--a-b` and the variable `HEADRACE_A_B`.
Services subclass `ServiceSettings` (and `RouteSettings` where they ask for or carry out routes);
`parse` is called by their `__main__`. Names that Argo Rollouts has for the same thing work as
aliases; those of its flags that have no meaning here are accepted with a notice, so that
existing manifests start (cli-and-clients 11).
"""

from __future__ import annotations

import json
import secrets
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from headrace.events.topics import PARTITIONS, PREFIX, RETENTION_SECONDS
from headrace.runtime.argo_flags import WITHOUT_EFFECT
from headrace.runtime.flags import (
    Duration,
    Flag,
    Namespace,
    Port,
    Servers,
    explain,
    flag_name,
    make_parser,
    masked,
    read,
)
from headrace.runtime.output import watched_output

SERVICE_ACCOUNT_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

_LOG_LEVELS: Final = {
    "trace": "debug",
    "warn": "warning",
    "fatal": "critical",
    "panic": "critical",
}


def _log_level(value: object) -> object:
    if not isinstance(value, str):
        return value
    return _LOG_LEVELS.get(value.lower(), value.lower())


_CLUSTER: Final = Flag("Kubernetes")
_BUS: Final = Flag("Bus")
_HTTP: Final = Flag("HTTP")
_SHARDS: Final = Flag("Replicas and Leases")
_PROCESS: Final = Flag("Process")
_ROUTES: Final = Flag("Routes")


class ServiceSettings(BaseModel):
    """What every service takes.

    Attributes:
        notices: What the user should know about the flags given; logged at the start.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kubeconfig: Annotated[str | None, _CLUSTER] = Field(
        None, description="Kubeconfig file; default: in-cluster, else the usual one."
    )
    context: Annotated[str | None, _CLUSTER] = Field(None, description="Context of the kubeconfig.")
    namespace: Annotated[Namespace | None, Flag("Kubernetes", ("n",))] = Field(
        None, description="Watch this namespace only; default: all."
    )
    namespaced: Annotated[bool, _CLUSTER] = Field(
        False, description="Watch only the namespace that this process runs in."
    )
    instance_id: Annotated[str, _CLUSTER] = Field(
        "",
        pattern=r"^([A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?)?$",
        max_length=63,
        description="Serve only objects labelled with this instance id; default: those without.",
    )
    resync_seconds: Annotated[Duration, Flag("Kubernetes", ("rollout-resync",))] = Field(
        900.0, description="Look at every object again after this long without an event."
    )

    bus: Annotated[Literal["memory", "kafka"], _BUS] = Field(
        "kafka", description="Event bus; memory leaves a lone service the durable path only."
    )
    bootstrap_servers: Annotated[Servers, _BUS] = Field(
        (), description="Kafka brokers, host:port, separated by commas."
    )
    cluster_name: Annotated[str, _BUS] = Field(
        "default",
        pattern=r"^[A-Za-z0-9_-]+$",
        max_length=63,
        description="Name of this cluster in topic and group names.",
    )
    topic_prefix: Annotated[str, _BUS] = Field(
        PREFIX, pattern=r"^[A-Za-z0-9_-]+$", description="First part of every topic name."
    )
    topic_retention_seconds: Annotated[int, _BUS] = Field(
        RETENTION_SECONDS, ge=60, description="Retention of topics that a service creates."
    )
    topic_replication_factor: Annotated[int, _BUS] = Field(
        -1,
        ge=-1,
        description="Replicas of topics that a service creates; -1: the broker's default.",
    )
    kafka_security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], _BUS
    ] = Field("PLAINTEXT", description="Security protocol of the brokers.")
    kafka_sasl_mechanism: Annotated[Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], _BUS] = (
        Field("SCRAM-SHA-512", description="SASL mechanism.")
    )
    kafka_username: Annotated[str | None, _BUS] = Field(None, description="SASL user name.")
    kafka_password: Annotated[SecretStr | None, _BUS] = Field(
        None, description="SASL password; better a file, or the variable."
    )
    kafka_password_file: Annotated[str | None, _BUS] = Field(
        None, description="File that holds the SASL password."
    )
    kafka_ca_file: Annotated[str | None, _BUS] = Field(
        None, description="PEM file of the brokers' certificate authority."
    )
    kafka_cert_file: Annotated[str | None, _BUS] = Field(
        None, description="PEM file of the client certificate."
    )
    kafka_key_file: Annotated[str | None, _BUS] = Field(
        None, description="PEM file of the client certificate's key."
    )

    bind_address: Annotated[str, _HTTP] = Field("127.0.0.1", description="Address to listen on.")
    metrics_port: Annotated[Port, Flag("HTTP", ("metricsPort", "metricsport"))] = Field(
        8090, description="Port of /metrics; 0 chooses one."
    )
    health_port: Annotated[Port, Flag("HTTP", ("healthzPort",))] = Field(
        8080, description="Port of /healthz and /readyz; 0 chooses one."
    )

    lease_namespace: Annotated[Namespace | None, _SHARDS] = Field(
        None,
        description="Namespace of the Leases; default: POD_NAMESPACE, else that of the service "
        "account, else of the context.",
    )
    identity: Annotated[str, _SHARDS] = Field(
        "", description="Name of this replica in the Leases; default: host name and a random part."
    )
    lease_duration_seconds: Annotated[
        Duration, Flag("Replicas and Leases", ("leader-election-lease-duration",))
    ] = Field(10.0, ge=1, description="Others may take a Lease that was not renewed for so long.")
    lease_renew_seconds: Annotated[Duration, _SHARDS] = Field(
        3.0, description="A held Lease is renewed this often."
    )
    lease_retry_seconds: Annotated[
        Duration, Flag("Replicas and Leases", ("leader-election-retry-period",))
    ] = Field(1.0, description="Pause between attempts to get or keep a Lease.")
    partitions: Annotated[int, _SHARDS] = Field(
        PARTITIONS, ge=1, le=1000, description="Partitions of every topic, with either bus."
    )
    shards: Annotated[int, _SHARDS] = Field(
        4, ge=1, le=1000, description="Leases that share the work; divides the partitions."
    )

    workers: Annotated[int, Flag("Process", ("rollout-threads",))] = Field(
        40,
        ge=1,
        le=1000,
        description=(
            "Objects that are reconciled at the same time: aborts and what people wrote. Of all "
            "else a tenth as many, at least 4."
        ),
    )
    shutdown_grace_seconds: Annotated[Duration, _PROCESS] = Field(
        20.0, description="Time for an orderly end after SIGTERM."
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"],
        BeforeValidator(_log_level),
        Flag("Process", ("loglevel",)),
    ] = Field("info", description="Least severity that is logged.")
    log_format: Annotated[Literal["text", "json"], Flag("Process", ("logformat",))] = Field(
        "text", description="Form of the log lines on standard error."
    )

    notices: tuple[str, ...] = Field((), exclude=True)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.partitions % self.shards:
            raise ValueError(
                f"--shards {self.shards} must divide --partitions {self.partitions}: "
                "a partition belongs to one shard"
            )
        hold_seconds = self.lease_duration_seconds * 0.8
        if self.lease_renew_seconds + self.lease_retry_seconds > hold_seconds:
            raise ValueError(
                "--lease-renew-seconds plus --lease-retry-seconds must be at most 80 % of "
                "--lease-duration-seconds: else one failed renewal loses the Lease"
            )
        if self.bus == "kafka" and not self.bootstrap_servers:
            raise ValueError("--bus kafka needs --bootstrap-servers host:port[,host:port]")
        if self.kafka_security_protocol.startswith("SASL") and not self.kafka_username:
            raise ValueError("--kafka-security-protocol with SASL needs --kafka-username")
        if bool(self.kafka_cert_file) != bool(self.kafka_key_file):
            raise ValueError("--kafka-cert-file and --kafka-key-file belong together")
        if self.namespaced and not (self.namespace or self.lease_namespace):
            raise ValueError("--namespaced needs --namespace, or the variable POD_NAMESPACE")
        return self

    @property
    def watched_namespace(self) -> str | None:
        """The one namespace to watch; None for all."""
        if self.namespace is None and self.namespaced:
            return self.lease_namespace
        return self.namespace


class RouteSettings(ServiceSettings):
    """What services take that ask for routes or carry them out."""

    route_valid_seconds: Annotated[Duration, _ROUTES] = Field(
        60.0, description="A request that raises a weight is refused after this long."
    )
    route_renew_seconds: Annotated[Duration, _ROUTES] = Field(
        30.0, description="An unacknowledged request is renewed this often."
    )
    route_resend_seconds: Annotated[Duration, _ROUTES] = Field(
        1.0, description="First pause before an unacknowledged request is sent again."
    )
    route_resend_seconds_max: Annotated[Duration, _ROUTES] = Field(
        10.0, description="Longest pause before an unacknowledged request is sent again."
    )
    route_verify_seconds: Annotated[Duration, _ROUTES] = Field(
        10.0, description="Pause between two looks at a route that is not verified yet."
    )

    @model_validator(mode="after")
    def _check_routes(self) -> Self:
        if self.route_renew_seconds >= self.route_valid_seconds:
            raise ValueError("--route-renew-seconds must be less than --route-valid-seconds")
        if self.route_resend_seconds > self.route_resend_seconds_max:
            raise ValueError("--route-resend-seconds must not exceed --route-resend-seconds-max")
        return self


SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


def parse(
    argv: Sequence[str],
    environ: Mapping[str, str],
    model: type[SettingsT],
    service_name: str,
) -> SettingsT:
    """Return the settings given by flags and environment.

    Args:
        argv: Arguments without the program's name.
        environ: Environment; an empty variable counts as not set.
        model: The service's settings.
        service_name: As `rollout-controller`.

    Raises:
        SystemExit: Status 2 with every wrong setting on standard error; status 0 after `--help`,
            `--version` and `--check-config`, which print and end.
    """
    given = read(argv, environ, make_parser(model, service_name, tuple(WITHOUT_EFFECT)), model)
    values = dict(given.values)
    values.setdefault("lease_namespace", environ.get("POD_NAMESPACE") or _mounted_namespace())
    values.setdefault("identity", f"{socket.gethostname()}_{secrets.token_hex(4)}")
    values["notices"] = tuple(
        f"{name} is taken for compatibility with Argo Rollouts and has no effect: "
        f"{WITHOUT_EFFECT[name.removeprefix('--')]}"
        for name in given.without_effect
    )
    try:
        settings = model.model_validate(values)
    except ValidationError as error:
        for line in explain(error, given.by_flag):
            sys.stderr.write(f"{service_name}: {line}\n")
        raise SystemExit(2) from None
    if given.wants_check:
        with watched_output(service_name):
            _print_settings(settings)
        raise SystemExit(0)
    return settings


def shown(settings: ServiceSettings) -> dict[str, Any]:
    """Return the settings by flag name, JSON-ready, secrets masked."""
    return {
        flag_name(name).removeprefix("--"): masked(value) if isinstance(value, str) else value
        for name, value in settings.model_dump(mode="json").items()
    }


def _print_settings(settings: ServiceSettings) -> None:
    for notice in settings.notices:
        sys.stderr.write(f"{notice}\n")
    for name, value in shown(settings).items():
        sys.stdout.write(f"{name}: {json.dumps(value)}\n")


def _mounted_namespace() -> str | None:
    try:
        return SERVICE_ACCOUNT_NAMESPACE.read_text().strip() or None
    except OSError:
        return None
