"""Where the shapes of a chart stand."""

import pytest

from postlude.dashboard.charts import HEIGHT, STEP, Series, lines, round_up, stacked


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (-1, 1), (0.03, 0.05), (0.1, 0.1), (1, 1), (3, 5), (7, 10), (51, 100), (2_000, 2_000)]
)
def test_the_upper_edge_is_a_round_number(value: float, top: float) -> None:
    assert round_up(value) == pytest.approx(top)


def test_bars_stand_upon_one_another_and_none_is_higher_than_the_chart() -> None:
    chart = stacked([Series("Good", "succeeded", [3, 0]), Series("Bad", "failed", [1, 2])], ["first", "second"])
    assert chart.top == 5
    good, bad, alone = chart.bars
    assert good.y + good.height == alone.y + alone.height == HEIGHT
    assert bad.y + bad.height == pytest.approx(good.y)
    assert (good.kind, bad.kind, alone.kind) == ("succeeded", "failed", "failed")
    assert STEP < alone.x < 2 * STEP == chart.width


def test_a_line_has_gaps_where_nothing_is_known_and_shows_a_value_that_stands_alone() -> None:
    chart = lines([Series("Half", "running", [None, 1, None, 0.5, 1])], ["", "", "", "", ""])
    assert chart.lines[0].path == "M10 0.0H20M30 50.0H40L40 0.0H50"


def test_a_chart_of_nothing_is_empty() -> None:
    assert lines([Series("Half", "running", [None, None])], ["", ""]).is_empty
    assert stacked([Series("Good", "succeeded", [0])], [""]).is_empty
    assert not stacked([Series("Good", "succeeded", [1])], [""]).is_empty
    assert stacked([], []).is_empty
