"""What can be asked of a table: a typed model, checked against the columns that the table really has."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Annotated, Literal, Self
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

Kind = Literal["number", "text", "time", "flag", "other"]
"""What a column holds, as far as a question cares."""
Text = Annotated[str, Field(min_length=1, max_length=200)]
Value = str | Annotated[int, Field(ge=-(2**63), lt=2**63)] | FiniteFloat | bool

MOST_TOLD = 200
"""Letters of what a filter compares with, in a sentence."""


class Refused(Exception):
    """A report that cannot be made, in one sentence for whoever asked; nothing in it is a secret, or a traceback."""


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Measure(Part):
    """A number for each group: `{"what": "mean", "of": "arr_delay", "unit": "min"}`."""

    what: Literal["count", "sum", "mean", "min", "max", "median", "percentile", "share_above"]
    of: Text | None = None
    """The column; `count` needs none and then counts rows."""
    percentile: Annotated[float, Field(gt=0, lt=100)] | None = None
    above: FiniteFloat | None = None
    """For `share_above`: the percentage of values above this."""
    label: Text | None = None
    """What a reader calls it. Default: made from the rest."""
    unit: Annotated[str, Field(max_length=20)] = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.of is None and self.what != "count":
            raise ValueError(f"{self.what!r} needs `of`, the column that it is taken of")
        if (self.percentile is not None) != (self.what == "percentile"):
            raise ValueError("`percentile` belongs to what='percentile', as in 95")
        if (self.above is not None) != (self.what == "share_above"):
            raise ValueError("`above` belongs to what='share_above', as in 15")
        return self

    @property
    def name(self) -> str:
        """For people."""
        if self.label is not None:
            return self.label
        of = "rows" if self.of is None else words(self.of)
        match self.what:
            case "percentile":
                return f"{ordinal(self.percentile or 0)} percentile of {of}"
            case "share_above":
                return f"share of {of} above {self.above:g}"
            case "count":
                return f"number of {of}"
            case _:
                return f"{ADJECTIVES[self.what]} {of}"

    @property
    def sign(self) -> str:
        """The unit of its values."""
        return "%" if self.what == "share_above" else "" if self.what == "count" else self.unit


ADJECTIVES: Mapping[str, str] = {
    "sum": "total",
    "mean": "average",
    "min": "smallest",
    "max": "largest",
    "median": "median",
}


class Filter(Part):
    """Rows to take: `{"column": "origin", "is": "=", "value": "JFK"}`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    column: Text
    comparison: Annotated[Literal["=", "!=", "<", "<=", ">", ">=", "in", "missing", "present"], Field(alias="is")] = "="
    value: Value | Annotated[list[Value], Field(min_length=1, max_length=200)] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        alone = self.comparison in {"missing", "present"}
        if alone != (self.value is None):
            raise ValueError(f"`is` = {self.comparison!r} {'takes no' if alone else 'needs a'} `value`")
        if isinstance(self.value, list) != (self.comparison == "in"):
            raise ValueError("a list of values belongs to `is` = 'in', and to nothing else")
        return self

    @property
    def values(self) -> Sequence[Value]:
        """All that it compares with."""
        if self.value is None:
            return ()
        return self.value if isinstance(self.value, list) else (self.value,)

    def __str__(self) -> str:
        told = " or ".join(str(value) for value in self.values)
        told = told if len(told) <= MOST_TOLD else f"{told[:MOST_TOLD]}…"
        sign = {"!=": "≠", "<=": "≤", ">=": "≥", "in": "="}.get(self.comparison, self.comparison)
        return f"{words(self.column)} {sign}{f' {told}' if told else ''}"


