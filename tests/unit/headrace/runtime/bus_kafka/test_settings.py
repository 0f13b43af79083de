from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from headrace.errors import InvalidSpec
from headrace.runtime.bus_kafka.settings import KafkaSettings, connection


def settings(**changes: object) -> KafkaSettings:
    fields: dict[str, object] = {"bootstrap_servers": "a:9092, b:9093", "group": "g", **changes}
    return KafkaSettings(**fields)  # type: ignore[arg-type]  # each test names real fields


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate with its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + signed.public_bytes(Encoding.PEM))
    return path


def test_a_plain_connection_needs_servers_only() -> None:
    options = connection(settings(request_seconds=1.5, client_id="me"))
    assert options == {
        "bootstrap_servers": "a:9092, b:9093",
        "client_id": "me",
        "request_timeout_ms": 1500,
        "security_protocol": "PLAINTEXT",
    }


def test_tls_trusts_the_given_authority_and_shows_its_own_certificate(certificate: Path) -> None:
    options = connection(
        settings(
            security_protocol="SSL", ca_file=str(certificate), certificate_file=str(certificate)
        )
    )
    context = options["ssl_context"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1
    assert "sasl_mechanism" not in options


def test_tls_trusts_the_system_where_nothing_is_given() -> None:
    assert connection(settings(security_protocol="SSL"))["ssl_context"].check_hostname


def test_a_missing_certificate_is_an_error_of_the_connection(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        connection(settings(security_protocol="SSL", ca_file=str(tmp_path / "none.pem")))


def test_sasl_gives_name_and_password() -> None:
    options = connection(
        settings(
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="SCRAM-SHA-512",
            username="router",
            password="secret",
        )
    )
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert options["sasl_plain_username"] == "router"
    assert options["sasl_plain_password"] == "secret"
    assert "ssl_context" not in options


def test_the_password_is_not_printed() -> None:
    assert "secret" not in repr(settings(username="router", password="secret"))


@pytest.mark.parametrize("servers", ["", "a", "a:", ":9092", "a:b", "a:1,b"])
def test_refuses_servers_that_are_no_addresses(servers: str) -> None:
    with pytest.raises(InvalidSpec, match="is not host:port"):
        settings(bootstrap_servers=servers)


@pytest.mark.parametrize("given", [{}, {"username": "a"}, {"password": "b"}])
def test_refuses_sasl_without_credentials(given: dict[str, str]) -> None:
    with pytest.raises(InvalidSpec, match="SASL_SSL needs a user name and a password"):
        settings(security_protocol="SASL_SSL", **given)
