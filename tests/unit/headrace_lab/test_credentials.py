from __future__ import annotations

import csv
import json
import ssl

import pytest

from headrace_lab.credentials import IDENTITIES, Credentials

SERVER = "https://127.0.0.1:12345"


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    made = Credentials(tmp_path_factory.mktemp("lab"))
    made.create(SERVER)
    return made


def test_each_kubeconfig_carries_the_token_of_its_identity(credentials: Credentials) -> None:
    with credentials.tokens_file.open(newline="") as handle:
        users = {row[0]: row[1] for row in csv.reader(handle)}

    for identity in IDENTITIES:
        config = json.loads(credentials.kubeconfig(identity.name).read_text())
        assert users[config["users"][0]["user"]["token"]] == identity.user
        assert config["clusters"][0]["cluster"]["server"] == SERVER


def test_services_are_the_service_accounts_of_the_deployment(credentials: Credentials) -> None:
    with credentials.tokens_file.open(newline="") as handle:
        groups = {row[1]: row[3] for row in csv.reader(handle)}

    user = "system:serviceaccount:headrace:traffic-router"
    assert groups[user] == "system:serviceaccounts,system:serviceaccounts:headrace"


def test_creating_again_keeps_tokens_and_keys(credentials: Credentials) -> None:
    before = credentials.tokens_file.read_bytes(), credentials.server_key.read_bytes()

    credentials.create(SERVER)

    assert (credentials.tokens_file.read_bytes(), credentials.server_key.read_bytes()) == before


def test_the_authority_signs_the_certificate_of_the_servers(credentials: Credentials) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(credentials.server_certificate, credentials.server_key)
    client = ssl.create_default_context(cafile=str(credentials.authority))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    answers = server.wrap_bio(to_server, to_client, server_side=True)
    asks = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")

    for side in (asks, answers, asks, answers):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue

    subject = asks.getpeercert()
    assert subject is not None
    assert subject["subject"] == ((("commonName", "headrace-lab"),),)


def test_an_unknown_identity_is_refused_with_those_that_exist(credentials: Credentials) -> None:
    with pytest.raises(KeyError, match="traffic-router"):
        credentials.kubeconfig("nobody")


def test_private_files_are_readable_by_their_owner_only(credentials: Credentials) -> None:
    assert credentials.tokens_file.stat().st_mode & 0o077 == 0
    assert credentials.kubeconfig("admin").stat().st_mode & 0o077 == 0
    assert credentials.server_key.parent.stat().st_mode & 0o077 == 0
