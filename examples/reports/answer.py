"""The answer to a question: what a job of a report returns, and what its page, JSON and CSV are made of."""

import csv
import io
from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from reports.numbers import MOST_GROUPS, Names, Numbers
from reports.question import Question, Refused, words
from reports.wording import digits, figure, stretch_name

MOST_BYTES = 200_000
"""Of an answer as JSON. A result of more than 262,144 bytes would not be kept."""
SUMS = ("number", "total")
"""How the name of a measure begins that is no larger or smaller than that of all rows, but a part of it."""
Found = int | float | None
"""A value; counts stay whole numbers."""
NOTHING = "(none)"
"""In place of a value that is missing in a column by which is grouped."""


class Column(BaseModel):
    """A measure, as people call it."""

    name: str
    unit: str


class Group(BaseModel):
    """What was found of one group."""

    names: list[str]
    values: list[Found]
    """One for each measure."""
    series: list[list[Found]] = []
    """One for each stretch of time: the measures in it; empty if there is no bucket."""

    @property
    def name(self) -> str:
        return ", ".join(self.names)


class Answer(BaseModel):
    """What was found."""

    title: str
    sentence: str
    data: str
    """The name of the table."""
    rows: int
    rows_before: int
    """Before the filters."""
    filters: list[str]
    at_least: int
    """Rows that a group has to have."""
    group_by: list[str]
    measures: list[Column]
    all: list[Found]
    """Of all rows together."""
    groups: list[Group]
    group_count: int
    by: str | None = None
    """The length of a stretch of time."""
    stretches: list[str] = []
    """The first day, or hour, of each."""

    @property
    def notes(self) -> Iterator[str]:
        """Of what it is the answer."""
        rows = "row" if self.rows == 1 else "rows"
        if self.filters:
            yield f"{self.rows:,} of the {self.rows_before:,} rows of {self.data}: {', '.join(self.filters)}."
        else:
            yield f"{self.rows:,} {rows} of {self.data}."
        if self.group_by and self.at_least > 1:
            yield f"Groups of fewer than {self.at_least:,} rows are left out."
        if self.group_count > len(self.groups):
            many = f"more than {MOST_GROUPS - 1:,}" if self.group_count == MOST_GROUPS else f"{self.group_count:,}"
            yield f"{len(self.groups)} of {many} groups are shown."

    def places(self, measure: int) -> int:
        """How many digits behind the point the figures of a measure have."""
        cells = [cell[measure] for group in self.groups for cell in group.series]
        return digits([self.all[measure], *(group.values[measure] for group in self.groups), *cells])


def answer(question: Question, data: str, found: Numbers) -> Answer:
    """Put what an engine has found into words and order.

    Raises:
        Refused: it is too large to be kept.
    """
    stretches = sorted({stretch for _, stretch, _ in found.cells})
    by_cell = {(names, stretch): values for names, stretch, values in found.cells}
    nothing: tuple[float | None, ...] = (None,) * len(question.measures)

    def series(names: Names) -> list[list[Found]]:
        return [[*by_cell.get((names, stretch), nothing)] for stretch in stretches]

    groups = [
        Group(names=[NOTHING if name is None else name for name in names], values=[*values], series=series(names))
        for names, values in found.groups
    ]
    columns = [Column(name=measure.name, unit=measure.sign) for measure in question.measures]
    made = Answer(
        title=question.name,
        sentence="",
        data=data,
        rows=found.rows,
        rows_before=found.rows_before,
        filters=[str(each) for each in question.filters],
        at_least=question.at_least,
        group_by=[words(column) for column in question.group_by],
        measures=columns,
        all=[*found.all],
        groups=groups,
        group_count=found.group_count,
        by=None if question.bucket is None else question.bucket.by,
        stretches=stretches,
    )
    made.sentence = sentence(made, lowest_first=question.lowest_first)
    if len(made.model_dump_json()) > MOST_BYTES:
        raise Refused(f"The answer is larger than {MOST_BYTES:,} bytes. Ask for fewer groups with `top`.")
    return made


# In words


def sentence(made: Answer, *, lowest_first: bool) -> str:
    """The answer in a sentence or two, by the first measure."""
    column, first = made.measures[0], made.groups[0]
    value = first.values[0]
    if value is None:
        return f"There is no {column.name}: no row has a value."
    over_all = f"{_told(made, made.all[0])} over all {made.rows:,} rows"
    if not made.group_by:
        if len(made.stretches) < 2:
            return f"The {column.name} is {over_all}."
        return f"The {column.name} was {_extremes(made, first)}. It is {over_all}."
    most, least = ("lowest", "highest") if lowest_first else ("highest", "lowest")
    said = f"{first.name} has the {most} {column.name}: {_told(made, value)}"
    said += "." if column.name.startswith(SUMS) else f", against {over_all}."
    if len(made.stretches) > 1:
        return f"{said} It was {_extremes(made, first)}."
    last = made.groups[-1]
    if len(made.groups) > 1 and made.group_count == len(made.groups) and last.values[0] is not None:
        said += f" {last.name} has the {least}: {_told(made, last.values[0])}."
    return said


def _told(made: Answer, value: float | None) -> str:
    return figure(value, made.measures[0].unit, made.places(0))


def _extremes(made: Answer, group: Group) -> str:
    known = [(cell[0], at) for cell, at in zip(group.series, made.stretches, strict=True) if cell[0] is not None]
    if not known:
        return "never known"
    (most, when), (least, other) = max(known), min(known)
    by = made.by or ""
    return (
        f"highest in {stretch_name(when, by)}, at {_told(made, most)}, "
        f"and lowest in {stretch_name(other, by)}, at {_told(made, least)}"
    )


# As CSV


def as_csv(made: Answer) -> str:
    """A line for each group, or for each group in each stretch of time; for spreadsheets and programs."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [f"{column.name} ({column.unit})" if column.unit else column.name for column in made.measures]
    writer.writerow(map(_safe, [*made.group_by, *([made.by] if made.by else []), *names]))
    for group in made.groups:
        for stretch, values in _lines(made, group):
            writer.writerow([*map(_safe, group.names), *stretch, *("" if each is None else each for each in values)])
    return out.getvalue()


def _lines(made: Answer, group: Group) -> Iterator[tuple[Sequence[str], Sequence[float | None]]]:
    if made.by is None:
        yield (), group.values
    for stretch, values in zip(made.stretches, group.series, strict=False):
        yield (stretch,), values


def _safe(text: str) -> str:
    """A cell that begins like this is a formula to a spreadsheet, and this text came from somebody's file."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
