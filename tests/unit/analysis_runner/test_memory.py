"""What one process remembers of the runs."""

from __future__ import annotations

from analysis_runner.core.observed import Finding, Flight, Step, Told
from analysis_runner.memory import RunMemory, Written
from headrace.events.analysis import AnalysisJudged, AnalysisMeasured
from headrace.model.analysis import AnalysisRunStatus, Measurement
from headrace.model.quantities import Instant

FLIGHT = Flight(Step.RUN, 0, Instant(1.0))
COMMON = {"namespace": "shop", "rollout": "web", "uid": "u", "run": "r", "run_uid": "u"}
MEASURED = AnalysisMeasured(**COMMON, metric="m", index=4, phase="Successful")
JUDGED = AnalysisJudged(**COMMON, phase="Failed")


def finding(flight: Flight = FLIGHT) -> Finding:
    return Finding("m", flight, Measurement(phase="Successful"), Instant(2.0))


def test_a_finding_takes_the_place_of_its_flight() -> None:
    memory = RunMemory()
    memory.begin("u", "m", FLIGHT)
    assert memory.flights("u") == {"m": FLIGHT}
    assert memory.find("u", finding())
    assert memory.flights("u") == {}
    assert [each.metric for each in memory.findings("u")] == ["m"]
    memory.take("u", {"m"})
    assert memory.findings("u") == ()


def test_what_was_given_up_finds_nothing() -> None:
    memory = RunMemory()
    assert not memory.find("u", finding())
    memory.begin("u", "m", FLIGHT)
    memory.abandon("u", "m")
    assert not memory.find("u", finding())
    later = Flight(Step.RUN, 0, Instant(1.0))
    memory.begin("u", "m", later)
    assert not memory.find("u", finding(FLIGHT))
    assert memory.find("u", finding(later))


def test_a_round_without_secrets_ends_its_flights() -> None:
    memory = RunMemory()
    memory.begin("u", "m", FLIGHT)
    memory.fail_arguments("u", "no secret")
    assert (memory.arguments_problem("u"), memory.flights("u")) == ("no secret", {})


def test_remembers_exact_times_until_the_run_is_over() -> None:
    memory = RunMemory()
    running = Written({}, AnalysisRunStatus(phase="Running"))
    memory.wrote("u", running)
    assert memory.written("u") is running
    assert memory.told("u") == Told(is_followed=True)
    memory.wrote("u", Written({}, AnalysisRunStatus(phase="Failed")))
    assert memory.written("u") is None


def test_notes_what_was_said() -> None:
    memory = RunMemory()
    memory.said("u", MEASURED)
    assert memory.told("u") == Told({"m": 5})
    memory.said("u", JUDGED)
    assert memory.told("u") == Told({"m": 5}, is_judged=True)


def test_says_again_what_may_be_lost_and_still_owes_what_was_never_said() -> None:
    memory = RunMemory()
    memory.wrote("open", Written({}, AnalysisRunStatus(phase="Running")))
    memory.said("open", MEASURED)
    memory.said("over", JUDGED)
    memory.say_again()
    assert memory.told("open") == Told(is_followed=True)
    assert memory.told("over") == Told()


def test_forgets_a_run() -> None:
    memory = RunMemory()
    memory.begin("u", "m", FLIGHT)
    memory.forget("u")
    assert (memory.flights("u"), memory.told("u")) == ({}, None)
