"""The chart of an answer: where everything stands in it. How it looks is up to the templates and the style sheet."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from reports.answer import SUMS, Answer, Group
from reports.wording import digits, figure, stretch_name, stretch_short

WIDTH = 940
HEIGHT = 400
LEFT, RIGHT, TOP, BOTTOM = 56, 236, 16, 36
"""Pixels around the lines: for the figures of the axis, the names at the ends, and the dates."""
COLOURS = 5
"""Lines with a colour and a name; more could not be told apart, and are grey."""
APART = 17.0
"""Pixels between two names."""
BAR, GAP = 22, 10
BARS_RIGHT = 90
MOST_BARS = 20
LONGEST_NAME = 26
LONGEST_AT_A_LINE = 27
LETTER = 7.6
"""Pixels of a letter, on average."""


class Tick(NamedTuple):
    at: float
    text: str


class Line(NamedTuple):
    name: str
    colour: int | None
    """None: grey, behind the others."""
    paths: Sequence[str]
    """As SVG writes them; one for each stretch without a hole."""
    points: Sequence[tuple[float, float, str]]
    """With what stands at each."""
    label_at: float
    end: tuple[float, float]


class Lines(NamedTuple):
    lines: Sequence[Line]
    x: Sequence[Tick]
    y: Sequence[Tick]
    zero: float | None
    greys: int
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


class Bar(NamedTuple):
    name: str
    full_name: str
    y: float
    x: float
    length: float
    value: str
    value_at: float


class Bars(NamedTuple):
    bars: Sequence[Bar]
    zero: float
    height: float
    overall: float | None
    """Where the value of all rows stands; None: outside, or it says nothing, as with a sum."""
    overall_text: str
    left: float
    width: int = WIDTH
    bar: int = BAR


def chart(answer: Answer) -> Lines | Bars | None:
    """The chart of its first measure; None: there is one number, and nothing to draw."""
    if len(answer.stretches) > 1:
        return _lines(answer)
    if answer.group_by and any(group.values[0] is not None for group in answer.groups):
        return _bars(answer)
    return None


def _lines(answer: Answer) -> Lines:
    found = [cell[0] for group in answer.groups for cell in group.series if cell[0] is not None]
    low, high, ticks = scale(min(found, default=0), max(found, default=1))
    step = (WIDTH - LEFT - RIGHT) / (len(answer.stretches) - 1)

    def y(value: float) -> float:
        return round(TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    column, places = answer.measures[0], answer.places(0)
    told = [stretch_name(stretch, answer.by or "") for stretch in answer.stretches]

    def line(number: int, group: Group) -> Line:
        cells = [(round(LEFT + step * at, 1), cell[0]) for at, cell in enumerate(group.series)]
        points = [
            (x, y(value), f"{group.name or column.name}, {when}: {figure(value, column.unit, places)}")
            for (x, value), when in zip(cells, told, strict=True)
            if value is not None
        ]
        end = points[-1][:2] if points else (LEFT, HEIGHT - BOTTOM)
        paths = [_path([(x, y(value)) for x, value in run]) for run in _runs(cells)]
        colour = number if number < COLOURS else None
        return Line(_short(group.name, LONGEST_AT_A_LINE), colour, paths, points, end[1], end)

    lines = [line(number, group) for number, group in enumerate(answer.groups)]
    return Lines(
        lines=[*reversed(lines[COLOURS:]), *_labels_apart(lines[:COLOURS])],  # what comes later lies above
        x=[*_dates(answer, step)],
        y=[Tick(y(each), figure(each, places=digits(ticks))) for each in ticks],
        zero=y(0) if low <= 0 <= high else None,
        greys=max(0, len(lines) - COLOURS),
    )


def _runs(cells: Sequence[tuple[float, float | None]]) -> Iterator[list[tuple[float, float]]]:
    """The stretches of a line between its holes."""
    run: list[tuple[float, float]] = []
    for x, value in cells:
        if value is not None:
            run.append((x, value))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + " L".join(f"{x:g} {y:g}" for x, y in points)


def _labels_apart(lines: Sequence[Line]) -> list[Line]:
    """With the names at their ends moved so that none covers another, and all stay in the picture."""
    ordered = sorted(lines, key=lambda line: line.end[1])
    places: list[float] = []
    for line in ordered:
        places.append(max(line.end[1], places[-1] + APART if places else TOP))
    over = max(0.0, places[-1] - (HEIGHT - BOTTOM)) if places else 0.0
    for at in range(len(places) - 1, -1, -1):
        most = places[at + 1] - APART if at + 1 < len(places) else HEIGHT - BOTTOM
        places[at] = min(places[at], most) if over else places[at]
    moved = {id(line): line._replace(label_at=round(place, 1)) for line, place in zip(ordered, places, strict=True)}
    return [moved[id(line)] for line in lines]


def _dates(answer: Answer, step: float) -> Iterator[Tick]:
    every = max(1, math.ceil(56 / step))
    for at in range(0, len(answer.stretches), every):
        yield Tick(round(LEFT + step * at, 1), stretch_short(answer.stretches[at], answer.by or ""))


def _bars(answer: Answer) -> Bars:
    column, overall, places = answer.measures[0], answer.all[0], answer.places(0)
    found = [(group, group.values[0]) for group in answer.groups[:MOST_BARS]]
    known = [value for _, value in found if value is not None]
    low, high = min(0.0, *known), max(0.0, *known)
    left = round(16 + LETTER * max(len(_short(group.name)) for group, _ in found))
    scale_by = (WIDTH - left - BARS_RIGHT) / ((high - low) or 1)

    def x(value: float) -> float:
        return round(left + (value - low) * scale_by, 1)

    bars = [
        Bar(
            name=_short(group.name),
            full_name=group.name,
            y=number * (BAR + GAP),
            x=x(min(value or 0, 0)),
            length=round(abs(value or 0) * scale_by, 1),
            value=figure(value, column.unit, places),
            value_at=x(max(value or 0, 0)) + 8,
        )
        for number, (group, value) in enumerate(found)
    ]
    compared = overall is not None and low <= overall <= high and not column.name.startswith(SUMS)
    return Bars(
        bars=bars,
        zero=x(0),
        height=len(bars) * (BAR + GAP) - GAP + (28 if compared else 0),
        overall=x(overall) if compared and overall is not None else None,
        overall_text=f"all: {figure(overall, column.unit, places)}",
        left=left,
    )


def scale(low: float, high: float) -> tuple[float, float, list[float]]:
    """The ends of an axis, and four to eight round figures on it. Zero is on it unless that would flatten all else."""
    if low > 0 and low < 0.7 * high:
        low = 0.0
    if high < 0 and high > 0.7 * low:
        high = 0.0
    span = (high - low) or abs(high) or 1.0
    rough = span / 5
    size = 10 ** math.floor(math.log10(rough))
    step = next(factor * size for factor in (1, 2, 2.5, 5, 10) if factor * size >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    last = last if last > first else first + 1
    return first * step, last * step, [round(each * step, 10) for each in range(first, last + 1)]


def _short(name: str, longest: int = LONGEST_NAME) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1].rstrip()}…"
