from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from headrace.runtime.flags import Duration, Flag, FlagRow, Servers, flag_rows, make_parser


class Model(BaseModel):
    hold_seconds: Annotated[Duration, Flag("Time", ("hold",))] = Field(60.0, description="Hold.")
    mode: Annotated[Literal["a", "b"], Flag("Other")] = Field("a", description="Mode, 50 %.")
    names: Annotated[Servers, Flag("Other")] = Field((), description="Names.")
    inner: int = 3


def test_lists_every_flag_for_the_documentation() -> None:
    rows = flag_rows(Model)
    assert rows[0] == FlagRow(
        "--hold-seconds", ("--hold",), "HEADRACE_HOLD_SECONDS", "60", "Hold.", "Time"
    )
    assert [row.flag for row in rows] == ["--hold-seconds", "--mode", "--names"]


def test_help_shows_groups_choices_and_defaults_but_no_flags_without_effect(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        make_parser(Model, "x", ["qps"]).parse_args(["--help"])
    text = capsys.readouterr().out
    assert "Time:" in text
    assert "--mode a|b" in text
    assert "Mode, 50 %. (default: a)" in text
    assert "qps" not in text


def test_no_flag_may_be_abbreviated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make_parser(Model, "x", []).parse_args(["--hold-sec", "3"])
    assert "--hold-sec" in capsys.readouterr().err
