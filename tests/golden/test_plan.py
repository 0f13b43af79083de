"""What `headrace plan` shows, compared with files.

`HEADRACE_WRITE_GOLDEN=1` writes the files anew; read the difference before you commit it.
"""

import json
import os
from pathlib import Path

import pytest

from headrace_cli.operations.manifests import read_manifests
from headrace_cli.views.rehearsal import document, lines
from headrace_rehearsal.rehearse import NotRehearsed, rehearse

FOLDER = Path(__file__).parent / "plan"
EXAMPLES = Path(__file__).parents[2] / "examples"


def compare(path: Path, text: str) -> None:
    if os.environ.get("HEADRACE_WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
async def test_goes_as_it_always_did(path: Path) -> None:
    found = await rehearse(read_manifests(path))
    compare(path.with_suffix(".txt"), "".join(f"{line}\n" for line in lines(found)))


async def test_is_the_same_as_json() -> None:
    found = await rehearse(read_manifests(FOLDER / "routed.yaml"))
    compare(FOLDER / "routed.json", json.dumps(document(found), indent=2) + "\n")


@pytest.mark.parametrize(
    ("name", "pods"),
    [
        ("blue-green", 2),
        ("canary-manual-approval", 4),
        ("canary-with-metrics", 4),
        ("step-plugin-worker", 4),
    ],
)
async def test_the_examples_come_to_their_end(name: str, pods: int) -> None:
    files = sorted((EXAMPLES / name).glob("*.yaml"))
    found = await rehearse([manifest for file in files for manifest in read_manifests(file)])
    assert found.moments[-1].new == pods
    assert found.moments[-1].old == 0


async def test_no_step_ends_before_its_weight_is_there() -> None:
    found = await rehearse(read_manifests(FOLDER / "routed.yaml"))
    ended = {m.message: m.weight for m in found.moments if m.reason == "RolloutStepCompleted"}
    assert ended["Rollout step 1/4 completed (setWeight: 20)"] == 20
    assert ended["Rollout step 4/4 completed (setWeight: 60)"] == 60


async def test_weights_are_those_that_the_router_wrote() -> None:
    found = await rehearse(read_manifests(FOLDER / "routed.yaml"))
    assert {moment.split["preview"] for moment in found.moments} == {0, 20, 60, 100}
    assert all(sum(moment.split.values()) == 100 for moment in found.moments)
    written = {(verb, name) for verb, kind, name in found.writes if kind == "trafficsplits"}
    assert written == {("patch", "web")}


async def test_an_experiment_runs_for_its_duration_with_its_share() -> None:
    found = await rehearse(read_manifests(FOLDER / "experiment.yaml"))
    times = {m.message: m.seconds for m in found.moments if m.reason == "RolloutStepCompleted"}
    assert times["Rollout step 1/5 completed (setWeight: 20)"] == 0
    assert times["Rollout step 2/5 completed (experiment)"] == pytest.approx(600, abs=1)
    (begun,) = [m for m in found.moments if "additional: [{" in m.message]
    assert (begun.weight, begun.additional, begun.experiment) == (20, 10, 2)
    last = found.moments[-1]
    assert (last.additional, last.experiment, last.weight) == (0, 0, 0)


async def test_what_would_never_end_alone_is_ended_and_said() -> None:
    found = await rehearse(read_manifests(FOLDER / "experiment.yaml"))
    assert found.assumed == {"analysis": 1, "step plugin": 1, "experiment": 1}
    messages = [moment.message for moment in found.moments if moment.is_assumed]
    assert "calls worker acme/approve, assumed successful" in messages


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"strategy": {"canary": {"steps": [{"setWeight": 101}]}}}, "is invalid: "),
        (None, "there are 0 Rollouts in the files, not one"),
    ],
)
async def test_says_why_it_cannot_be_rehearsed(spec: object, why: str) -> None:
    manifests = read_manifests(FOLDER / "basic.yaml")
    if spec is None:
        manifests = []
    else:
        manifests[0]["spec"] = {**manifests[0]["spec"], **spec}  # type: ignore[dict-item]
    with pytest.raises(NotRehearsed, match=why):
        await rehearse(manifests)


async def test_several_templates_that_are_not_in_the_files_do_not_stand_in_each_others_way() -> (
    None
):
    (rollout, *_) = read_manifests(FOLDER / "basic.yaml")
    analysis = {
        "templates": [
            {"templateName": "errors"},
            {"templateName": "latency"},
            {"templateName": "errors", "clusterScope": True},
        ]
    }
    rollout["spec"]["strategy"] = {"canary": {"steps": [{"setWeight": 50}, {"analysis": analysis}]}}
    found = await rehearse([rollout])
    assert found.moments[-1].reason == "RolloutCompleted"
    assert found.assumed == {"analysis": 1}
