from __future__ import annotations

import pytest

from headrace.events.payload import Payload
from headrace.ids import event_id


class CupBroken(Payload):
    """A cup is broken."""

    EVENT_TYPE = "headrace.cup.broken.v1"

    cup: int

    def id_ordinal(self) -> str:
        return str(self.cup)


def test_the_key_is_namespace_and_rollout() -> None:
    assert Payload(namespace="shop", rollout="web", uid="u").key == "shop/web"


def test_the_id_is_of_uid_epoch_type_and_ordinal() -> None:
    payload = CupBroken(namespace="shop", rollout="web", uid="u", epoch=3, cup=5)
    assert payload.event_id() == event_id("u", 3, "headrace.cup.broken.v1", "5")


def test_a_payload_without_a_rule_for_its_ordinal_has_no_id() -> None:
    with pytest.raises(NotImplementedError):
        Payload(namespace="shop", rollout="web", uid="u").id_ordinal()
