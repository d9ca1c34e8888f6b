"""The same numbers from several machines: each file is read by one worker of a Dask cluster, then they are combined.

What a worker sends is small: for each group and stretch of time a state that others can be added to. A mean travels as
a sum and a count, a percentile as how often each value occurs.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, NamedTuple

from duckdb import ColumnExpression, ConstantExpression, Expression, FunctionExpression

from reports.numbers import (
    MOST_CELLS,
    MOST_GROUPS,
    Names,
    Numbers,
    Values,
    filtered,
    group_columns,
    moment,
    no_group,
    no_rows,
    number,
    shown,
    stretch,
    too_many_cells,
)
from reports.question import Measure, Question, Refused
from reports.storage import Files
from reports.table import opened

MOST_VALUES = 200_000
"""Different values of a column in one file whose percentile is asked."""
Place = tuple[Names, str | None]
"""A group, and a stretch of time; None: the question has no bucket, or the row no date."""


@dataclass(frozen=True)
class State:
    """What is known of one column in some of the rows."""

    count: int = 0
    total: float = 0
    least: float | None = None
    most: float | None = None
    occurrences: Mapping[float, int] = field(default_factory=dict)

    def __add__(self, other: "State") -> "State":
        return State(
            self.count + other.count,
            self.total + other.total,
            min((each for each in (self.least, other.least) if each is not None), default=None),
            max((each for each in (self.most, other.most) if each is not None), default=None),
            Counter(self.occurrences) + Counter(other.occurrences),
        )


class Part(NamedTuple):
    """What one file says."""

    rows_before: int
    states: Mapping[Place, tuple[int, Sequence[State]]]
    """How many rows there are in each place, and what is known of each measure."""


def numbers_by_file(question: Question, files: Files) -> Numbers:
    """Ask the workers of the cluster on which this runs.

    Raises:
        Refused: as when one process reads all files.
    """
    from distributed import worker_client  # noqa: PLC0415 - installed only where there is a cluster

    with worker_client() as client:  # gives this worker's place to others for as long as it waits
        single = [files._replace(paths=[path]) for path in files.paths]
        parts: list[Part] = client.gather(client.map(part, [question] * len(single), single, pure=False))
    return combined(question, parts)


def part(question: Question, files: Files) -> Part:
    """What one file says; run by any worker."""
    with opened(files) as table:
        question.check(table.columns)
        width = len(question.group_by)
        time = [] if question.bucket is None else [stretch(question.bucket, table).alias("b")]
        states = [column for measure in question.measures for column in _state(measure)]
        rows = filtered(question, table).aggregate([*group_columns(question), *time, _call("count"), *states])
        found = table.fetch(rows.limit(MOST_CELLS + 1), _nobody)
        ((before,),) = table.fetch(table.rows.aggregate([_call("count")]), _nobody)
    if len(found) > MOST_CELLS:
        raise Refused(f"One file alone has more than {MOST_CELLS:,} groups. Ask for a coarser bucket, or a filter.")
    read: dict[Place, tuple[int, Sequence[State]]] = {}
    for row in found:
        at = row[width] if time else None
        place = shown(row[:width]), None if at is None else moment(at, question.bucket.by if question.bucket else "")
        count, *rest = row[width + len(time) :]
        read[place] = count, [_read(rest[5 * each : 5 * each + 5]) for each in range(len(question.measures))]
    return Part(before, read)


def _nobody(_: float) -> None:
    """Nothing leads from a worker back to the job, so its progress is not told."""


def _call(name: str, *arguments: Expression) -> Expression:
    return FunctionExpression(name, *arguments)


def _state(measure: Measure) -> list[Expression]:
    """Five columns; those that the measure does not need are empty."""
    nothing = ConstantExpression(None)
    if measure.of is None:
        return [nothing] * 5
    column: Expression = ColumnExpression(measure.of)
    count = _call("count", column)
    match measure.what:
        case "count":
            return [count, nothing, nothing, nothing, nothing]
        case "share_above":
            above = (column > ConstantExpression(measure.above)).cast("BIGINT")
            return [count, _call("sum", above), nothing, nothing, nothing]
        case "median" | "percentile":
            return [count, nothing, nothing, nothing, _call("histogram", column)]
        case _:
            return [count, _call("sum", column), _call("min", column), _call("max", column), nothing]


def _read(found: Sequence[Any]) -> State:
    count, total, least, most, occurrences = found
    if len(occurrences or {}) > MOST_VALUES:
        raise Refused(f"A percentile of more than {MOST_VALUES:,} different values is not taken on the cluster.")
    return State(count or 0, total or 0, least, most, occurrences or {})


# Combining


def combined(question: Question, parts: Sequence[Part]) -> Numbers:
    """The numbers of all files together, as `numbers` has them of one table.

    Raises:
        Refused: there are no rows, or too many points.
    """
    before = sum(each.rows_before for each in parts)
    places = _merged(pair for each in parts for pair in each.states.items())
    rows, everything = _together(question, places.values())
    if not rows:
        raise Refused(no_rows(question, before))
    groups = _merged(((names, None), found) for (names, _), found in places.items())
    large = {names: found for (names, _), found in groups.items() if found[0] >= question.at_least}
    if not large:
        raise Refused(no_group(question))
    ranked = sorted(
        ((names, _values(question, found)) for names, found in large.items()),
        key=lambda group: _rank(question, *group),
    )
    shown_groups = {names for names, _ in ranked[: question.top]}
    cells = [
        (names, at, _values(question, found))
        for (names, at), found in places.items()
        if at is not None and names in shown_groups
    ]
    if question.bucket is not None and len(cells) > MOST_CELLS:
        raise Refused(too_many_cells(question.bucket))
    count = min(len(ranked), MOST_GROUPS)
    return Numbers(rows, before, everything, ranked[: question.top], count, sorted(cells, key=lambda cell: cell[1]))


Found = tuple[int, Sequence[State]]


def _merged(pairs: Iterable[tuple[Place, Found]]) -> dict[Place, Found]:
    merged: dict[Place, Found] = {}
    for place, found in pairs:
        merged[place] = found if place not in merged else _sum(merged[place], found)
    return merged


def _sum(one: Found, other: Found) -> Found:
    return one[0] + other[0], [a + b for a, b in zip(one[1], other[1], strict=True)]


def _together(question: Question, found: Iterable[Found]) -> tuple[int, Values]:
    nothing: Found = (0, [State()] * len(question.measures))
    whole = reduce(_sum, found, nothing)
    return whole[0], _values(question, whole)


def _values(question: Question, found: Found) -> Values:
    rows, states = found
    results = (_value(measure, rows, state) for measure, state in zip(question.measures, states, strict=True))
    return tuple(None if each is None else number(each) for each in results)


def _value(measure: Measure, rows: int, state: State) -> float | None:
    if measure.what == "count":
        return rows if measure.of is None else state.count
    if not state.count:
        return None
    by_kind: Mapping[str, Callable[[], float | None]] = {
        "sum": lambda: state.total,
        "mean": lambda: state.total / state.count,
        "min": lambda: state.least,
        "max": lambda: state.most,
        "share_above": lambda: 100 * state.total / state.count,
        "median": lambda: quantile(state.occurrences, 0.5),
        "percentile": lambda: quantile(state.occurrences, (measure.percentile or 0) / 100),
    }
    return by_kind[measure.what]()


def quantile(occurrences: Mapping[float, int], share: float) -> float:
    """Between the two values beside it, as DuckDB's `quantile_cont` has it."""
    position = share * (sum(occurrences.values()) - 1)
    below = int(position)
    lower, upper = _at(occurrences, below), _at(occurrences, below + 1 if position > below else below)
    return float(lower) + float(upper - lower) * (position - below)


def _at(occurrences: Mapping[float, int], position: int) -> float:
    """The value at that place, counted from 0, when all are put in order."""
    for value in sorted(occurrences):
        position -= occurrences[value]
        if position < 0:
            return value
    raise IndexError(position)


def _rank(question: Question, names: Names, found: Values) -> tuple[Any, ...]:
    """As DuckDB orders the groups: what is missing comes last."""
    first = found[0]
    value = 0.0 if first is None else first if question.lowest_first else -first
    return first is None, value, [(name is None, name or "") for name in names]