class Bucket(Part):
    """A row for each stretch of time: `{"column": "time_hour", "by": "month", "timezone": "America/New_York"}`."""

    column: Text
    by: Literal["hour", "day", "week", "month", "quarter", "year"]
    timezone: str = "UTC"
    """For columns that have a time zone: in whose days and months they are counted."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.timezone not in available_timezones():
            raise ValueError(f"expected a time zone, such as 'Europe/Berlin', got {self.timezone!r}")
        return self


class Question(Part):
    """What is asked of a table."""

    title: Text | None = None
    """What stands above the answer. Default: made from the rest."""
    measures: Annotated[list[Measure], Field(min_length=1, max_length=6)]
    """The first one ranks the groups, and is drawn."""
    group_by: Annotated[list[Text], Field(max_length=3)] = []
    bucket: Bucket | None = None
    filters: Annotated[list[Filter], Field(max_length=20)] = []
    top: Annotated[int, Field(ge=1, le=200)] = 20
    """How many groups, by the first measure."""
    lowest_first: bool = False
    at_least: Annotated[int, Field(ge=1)] = 1
    """Rows that a group has to have: the mean of three rows says nothing, and would come first."""

    @property
    def name(self) -> str:
        """For people."""
        if self.title is not None:
            return self.title
        by = [words(column) for column in self.group_by] + ([] if self.bucket is None else [self.bucket.by])
        first = self.measures[0].name
        return f"{first[0].upper()}{first[1:]}{f' by {_listed(by)}' if by else ''}"

    def check(self, columns: Mapping[str, Kind]) -> None:
        """Compare it with the columns of the table.

        Raises:
            Refused: it asks for what is not there; names all that is wrong.
        """
        problems = list(self._problems(columns))
        if problems:
            raise Refused(" ".join(problem if problem.endswith("?") else f"{problem}." for problem in problems))

    def _problems(self, columns: Mapping[str, Kind]) -> Iterator[str]:
        if len(set(self.group_by)) < len(self.group_by):
            yield "A column can be named once in group_by"
        for column in self.group_by:
            yield from _unknown(column, columns)
        for measure in self.measures:
            if measure.of is not None:
                yield from _unknown(measure.of, columns)
                if measure.what != "count" and columns.get(measure.of, "number") != "number":
                    yield f"{measure.of!r} holds {columns[measure.of]}, and {measure.what!r} needs numbers"
        if self.bucket is not None:
            yield from _unknown(self.bucket.column, columns)
            if columns.get(self.bucket.column, "time") != "time":
                yield f"{self.bucket.column!r} holds {columns[self.bucket.column]}, and a bucket needs dates or times"
        for each in self.filters:
            yield from _unknown(each.column, columns)
            yield from _unfit(each, columns.get(each.column, "other"))


def _unknown(column: str, columns: Mapping[str, Kind]) -> Iterator[str]:
    if column not in columns:
        close = get_close_matches(column, columns, 1) or [one for one in columns if one.lower() == column.lower()]
        hint = f"did you mean {close[0]!r}?" if close else f"there are {_listed([*columns][:30])}"
        yield f"There is no column {column!r}: {hint}".removesuffix(".")


def _unfit(given: Filter, kind: Kind) -> Iterator[str]:
    fits: Mapping[str, Callable[[Value], bool]] = {
        "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
        "text": lambda value: isinstance(value, str),
        "time": _is_moment,
        "flag": lambda value: isinstance(value, bool),
    }
    expected = {"number": "a number", "text": "text", "time": "a date such as '2013-07-01'", "flag": "true or false"}
    for value in given.values:
        if kind in fits and not fits[kind](value):
            yield f"{given.column!r} is compared with {expected[kind]}, got {value!r}"


def _is_moment(value: Value) -> bool:
    try:
        datetime.fromisoformat(str(value))
    except ValueError:
        return False
    return isinstance(value, str)


def words(column: str) -> str:
    """The name of a column as it is said: `arr_delay` as "arr delay"."""
    return column.replace("_", " ").strip() or column


def ordinal(number: float) -> str:
    """As in 95th."""
    last = {1: "st", 2: "nd", 3: "rd"}.get(int(number) % 10, "th")
    return f"{number:g}{'th' if int(number) % 100 in {11, 12, 13} or number != int(number) else last}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""
