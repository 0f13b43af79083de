"""The lab's own certificate authority, tokens and kubeconfigs.

Each service has its own identity, the service account of `deploy/base`, so that its RBAC rules
apply unchanged. One authority signs the API server's certificate and those of fault proxies.
"""

from __future__ import annotations

import csv
import datetime
import ipaddress
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

NAMESPACE: Final = "headrace"
SERVICES: Final = ("rollout-controller", "traffic-router", "analysis-runner", "all-in-one")
MASTERS: Final = "system:masters"
LIFETIME: Final = datetime.timedelta(days=3650)

_SIGNS: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
"""What an authority may do with its key. Python from 3.13 on asks for it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who talks to the API server.

    Attributes:
        name: The kubeconfig's name.
        user: The user name that the API server and its audit log see.
        groups: Its groups.
        namespace: Namespace of its kubeconfig's context.
    """

    name: str
    user: str
    groups: tuple[str, ...]
    namespace: str = "default"


def _service(name: str) -> Identity:
    account = "headrace-all-in-one" if name == "all-in-one" else name
    return Identity(
        name=name,
        user=f"system:serviceaccount:{NAMESPACE}:{account}",
        groups=("system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}"),
        namespace=NAMESPACE,
    )


IDENTITIES: Final = (
    Identity("admin", "admin", (MASTERS,)),
    # A second administrator, for tests that must tell a person's requests from the lab's own.
    Identity("person", "person", (MASTERS,)),
    Identity("viewer", "viewer", ()),
    Identity("kubelet", "lab:kubelet", (MASTERS,)),
    Identity("mesh", "lab:mesh", (MASTERS,)),
    Identity("controller-manager", "lab:controller-manager", (MASTERS,)),
    *(_service(name) for name in SERVICES),
)


class Credentials:
    """The files of one lab's folder."""

    def __init__(self, directory: Path) -> None:
        self._pki = directory / "pki"
        self._kubeconfigs = directory / "kubeconfigs"
        self.authority = self._pki / "ca.crt"
        self.server_certificate = self._pki / "server.crt"
        self.server_key = self._pki / "server.key"
        self.account_key = self._pki / "sa.key"
        self.account_public_key = self._pki / "sa.pub"
        self.tokens_file = self._pki / "tokens.csv"

    def create(self, server: str) -> None:
        """Write what is missing, and all kubeconfigs for the API server's address."""
        self._pki.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.server_certificate.exists():
            self._write_certificates()
        if not self.account_public_key.exists():
            self._write_account_keys()
        if not self.tokens_file.exists():
            self._write_tokens()
        self._kubeconfigs.mkdir(mode=0o700, exist_ok=True)
        for identity in IDENTITIES:
            self.write_kubeconfig(identity.name, server, self.kubeconfig(identity.name))

    def kubeconfig(self, identity: str) -> Path:
        """Return the path of an identity's kubeconfig.

        Raises:
            KeyError: There is no such identity.
        """
        return self._kubeconfigs / f"{_identity(identity).name}.kubeconfig"

    def token(self, identity: str) -> str:
        """Return an identity's bearer token."""
        user = _identity(identity).user
        with self.tokens_file.open(newline="") as handle:
            return next(row[0] for row in csv.reader(handle) if row[1] == user)

    def write_kubeconfig(self, identity: str, server: str, path: Path) -> None:
        """Write a kubeconfig of an identity for any server with the lab's authority."""
        who = _identity(identity)
        config: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "lab",
                    "cluster": {"server": server, "certificate-authority": str(self.authority)},
                }
            ],
            "users": [{"name": who.name, "user": {"token": self.token(identity)}}],
            "contexts": [
                {
                    "name": "lab",
                    "context": {"cluster": "lab", "user": who.name, "namespace": who.namespace},
                }
            ],
            "current-context": "lab",
        }
        # JSON is YAML; this keeps the lab free of a YAML writer.
        path.write_text(json.dumps(config, indent=2) + "\n")
        path.chmod(0o600)

    def _write_certificates(self) -> None:
        authority_key = ec.generate_private_key(ec.SECP256R1())
        authority_name = _name("headrace-lab-ca")
        identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
        authority = (
            _certificate(authority_name, authority_name, authority_key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_SIGNS, critical=True)
            .add_extension(identifier, critical=False)
            .sign(authority_key, hashes.SHA256())
        )
        server_key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName(
            [
                x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                x509.DNSName("localhost"),
                x509.DNSName("kubernetes.default.svc"),
            ]
        )
        server = (
            _certificate(_name("headrace-lab"), authority_name, server_key.public_key())
            .add_extension(names, critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
                critical=False,
            )
            .sign(authority_key, hashes.SHA256())
        )
        self.authority.write_bytes(authority.public_bytes(Encoding.PEM))
        self.server_key.write_bytes(_private(server_key))
        self.server_certificate.write_bytes(server.public_bytes(Encoding.PEM))

    def _write_account_keys(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.account_key.write_bytes(_private(key))
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.account_public_key.write_bytes(public)

    def _write_tokens(self) -> None:
        with self.tokens_file.open("w", newline="") as handle:
            writer = csv.writer(handle)
            for number, who in enumerate(IDENTITIES, start=1):
                groups = ",".join(who.groups)
                writer.writerow([secrets.token_hex(16), who.user, str(number), groups])
        self.tokens_file.chmod(0o600)


def _identity(name: str) -> Identity:
    for identity in IDENTITIES:
        if identity.name == name:
            return identity
    known = ", ".join(identity.name for identity in IDENTITIES)
    raise KeyError(f"the lab has no identity {name} (it has {known})")


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    # An hour back, so that a clock that is set during the run does no harm.
    begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)  # noqa: TID251
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + LIFETIME)
    )


def _private(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
