"""The shapes of the charts: values in, places in a drawing out. Labels are HTML, so that they keep their size."""

from __future__ import annotations

from math import ceil, floor, log10
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

STEP: Final = 10
"""The width of one value in the drawing, which is stretched to the width of its page."""
HEIGHT: Final = 100
_GAP: Final = 1.5


class Series(NamedTuple):
    """The values of one colour, from the oldest to the newest."""

    name: str
    kind: str
    """What it is a colour of: a state, as the style sheet names them."""
    values: Sequence[float | None]
    """None: nothing is known of that time."""


class Bar(NamedTuple):
    """One part of a bar."""

    kind: str
    x: float
    y: float
    width: float
    height: float


class Line(NamedTuple):
    """One series as a line."""

    kind: str
    path: str
    """What SVG calls `d`."""


class Chart(NamedTuple):
    """What a template draws."""

    width: int
    top: float
    """The value at the upper edge."""
    bars: Sequence[Bar]
    lines: Sequence[Line]
    series: Sequence[Series]
    hints: Sequence[str]
    """What is said of each place, for who points at it."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to see."""
        return not any(value for one in self.series for value in one.values)


def stacked(series: Sequence[Series], hints: Sequence[str]) -> Chart:
    """Bars of several series, one upon the other; `hints` says how many places there are."""
    sums = [sum(one.values[place] or 0 for one in series) for place in range(len(hints))]
    top = round_up(max(sums, default=0))
    bars = []
    for place in range(len(hints)):
        below = 0.0
        for one in series:
            height = HEIGHT * (one.values[place] or 0) / top
            if height:
                x, y = place * STEP + _GAP / 2, HEIGHT - below - height
                bars.append(Bar(one.kind, x, round(y, 2), STEP - _GAP, round(height, 2)))
                below += height
    return Chart(STEP * len(hints), top, bars, (), series, hints)


def lines(series: Sequence[Series], hints: Sequence[str]) -> Chart:
    """Each series as steps, so that a value with nothing beside it is seen, too."""
    top = round_up(max((value or 0 for one in series for value in one.values), default=0))
    return Chart(STEP * len(hints), top, (), [Line(one.kind, _steps(one.values, top)) for one in series], series, hints)


def _steps(values: Sequence[float | None], top: float) -> str:
    drawn, pen_is_down = [], False
    for place, value in enumerate(values):
        if value is not None:
            y = round(HEIGHT - HEIGHT * value / top, 2)
            drawn.append(f"{'L' if pen_is_down else 'M'}{place * STEP} {y}H{(place + 1) * STEP}")
        pen_is_down = value is not None
    return "".join(drawn)


def round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20 and so on, below 1 as well; 1 for nothing."""
    if value <= 0:
        return 1
    size = 10.0 ** floor(log10(value))
    for step in (1, 2, 5, 10):
        if value <= step * size * (1 + 1e-9):
            return step * size if size < 1 else float(ceil(step * size))
    return 10 * size
