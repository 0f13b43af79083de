import io

import pytest

from headrace_cli.output import Cell, Colour, Palette, Terminal, table


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def rows(*lines: str) -> list[list[Cell]]:
    return [[Cell(text) for text in line.split("|")] for line in lines]


def test_columns_are_as_wide_as_their_widest_cell_and_two_blanks() -> None:
    assert table(rows("NAME|AGE", "a-long-name|5s")) == ["NAME         AGE", "a-long-name  5s"]


def test_lines_end_without_blanks() -> None:
    assert table(rows("a|b|c", "x||", "|y|")) == ["a  b  c", "x", "   y"]


def test_colours_take_no_room() -> None:
    green = Cell.of(("ok", Colour.GREEN), ("!", None))
    painted = table([[green, Cell("x")], [Cell("long-one"), Cell("y")]], Palette(is_on=True))
    assert painted == ["\x1b[32mok\x1b[0m!       x", "long-one  y"]


def test_colours_go_to_terminals_only() -> None:
    assert not Terminal(out=io.StringIO(), environ={}).palette().is_on
    assert Terminal(out=Screen(), environ={"TERM": "xterm"}).palette().is_on


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_the_environment_can_switch_colours_off(environ: dict[str, str]) -> None:
    assert not Terminal(out=Screen(), environ=environ).palette().is_on


def test_the_flag_switches_colours_off() -> None:
    assert not Terminal(out=Screen(), environ={}).palette(no_color=True).is_on


def test_frames_follow_each_other_in_a_pipe() -> None:
    out = io.StringIO()
    screen = Terminal(out=out, environ={}).screen()
    screen.draw(["one"])
    screen.draw(["one"])
    screen.draw(["two"])
    assert out.getvalue() == "one\n\ntwo\n"


def test_a_terminal_is_drawn_over() -> None:
    out = Screen()
    screen = Terminal(out=out, environ={}).screen()
    screen.draw(["one", "two"])
    screen.draw(["three"])
    first, second = out.getvalue().split("\x1b[H")[1:]
    assert first == "\x1b[2Jone\x1b[K\ntwo\x1b[K\n\x1b[J"
    assert second == "three\x1b[K\n\x1b[J"


def test_what_the_terminal_has_no_room_for_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINES", "4")
    monkeypatch.setenv("COLUMNS", "80")
    out = Screen()
    Terminal(out=out, environ={}).screen().draw([str(number) for number in range(9)])
    assert "… 7 more lines" in out.getvalue()
    assert "2\x1b[K" not in out.getvalue()
