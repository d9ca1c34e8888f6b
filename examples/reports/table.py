"""A table as DuckDB reads it: within its limits of memory and threads, its columns known, its errors in plain words."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection, DuckDBPyRelation
from fsspec import AbstractFileSystem  # type: ignore[import-untyped]
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

from reports.question import Kind, Refused
from reports.settings import MEGABYTE, settings
from reports.storage import Files, reaching

SETTINGS = """
SET TimeZone = 'UTC'; -- the same moments everywhere, whatever a machine is set to
SET enable_progress_bar = true; -- so that a query can be asked for its progress, of which nothing is printed
SET enable_progress_bar_print = false;
SET progress_bar_time = 0;
"""
HEAD = 1 << 18
"""Bytes of a CSV file that are looked at before anything is computed."""
DELIMITERS = ",;\t|"
MISSING = ["", "NA", "N/A", "NULL", "null", "NaN"]
TELL_EVERY = 0.25
"""Seconds."""
THE_FILES = (
    duckdb.InvalidInputException,
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.SerializationException,
)
"""What is wrong with a file; any other error is a mistake of ours."""
KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(("tinyint", "smallint", "integer", "bigint", "hugeint", "float", "double", "decimal"), "number"),
    **dict.fromkeys(("utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"), "number"),
    **dict.fromkeys(("varchar", "enum", "uuid"), "text"),
    **dict.fromkeys(("date", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns"), "time"),
    "timestamp with time zone": "time",
    "boolean": "flag",
}


class Table:
    """A table that is open.

    Args:
        connection: of its own; used by one thread.
        relation: all of its rows.
    """

    def __init__(self, connection: DuckDBPyConnection, relation: DuckDBPyRelation) -> None:
        self._connection = connection
        self.rows = relation
        self.types: Mapping[str, str] = dict(
            zip(relation.columns, (str(each.id) for each in relation.dtypes), strict=True)
        )

    @property
    def columns(self) -> Mapping[str, Kind]:
        """What each column holds."""
        return {name: KINDS.get(kind, "other") for name, kind in self.types.items()}

    def fetch(self, rows: DuckDBPyRelation, told: Callable[[float], None]) -> Sequence[tuple[Any, ...]]:
        """Compute them.

        Args:
            rows: made of those of this table.
            told: called a few times a second, by another thread, with how much is done, from 0 to 1.
        """
        done = Event()

        def tell() -> None:
            while not done.wait(TELL_EVERY):
                told(max(0.0, self._connection.query_progress()) / 100)

        teller = Thread(target=tell, daemon=True)
        teller.start()
        try:
            return rows.fetchall()
        finally:
            done.set()
            teller.join()


@contextmanager
def opened(files: Files) -> Iterator[Table]:
    """The table in these files, for the length of the block; what DuckDB has to say is said in plain words.

    Raises:
        Refused: it cannot be read, also from within the block; or it needs more memory than it may have.
    """
    limits: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{settings().reports_memory_mb}MB",
        "threads": settings().reports_threads,
        "temp_directory": "",  # what does not fit is refused: a process that is killed leaves nothing on the disk
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    try:
        with duckdb.connect(config=limits) as connection:
            connection.execute(SETTINGS)
            if files.filesystem is not None:
                connection.register_filesystem(files.filesystem)
            yield Table(
                connection, _parquet(connection, files) if files.format == "parquet" else _csv(connection, files)
            )
    except duckdb.OutOfMemoryException as error:
        raise Refused(
            f"This report needs more than the {settings().reports_memory_mb} MB of memory that one may use. "
            "Ask for fewer groups, a coarser bucket, a shorter time, or no median and percentile."
        ) from error
    except duckdb.Error as error:
        # Another machine's trouble, which may pass. What a file system raises comes through DuckDB as no other class.
        if files.filesystem is not None and type(error) in {duckdb.Error, duckdb.IOException}:
            raise OSError(str(error).strip().rpartition("\n")[2]) from error
        if isinstance(error, (duckdb.IOException, *THE_FILES)):
            raise Refused(plainly(str(error))) from error
        raise


def _parquet(connection: DuckDBPyConnection, files: Files) -> DuckDBPyRelation:
    if files.uploaded:
        _check_inflated(connection, files)
    return connection.read_parquet([*files.paths], union_by_name=True)


def _check_inflated(connection: DuckDBPyConnection, files: Files) -> None:
    sizes = connection.table_function("parquet_metadata", [[*files.paths]])
    total = duckdb.FunctionExpression("sum", duckdb.ColumnExpression("total_uncompressed_size"))
    (inflated,) = sizes.aggregate([total]).fetchall()[0]
    most = settings().reports_inflated_mb
    if (inflated or 0) > most * MEGABYTE:
        raise Refused(
            f"Unpacked, this file has {inflated / MEGABYTE:,.0f} MB, and {most:,} MB are allowed. "
            "Send fewer columns or rows."
        )


def _csv(connection: DuckDBPyConnection, files: Files) -> DuckDBPyRelation:
    delimiter, header = None, None
    for path in files.paths:
        found = look(_head(path, files.filesystem))
        if header not in (None, found[1]):
            raise Refused(f"The files of this data set have different columns: {path.rsplit('/')[-1]} is another one.")
        delimiter, header = found
    relation = connection.read_csv(
        [*files.paths],  # type: ignore[arg-type]  # it takes several, as it does of Parquet
        header=True,
        sep=delimiter,
        quotechar='"',
        escapechar='"',
        na_values=MISSING,
        strict_mode=True,
        compression="none",
        encoding="utf-8",
    )
    if relation.columns != header:  # it would have skipped lines that do not suit it, and answered without them
        raise Refused(f"The columns of this file cannot be told: its first line says {', '.join(header or [])}.")
    return relation


@reaching()
def _head(path: str, filesystem: AbstractFileSystem | None) -> bytes:
    with (filesystem or LocalFileSystem()).open(path, "rb") as file:
        head: bytes = file.read(HEAD)
    return head


def look(head: bytes) -> tuple[str, list[str]]:
    """The delimiter and the columns of a CSV file, by its beginning.

    Raises:
        Refused: it is none; says which line is wrong, and what is wrong with it.
    """
    if b"\0" in head:
        raise Refused("This is no CSV file: it holds bytes that no text has. Send CSV UTF-8 or Parquet.")
    whole = head if len(head) < HEAD else head[: head.rfind(b"\n") + 1]
    try:
        text = whole.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = whole.count(b"\n", 0, error.start) + 1
        raise Refused(f"Line {line} is not in UTF-8. Save the file as CSV UTF-8, and send it again.") from error
    first = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    count = 0
    try:
        for row in filter(None, rows):
            count += 1
            if not header:
                header = row
                _check_header(header)
            elif len(row) != len(header):
                raise Refused(
                    f"Line {rows.line_num} has {_values(len(row))}, and the first line names {len(header)} columns."
                )
    except csv.Error as error:
        if len(head) == HEAD and "end of data" in str(error):
            return delimiter, header  # a value that goes over several lines was cut by us
        raise Refused(f"Line {rows.line_num} cannot be read as CSV: {error}.") from error
    if count < 2 and len(head) < HEAD:
        raise Refused("The table has no rows." if header else "The file is empty.")
    return delimiter, header


def _check_header(header: Sequence[str]) -> None:
    for number, name in enumerate(header, 1):
        if not name.strip():
            raise Refused(f"Column {number} has no name: the first line of a CSV file names its columns.")
        if name in header[: number - 1]:
            raise Refused(f"Two columns are called {name!r}. Give one of them another name.")


def _values(count: int) -> str:
    return f"{count} value{'' if count == 1 else 's'}"


WHAT_IT_MEANS = (
    (r"Expected Number of Columns: (\d+) Found: (\d+)", "{line} has {1} values, and the first line names {0} columns."),
    (
        r"converting column \"(.+?)\"\. Could not convert string \"(.{0,80}).*\" to '(\w+)'",
        "{line} has {1!r} in the column {0!r}, and all lines before it a {2}. Mend the value, or leave it empty.",
    ),
    (r"utf-8 encoded|[Ii]nvalid unicode", "{line} is not in UTF-8. Save the file as CSV UTF-8, and send it again."),
    (r"quote", "{line} has a quotation mark that is never closed."),
    (r"[Ff]ooter|magic bytes|ecompress|Parquet|thrift|metadata", "This Parquet file is damaged or cut short."),
    (r"CSV|sniff", "{line} does not fit the others, so this cannot be read as a CSV file."),
    (r"verflow|out of range", "A total is too large for a number."),
    (r"", "The file cannot be read."),
)
"""What DuckDB says, as an expression, and what that means to somebody who has never heard of it."""
TYPES = {"BIGINT": "number", "DOUBLE": "number"}


def plainly(said: str) -> str:
    """What DuckDB says of a file, in plain words."""
    place = re.search(r"CSV Error on Line: (\d+)", said)
    line = f"Line {int(place[1]):,}" if place else "A line"
    found, meaning = next(
        (found, meaning) for pattern, meaning in WHAT_IT_MEANS if (found := re.search(pattern, said)) is not None
    )
    return meaning.format(*(TYPES.get(group, group) for group in found.groups()), line=line)
