"""The numbers of a report, by DuckDB in one process: of all rows, of each group, and of each stretch of time."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import reduce
from operator import and_, eq, ge, gt, le, lt, ne, or_
from typing import Any, NamedTuple

from duckdb import ColumnExpression, ConstantExpression, DuckDBPyRelation, Expression, FunctionExpression

from reports.question import Bucket, Filter, Measure, Question, Refused
from reports.storage import Files
from reports.table import Table, opened

Told = Callable[[float, str], None]
"""Called with how much is done, from 0 to 1, and what is being done."""
Values = tuple[float | None, ...]
"""One for each measure."""
Names = tuple[str | None, ...]
"""One for each column that the question groups by; None: the value is missing."""

MOST_GROUPS = 10_000
MOST_CELLS = 10_000
DIGITS = 10
"""Significant ones: the last few of a sum of fractions depend on the order of the threads."""


COMPARISONS: Mapping[str, Callable[[Any, Any], Expression]] = {"=": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}


class Numbers(NamedTuple):
    """What an engine has found."""

    rows: int
    """After the filters."""
    rows_before: int
    all: Values
    """Of all rows together."""
    groups: Sequence[tuple[Names, Values]]
    """The first ones, in their order."""
    group_count: int
    """How many there are, up to `MOST_GROUPS`."""
    cells: Sequence[tuple[Names, str, Values]]
    """Of each of those groups in each stretch of time, which goes by its first day or hour, as in 2013-07-01."""


def numbers(question: Question, files: Files, told: Told) -> Numbers:
    """Ask DuckDB.

    Raises:
        Refused: the table does not fit the question, or cannot be read, or needs more memory than it may have.
    """
    with opened(files) as table:
        question.check(table.columns)
        return _Asked(question, table, told).numbers()


class _Asked:
    def __init__(self, question: Question, table: Table, told: Told) -> None:
        self._question = question
        self._table = table
        self._rows = filtered(question, table)
        self._told = told
        self._step = 0
        self._steps = 1 + bool(question.filters) + bool(question.group_by) + (question.bucket is not None)

    def numbers(self) -> Numbers:
        question = self._question
        rows, *overall = self._fetch(self._rows.aggregate([_count(), *self._measures()]), "all rows")[0]
        before = rows
        if question.filters:
            ((before,),) = self._fetch(self._table.rows.aggregate([_count()]), "rows before the filter")
        if not rows:
            raise Refused(no_rows(question, before))
        everything = values(overall)
        groups, count = self._groups() if question.group_by else ([((), everything)], 1)
        cells = [] if question.bucket is None else self._cells(question.bucket, [names for names, _ in groups])
        return Numbers(rows, before, everything, [(shown(names), each) for names, each in groups], count, cells)

    def _groups(self) -> tuple[list[tuple[tuple[Any, ...], Values]], int]:
        question = self._question
        width = len(question.group_by)
        ranked = ColumnExpression("m0").asc() if question.lowest_first else ColumnExpression("m0").desc()
        order = [ranked.nulls_last(), *(ColumnExpression(f"g{each}").asc().nulls_last() for each in range(width))]
        found = self._rows.aggregate([*group_columns(question), _count().alias("n"), *self._measures()])
        large = found.filter(ColumnExpression("n") >= ConstantExpression(question.at_least))
        rows = self._fetch(large.sort(*order).limit(MOST_GROUPS), "groups")
        if not rows:
            raise Refused(no_group(question))
        return [(row[:width], values(row[width + 1 :])) for row in rows[: question.top]], len(rows)

    def _cells(self, bucket: Bucket, names: Sequence[tuple[Any, ...]]) -> list[tuple[Names, str, Values]]:
        question = self._question
        width = len(question.group_by)
        rows = self._rows.filter(ColumnExpression(bucket.column).isnotnull())
        if question.group_by:
            rows = rows.filter(reduce(or_, (self._is(group) for group in names)))
        columns = [*group_columns(question), stretch(bucket, self._table).alias("b")]
        found = self._fetch(rows.aggregate([*columns, *self._measures()]).limit(MOST_CELLS + 1), bucket.by)
        if len(found) > MOST_CELLS:
            raise Refused(too_many_cells(bucket))
        cells = [(shown(row[:width]), moment(row[width], bucket.by), values(row[width + 1 :])) for row in found]
        return sorted(cells, key=lambda cell: cell[1])

    def _is(self, group: tuple[Any, ...]) -> Expression:
        columns = [ColumnExpression(column) for column in self._question.group_by]
        pairs = zip(columns, group, strict=True)
        each = [column.isnull() if value is None else column == ConstantExpression(value) for column, value in pairs]
        return reduce(and_, each)

    def _measures(self) -> list[Expression]:
        return [measured(each).alias(f"m{number}") for number, each in enumerate(self._question.measures)]

    def _fetch(self, rows: DuckDBPyRelation, what: str) -> Sequence[tuple[Any, ...]]:
        step, self._step = self._step, self._step + 1
        self._told(step / self._steps, what)
        return self._table.fetch(rows, lambda share: self._told((step + share) / self._steps, what))


def filtered(question: Question, table: Table) -> DuckDBPyRelation:
    """The rows that the question is about."""
    return reduce(lambda rows, each: rows.filter(_holds(each, table)), question.filters, table.rows)


def _holds(each: Filter, table: Table) -> Expression:
    column = ColumnExpression(each.column)
    is_time = table.columns[each.column] == "time"
    given = [ConstantExpression(datetime.fromisoformat(str(one)) if is_time else one) for one in each.values]
    match each.comparison:
        case "missing":
            return column.isnull()
        case "present":
            return column.isnotnull()
        case "in":
            return column.isin(*given)
        case sign:
            return COMPARISONS[sign](column, given[0])


def group_columns(question: Question) -> list[Expression]:
    """By which DuckDB groups: what is no aggregate."""
    return [ColumnExpression(column).alias(f"g{number}") for number, column in enumerate(question.group_by)]


def stretch(bucket: Bucket, table: Table) -> Expression:
    """The first moment of the stretch of time of a row."""
    column: Expression = ColumnExpression(bucket.column)
    if table.types[bucket.column] == "timestamp with time zone":
        column = FunctionExpression("timezone", ConstantExpression(bucket.timezone), column)
    return FunctionExpression("date_trunc", ConstantExpression(bucket.by), column)


def measured(measure: Measure) -> Expression:
    """A measure of the rows that are grouped together."""
    if measure.of is None:
        return _count()
    column = ColumnExpression(measure.of)
    match measure.what:
        case "percentile":
            return FunctionExpression("quantile_cont", column, ConstantExpression((measure.percentile or 0) / 100))
        case "share_above":
            return FunctionExpression("avg", (column > ConstantExpression(measure.above)).cast("DOUBLE")) * 100
        case "mean":
            return FunctionExpression("avg", column)
        case plain:
            return FunctionExpression(plain, column)


def _count() -> Expression:
    return FunctionExpression("count")


# What an engine gives back


def values(found: Sequence[Any]) -> Values:
    """As plain numbers, which come out equal however often they are computed."""
    return tuple(None if each is None else number(each) for each in found)


def number(found: float | Decimal) -> float:
    """One of them; whole ones stay whole."""
    return found if isinstance(found, int) else float(f"{found:.{DIGITS}g}")


def shown(names: Sequence[object]) -> Names:
    """The values of the columns by which it is grouped, as text."""
    return tuple(None if each is None else str(each)[:200] for each in names)


def moment(first: date, by: str) -> str:
    """The first day, or hour, of a stretch of time."""
    return first.isoformat()[: len("2013-07-01T05:00" if by == "hour" else "2013-07-01")]


def no_rows(question: Question, before: int) -> str:
    """Nothing is left to answer with."""
    if not before:
        return "The table has no rows."
    return f"No row is left: of {before:,} rows none has {', and '.join(map(str, question.filters))}."


def no_group(question: Question) -> str:
    """No group is large enough."""
    return f"No group has {question.at_least:,} rows or more. Ask with a smaller `at_least`."


def too_many_cells(bucket: Bucket) -> str:
    """The answer could not be drawn."""
    return (
        f"There are more than {MOST_CELLS:,} points, one for each group and {bucket.by}. Ask for fewer groups with "
        "`top`, a coarser bucket, or a shorter time."
    )
