import io
import json

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


def drawn(monkeypatch: pytest.MonkeyPatch, lines: list[str], *, rows: int, columns: int) -> str:
    monkeypatch.setenv("LINES", str(rows))
    monkeypatch.setenv("COLUMNS", str(columns))
    out = Screen()
    Terminal(out=out, environ={}).screen().draw(lines)
    return out.getvalue().removeprefix("\x1b[H\x1b[2J").removesuffix("\x1b[J")


def test_lines_that_are_wider_than_the_terminal_count_as_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = ["a" * 15, "b" * 25, "c", "d"]
    assert drawn(monkeypatch, lines, rows=8, columns=10).count("\n") == 4
    text = drawn(monkeypatch, lines, rows=6, columns=10)
    assert "b" not in text
    assert "… 3 more lines" in text


def test_colours_make_no_line_wider(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Palette(True).paint("a" * 9, Colour.RED)
    assert "more lines" not in drawn(monkeypatch, [line, line], rows=3, columns=10)


def test_a_line_up_to_the_margin_keeps_its_last_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(monkeypatch, ["a" * 10, "b"], rows=9, columns=10) == "a" * 10 + "\nb\x1b[K\n"


def test_a_terminal_with_no_room_at_all_shows_that(monkeypatch: pytest.MonkeyPatch) -> None:
    text = drawn(monkeypatch, ["a" * 30, "b"], rows=2, columns=10)
    assert text == "… 2 more lines\x1b[K\n"


CLEAR = "one\x1b[2J\x9b2J\a\r two\ttab \x1b[31mred\x1b[0m"


def test_what_objects_say_moves_no_cursor() -> None:
    piped, err, screen = io.StringIO(), io.StringIO(), Screen()
    terminal = Terminal(out=piped, err=err, environ={})
    terminal.print(CLEAR)
    terminal.complain(CLEAR)
    Terminal(out=screen, environ={}).print(CLEAR)
    seen = "one^[[2J\\u009b2J^G^M two\ttab "
    assert piped.getvalue() == err.getvalue() == f"{seen}^[[31mred^[[0m\n"
    assert screen.getvalue() == f"{seen}\x1b[31mred\x1b[0m\n"


def test_json_stays_what_it_is() -> None:
    out, text = io.StringIO(), "\x00\x1b[31m\x7f\x9b\n"
    Terminal(out=out, environ={}).print(json.dumps({"message": text}, ensure_ascii=False))
    assert json.loads(out.getvalue()) == {"message": text}


def test_a_message_of_several_lines_takes_as_many_rows() -> None:
    out = Screen()
    screen = Terminal(out=out, environ={}).screen()
    screen.draw(["one\ntwo", "\x1b[Hthree"])
    assert out.getvalue() == "\x1b[H\x1b[2Jone\x1b[K\ntwo\x1b[K\n^[[Hthree\x1b[K\n\x1b[J"
