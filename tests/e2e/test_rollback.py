"""Ways back on real parts, each by the existing plugin's requests and by our command line."""

from __future__ import annotations

import pytest

from headrace_lab.application import CANARY, NAME, STABLE, Application
from headrace_lab.edits import together
from headrace_lab.kube import Object
from headrace_lab.people import Person
from headrace_lab.recording import ROLLOUTS

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120), pytest.mark.spec("cli-and-clients 2.5")]

FIRST_PAUSE = 2


def quick(manifest: Object) -> None:
    """Let pods go as soon as nobody is sent to them."""
    if manifest["kind"] == "Rollout":
        canary = manifest["spec"]["strategy"]["canary"]
        canary |= {"scaleDownDelaySeconds": 0, "abortScaleDownDelaySeconds": 1}


def with_window(manifest: Object) -> None:
    """Let an update to the version before the stable one skip the steps."""
    if manifest["kind"] == "Rollout":
        manifest["spec"]["rollbackWindow"] = {"revisions": 1}


def release(app: Application, tag: str) -> None:
    """Bring a version out without its steps, in another second than the version before."""
    app.wait_next_second()
    app.set_image(tag)
    app.wait_paused(FIRST_PAUSE)
    app.promote_full()
    app.wait_phase("Healthy")
    wait_served(app, tag)


def wait_served(app: Application, tag: str) -> None:
    """Return when a version alone has the traffic, and the pods."""
    served = app.hash_of(tag)
    app.wait(
        lambda: (
            app.selected(STABLE) == app.selected(CANARY) == served
            and app.weights() == {STABLE: 100, CANARY: 0}
            and {version for version, size in app.sizes.items() if size} == {tag}
        ),
        f"{tag} alone serves",
    )


def phases(app: Application, since: int) -> set[str]:
    """Return the phases of all versions of the Rollout since so many."""
    later = app.recording.versions(ROLLOUTS, NAME)[since:]
    return {version["status"]["phase"] for version in later}


def versions(app: Application) -> int:
    return len(app.recording.versions(ROLLOUTS, NAME))


def wait_told(app: Application, reason: str, message: str) -> None:
    """Return when an Event has been seen."""
    app.wait(
        lambda: (reason, message) in [(each["reason"], each["message"]) for each in app.events()],
        f"{reason}: {message}",
    )


@pytest.mark.spec("canary 2.2", "canary 3.4")
def test_a_person_undoes_a_canary_in_its_middle(
    still_application: Application, person: Person
) -> None:
    app = still_application
    app.deploy(edit=quick)
    person.set_image("v2")
    app.wait_paused(FIRST_PAUSE)
    person.promote()
    app.wait_weight(33)
    since = versions(app)
    person.undo()
    app.wait_phase("Healthy")
    wait_served(app, "v1")
    wait_told(app, "SkipSteps", "Rollback to stable ReplicaSets")
    status = app.status()
    assert status["currentPodHash"] == status["stableRS"] == app.hash_of("v1")
    assert "abort" not in status
    after = app.recording.versions(ROLLOUTS, NAME)[since:]
    paused = [
        each
        for each in after
        if each["status"].get("pauseConditions")
        and each["status"]["currentPodHash"] == app.hash_of("v1")
    ]
    assert paused == []


@pytest.mark.spec("canary 3.3", "canary 3.4")
def test_a_person_undoes_an_aborted_canary(still_application: Application, person: Person) -> None:
    app = still_application
    app.deploy(edit=quick)
    person.set_image("v2")
    app.wait_paused(FIRST_PAUSE)
    person.abort()
    app.wait_phase("Degraded")
    person.undo()
    app.wait_phase("Healthy")
    wait_served(app, "v1")
    assert "abort" not in app.status()
    assert "abortedAt" not in app.status()


@pytest.mark.spec("canary 3.4")
def test_a_person_goes_back_within_the_window_without_steps_and_beyond_it_with_them(
    still_application: Application, person: Person
) -> None:
    app = still_application
    app.deploy(edit=together(quick, with_window))
    release(app, "v2")
    release(app, "v3")

    person.undo(revision=1)
    app.wait_paused(FIRST_PAUSE)
    assert app.status()["currentPodHash"] == app.hash_of("v1")
    assert app.canary_weight == 10
    person.undo()
    app.wait_phase("Healthy")
    wait_served(app, "v3")

    since = versions(app)
    person.undo(revision=2)
    app.wait(lambda: app.status()["stableRS"] == app.hash_of("v2"), "v2 is stable again")
    app.wait_phase("Healthy")
    wait_served(app, "v2")
    assert phases(app, since) <= {"Healthy", "Progressing"}
    message = f"Rollout completed update to revision 6 ({app.hash_of('v2')})"
    wait_told(app, "RolloutCompleted", f"{message}: Rollback within window")
