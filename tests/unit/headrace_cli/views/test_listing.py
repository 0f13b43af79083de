from typing import Any

from headrace.model.quantities import Instant
from headrace_cli.views.listing import (
    RolloutTable,
    experiment_columns,
    experiment_row,
)

NOW = Instant(1_700_000_000.0)


def rollout(name: str, strategy: Any, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "demo"},
        "spec": {"replicas": 4, "strategy": strategy},
        "status": {"phase": "Healthy", **status},
    }


CANARY = rollout(
    "web",
    {"canary": {"steps": [{"setWeight": 10}, {"pause": {}}]}},
    currentStepIndex=1,
    readyReplicas=4,
    replicas=5,
    updatedReplicas=1,
    availableReplicas=5,
)
BLUE_GREEN = rollout("a-rather-long-name", {"blueGreen": {}})


def lines(layout: RolloutTable, *rollouts: dict[str, Any]) -> list[str]:
    columns = layout.columns()
    rows = columns.lines([layout.row(each, NOW) for each in rollouts])
    return [columns.heading(), *rows]


def test_lists_what_matters_of_a_rollout() -> None:
    assert lines(RolloutTable(), CANARY, BLUE_GREEN) == [
        "NAME                STRATEGY   STATUS        STEP  SET-WEIGHT  READY  DESIRED  UP-TO-DATE"
        "  AVAILABLE",
        "web                 Canary     Healthy       1/2   10          4/5    4        1         "
        "  5",
        "a-rather-long-name  BlueGreen  Healthy       -     -           0/0    4        0         "
        "  0",
    ]


def test_leads_with_time_and_namespace_where_they_are_wanted() -> None:
    heading, row = lines(RolloutTable(with_namespace=True, with_time=True), CANARY)
    assert heading.startswith("TIMESTAMP             NAMESPACE  NAME        STRATEGY")
    assert row.startswith("2023-11-14T22:13:20Z  demo       web         Canary")


def test_what_comes_later_stands_below_its_column() -> None:
    layout = RolloutTable()
    columns = layout.columns()
    columns.lines([layout.row(BLUE_GREEN, NOW)])
    [later] = columns.lines([layout.row(CANARY, NOW)])
    assert later.startswith("web                 Canary     Healthy")


def experiment(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "ab",
            "namespace": "demo",
            "creationTimestamp": "2023-11-14T22:11:20Z",
        },
        "spec": {"duration": "5m"},
        "status": status,
    }


def test_tells_how_long_an_experiment_still_runs() -> None:
    running = experiment(phase="Running", availableAt="2023-11-14T22:12:20Z")
    assert experiment_row(running, NOW) == ("ab", "Running", "5m", "4m", "2m")
    over = experiment(phase="Successful", availableAt="2023-11-14T22:12:20Z")
    assert experiment_row(over, NOW) == ("ab", "Successful", "5m", "-", "2m")
    assert experiment_row(experiment(), NOW) == ("ab", "-", "5m", "-", "2m")


def test_lists_experiments() -> None:
    columns = experiment_columns(with_namespace=True)
    [row] = columns.lines([experiment_row(experiment(), NOW, with_namespace=True)])
    assert columns.heading() == "NAMESPACE  NAME  STATUS  DURATION  REMAINING  AGE"
    assert row == "demo       ab    -       5m        -          2m"
