"""One lab and one fleet for all tests that break nothing, and a namespace for each test."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

import pytest

from headrace_lab.application import Application
from headrace_lab.borrow import borrowed_lab
from headrace_lab.lab import Lab
from headrace_lab.load import Load
from headrace_lab.people import CommandLine, Person
from headrace_lab.services import Fleet, three
from headrace_lab.steady_load import SteadyLoad

MakeApplication = Callable[..., Application]
MakeFleet = Callable[..., Fleet]
MakeLoad = Callable[..., SteadyLoad]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def is_long() -> bool:
    """Whether the tests run with the services' default times and the full counts."""
    return bool(os.environ.get("HEADRACE_E2E_LONG"))


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The lab that runs, else one for the time of the tests; nothing of it may be broken."""
    with borrowed_lab(tmp_path_factory.mktemp("lab")) as borrowed:
        yield borrowed


@pytest.fixture(scope="session")
def fleet(lab: Lab) -> Iterator[Fleet]:
    """The three services with their default times, for all tests that leave them alone.

    Short Leases would be lost whenever the machine has more to do, and cost thirty requests a
    second.
    """
    # Several test processes may share the lab, each with services of its own.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    services = three(lab, {"instance-id": f"e2e-{worker}"}, is_short=False)
    try:
        yield services.start()
    finally:
        services.stop()


@pytest.fixture
def unique(request: pytest.FixtureRequest) -> str:
    """A name for what this run of this test makes; what an earlier run left does not matter."""
    words = request.node.name.partition("[")[0].removeprefix("test_").replace("_", "-")
    return f"{words[:40].rstrip('-')}-{time.time_ns() // 10**6 % 10**7}"


@pytest.fixture
def applications(lab: Lab, unique: str, is_long: bool) -> Iterator[MakeApplication]:
    """Makes applications in namespaces of their own that go when the test ends."""
    with ExitStack() as stack:

        def make(instance_id: str, *, has_processes: bool = True, lab: Lab = lab) -> Application:
            made = Application(lab, f"{unique}-{next(_numbers)}", instance_id)
            if not has_processes:
                made.image = "headrace/still-app"
            if is_long:
                made.patience_seconds *= 5
            return stack.enter_context(made)

        yield make


@pytest.fixture
def application(fleet: Fleet, applications: MakeApplication) -> Iterator[Application]:
    """An application that the common fleet serves; the fleet must not crash over it."""
    yield applications(fleet.instance_id)
    assert fleet.crashes() == []


@pytest.fixture
def still_application(fleet: Fleet, applications: MakeApplication) -> Iterator[Application]:
    """The same with pods that need no time to start and answer no requests."""
    yield applications(fleet.instance_id, has_processes=False)
    assert fleet.crashes() == []


@pytest.fixture(params=["plugin", "headrace"])
def person(request: pytest.FixtureRequest, still_application: Application) -> Person:
    """Somebody who drives it: by the existing plugin's requests, then by our command line."""
    return CommandLine(still_application) if request.param == "headrace" else still_application


@pytest.fixture
def fleets(lab: Lab, is_long: bool) -> Iterator[MakeFleet]:
    """Makes the three services for tests that break them; they must not crash by themselves."""
    with ExitStack() as stack:
        made: list[Fleet] = []

        def make(instance_id: str, *, lab: Lab = lab, is_started: bool = True) -> Fleet:
            services = three(lab, {"instance-id": instance_id}, is_short=not is_long)
            made.append(services)
            stack.callback(services.stop)
            return services.start() if is_started else services

        yield make
        assert [line for each in made for line in each.crashes()] == []


@pytest.fixture
def loads() -> Iterator[MakeLoad]:
    """Starts steady loads of live users' requests that end with the test."""
    with ExitStack() as stack:

        def make(
            application: Application, rate: float = 300, headers: Mapping[str, str] | None = None
        ) -> SteadyLoad:
            load = Load(
                f"{application.lab.envoy_url}/",
                application.host,
                rate,
                window_seconds=0.5,
                headers=tuple((headers or {}).items()),
            )
            return stack.enter_context(SteadyLoad(load))

        yield make
