import pytest
import typer

from headrace_cli.durations import human_duration, seconds_of

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0.9, "0s"),
        (119, "119s"),
        (2 * MINUTE, "2m"),
        (2 * MINUTE + 5, "2m5s"),
        (10 * MINUTE - 1, "9m59s"),
        (10 * MINUTE + 30, "10m"),
        (3 * HOUR - 1, "179m"),
        (3 * HOUR, "3h"),
        (3 * HOUR + 7 * MINUTE, "3h7m"),
        (8 * HOUR + 7 * MINUTE, "8h"),
        (47 * HOUR + 59 * MINUTE, "47h"),
        (2 * DAY, "2d"),
        (2 * DAY + 3 * HOUR, "2d3h"),
        (8 * DAY + 3 * HOUR, "8d"),
        (2 * YEAR - 1, "729d"),
        (2 * YEAR, "2y"),
        (2 * YEAR + 4 * DAY, "2y4d"),
        (8 * YEAR + 4 * DAY, "8y"),
    ],
)
def test_shows_the_two_units_that_matter(seconds: float, shown: str) -> None:
    assert human_duration(seconds) == shown


def test_reads_durations_as_go_writes_them() -> None:
    assert seconds_of("1m30s") == 90
    assert seconds_of("0") == 0


@pytest.mark.parametrize("text", ["5x", "-3s", ""])
def test_says_how_a_duration_is_written(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        seconds_of(text)
