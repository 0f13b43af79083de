from __future__ import annotations

from headrace.events.rollout import RouteVerifyRequested
from headrace.kubernetes.resources import TRAFFIC_SPLITS
from headrace.model.quantities import Instant
from headrace.model.route import Hashes, RouteDocument, Services, Weights
from headrace.routes import ObjectRef
from traffic_router.core.observed import Failure, Said
from traffic_router.memory import RouteMemory, is_newer

KEY = "shop/web"
REF = ObjectRef(TRAFFIC_SPLITS, "shop", "web")
SENT = Instant(100.0)
SAID = Said("applied", "5f0c", 1, 0, "written")


def document(epoch: int, renewal: int = 0, uid: str = "5f0c") -> RouteDocument:
    return RouteDocument(
        cluster="c",
        namespace="shop",
        rollout="web",
        uid=uid,
        epoch=epoch,
        renewal=renewal,
        generation=1,
        decided_at="2026-01-01T00:00:00Z",
        routers=(),
        services=Services(),
        hashes=Hashes(),
        weights=Weights(canary=0, stable=100),
    )


def test_the_newer_of_both_paths_wins() -> None:
    memory = RouteMemory()
    memory.ask(KEY, document(2), SENT)
    assert memory.document(KEY, document(1)) == document(2)
    assert memory.document(KEY, None) == document(2)
    assert memory.document(KEY, document(3)) == document(3)
    assert not memory.has_document(KEY)


def test_a_late_message_does_not_replace_a_newer_one_but_asks() -> None:
    memory = RouteMemory()
    memory.ask(KEY, document(2, renewal=1), SENT)
    memory.answered(KEY, SAID, Instant(SENT - 1))
    memory.ask(KEY, document(2), SENT)
    assert memory.document(KEY, None) == document(2, renewal=1)
    assert memory.of(KEY).is_asked


def test_a_message_for_another_uid_replaces_what_is_known() -> None:
    memory = RouteMemory()
    memory.ask(KEY, document(9), SENT)
    memory.ask(KEY, document(1, uid="new"), SENT)
    assert memory.document(KEY, None) == document(1, uid="new")
    memory.drop_document(KEY)
    assert memory.document(KEY, None) is None


def test_renewals_count_within_an_epoch() -> None:
    assert is_newer(document(1, 1), document(1))
    assert is_newer(document(2), document(1, 5))
    assert not is_newer(document(1), document(1))


def test_an_answer_ends_the_question_until_the_bus_comes_back() -> None:
    memory = RouteMemory()
    memory.ask(KEY, document(1), SENT)
    memory.answered(KEY, SAID, Instant(SENT - 1))
    assert memory.of(KEY).said == SAID
    assert not memory.of(KEY).is_asked
    memory.say_again()
    assert memory.of(KEY).said is None


def test_a_request_that_was_sent_before_the_answer_is_answered_by_it() -> None:
    memory = RouteMemory()
    memory.answered(KEY, SAID, SENT)
    memory.ask(KEY, document(1), Instant(SENT - 0.001))
    assert not memory.of(KEY).is_asked
    memory.ask(KEY, document(1), Instant(SENT + 1))
    assert memory.of(KEY).is_asked


def test_a_check_is_kept_until_it_is_answered() -> None:
    memory = RouteMemory()
    asked = RouteVerifyRequested(namespace="shop", rollout="web", uid="5f0c", check="targetGroups")
    memory.ask_verify(KEY, asked)
    assert memory.of(KEY).verify == asked
    memory.verified(KEY)
    assert memory.of(KEY).verify is None


def test_a_refused_write_is_forgotten_when_it_succeeds() -> None:
    memory = RouteMemory()
    failure = Failure(1, 0, "", "no")
    memory.failed(KEY, REF, failure)
    assert memory.of(KEY).failures == {REF: failure}
    memory.written(KEY, REF)
    assert memory.of(KEY).failures == {}
    memory.forget(KEY)
    assert memory.of(KEY).said is None


def test_a_living_rollout_is_trusted_for_a_while_unless_the_watch_says_otherwise() -> None:
    memory = RouteMemory()
    memory.note_alive("5f0c", Instant(0))
    assert memory.is_alive("5f0c", Instant(59))
    assert not memory.is_alive("5f0c", Instant(60))
    memory.forget_alive("5f0c")
    assert not memory.is_alive("5f0c", Instant(1))


def test_repairs_that_follow_each_other_come_with_growing_pauses() -> None:
    memory, now, pauses = RouteMemory(), SENT, []
    for _ in range(7):
        memory.repaired(KEY, REF, now)
        pauses.append(memory.of(KEY).repairs[REF].pause_seconds)
        now = Instant(now + pauses[-1])
    assert pauses == [1, 2, 4, 8, 16, 30, 30]


def test_repairs_of_what_is_edited_by_hand_do_not_get_slower() -> None:
    memory = RouteMemory()
    for second in range(0, 30, 3):
        memory.repaired(KEY, REF, Instant(SENT + second))
        assert memory.of(KEY).repairs[REF].pause_seconds == 1
