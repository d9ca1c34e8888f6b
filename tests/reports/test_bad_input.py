"""What people send that is no table, or not the one they mean: a sentence, no traceback, and nothing left behind."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.reports.conftest import Service

COUNT: dict[str, Any] = {"measures": [{"what": "count"}]}
MEAN: dict[str, Any] = {"measures": [{"what": "mean", "of": "a"}]}
MAX: dict[str, Any] = {"measures": [{"what": "max", "of": "a"}], "filters": [{"column": "b", "is": "present"}]}
ROWS = "".join(f"{number},2\n" for number in range(30_000)).encode()
"""More than DuckDB looks at before it begins, and more than is looked at before the job is added."""
MANY = b"a,b\n" + ROWS * 2


@pytest.fixture(autouse=True)
def nothing_stays(service: Service) -> Iterator[None]:
    yield
    assert not service.uploads()


def sentence(asked: Any) -> str:
    detail = asked.json()["detail"]
    assert isinstance(detail, str)
    assert "Traceback" not in detail
    assert "duckdb" not in detail.lower()
    return detail


REFUSED = [
    ("empty", b"", "The file is empty."),
    ("line breaks", b"\n\n", "The file is empty."),
    (
        "random bytes",
        bytes(range(256)),
        "This is no CSV file: it holds bytes that no text has. Send CSV UTF-8 or Parquet.",
    ),
    (
        "workbook",
        b"PK\x03\x04" + b"x" * 99,
        "This is a ZIP archive, or an Excel workbook. Save the sheet as CSV UTF-8,",
    ),
    ("compressed", gzip.compress(b"a,b\n1,2\n"), "This file is compressed. Unpack it, or send Parquet,"),
    ("page", b"<html>\n<p>a</p>\n</html>\n", "There is no column 'a': there are <html>."),
    ("encoding", "a,b\n1,Müller\n".encode("latin-1"), "Line 2 is not in UTF-8. Save the file as CSV UTF-8,"),
    ("UTF-16", "a,b\n1,2\n".encode("utf-16"), "This is no CSV file"),
    ("ragged", b"a,b\n1,2\n3\n", "Line 3 has 1 value, and the first line names 2 columns."),
    ("too long", b"a,b\n1,2,3\n", "Line 2 has 3 values, and the first line names 2 columns."),
    ("unclosed", b'a,b\n1,"2\n3,4\n', "Line 3 cannot be read as CSV: unexpected end of data."),
    ("no rows", b"a,b\n", "The table has no rows."),
    ("same name", b"a,a\n1,2\n", "Two columns are called 'a'. Give one of them another name."),
    ("no name", b"a,\n1,2\n", "Column 2 has no name: the first line of a CSV file names its columns."),
    ("text", b"a,b\nx,1\ny,2\n", "'a' holds text, and 'mean' needs numbers."),
    ("other column", b"aa,b\n1,2\n", "There is no column 'a': did you mean 'aa'?"),
    ("cut short", b"PAR1" + b"x" * 200, "This Parquet file is damaged or cut short."),
]


@pytest.mark.parametrize(("content", "said"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused_with_422(service: Service, content: bytes, said: str) -> None:
    asked = service.send(MEAN, content)
    assert asked.status_code == 422, asked.text
    assert sentence(asked).startswith(said)


FAILED = [
    ("ragged later", MANY + b"1,2,3\n" + ROWS, "Line 60,002 has 3 values, and the first line names 2 columns."),
    (
        "text later",
        MANY + b"x,3\n" + ROWS,
        "Line 60,002 has 'x' in the column 'a', and all lines before it a number. Mend the value, or leave it empty.",
    ),
    ("unclosed later", MANY + b'1,"3\n' + ROWS, "Line 60,002 has a quotation mark that is never closed."),
]


@pytest.mark.parametrize(("content", "said"), [row[1:] for row in FAILED], ids=[row[0] for row in FAILED])
def test_what_only_the_job_can_find_fails_it(service: Service, content: bytes, said: str) -> None:
    asked = service.send(MAX, content)
    status = service.ended(asked)
    assert (status["state"], status["problem"]) == ("failed", said)
    for name in ("answer.json", "answer.csv"):
        assert sentence(service.client.get(status["links"][name])) == said
    assert said.replace("'", "&#39;") in service.client.get(status["links"]["page"]).text
    service.remove_leftovers()


def test_encoding_that_is_wrong_further_on(service: Service) -> None:
    rows = "".join(f"x{number},2\n" for number in range(60_000)).encode()
    asked = service.send(
        {"measures": [{"what": "count"}], "group_by": ["a"]}, b"a,b\n" + rows + "Müller,3\n".encode("latin-1")
    )
    status = service.ended(asked)
    assert status["problem"] == "Line 60,002 is not in UTF-8. Save the file as CSV UTF-8, and send it again."
    service.remove_leftovers()


def test_no_row_is_left(service: Service) -> None:
    status = service.ended(service.ask({**COUNT, "filters": [{"column": "carrier", "value": "XX"}]}))
    assert status["problem"] == "No row is left: of 336,776 rows none has carrier = XX."


def test_a_parquet_file_that_inflates(service: Service, tmp_path: Path) -> None:
    """Text that is the same all over: 40 kB that come to 400 MB, which somebody would have to find room for."""
    bomb = tmp_path / "bomb.parquet"
    with duckdb.connect() as connection:
        values = "SELECT repeat('x', 1000000) || (i % 2) AS a FROM range(400) t(i)"
        options = "FORMAT parquet, COMPRESSION zstd, DICTIONARY_SIZE_LIMIT 1, ROW_GROUP_SIZE 2048"
        connection.execute(f"COPY ({values}) TO '{bomb}' ({options})")
    assert bomb.stat().st_size < 400_000
    asked = service.send({"measures": [{"what": "count", "of": "a"}]}, bomb.read_bytes())
    assert asked.status_code == 422
    said = "Unpacked, this file has 400 MB, and 300 MB are allowed. Send fewer columns or rows."
    assert sentence(asked) == said


QUESTIONS = [
    ({}, "measures: Field required."),
    ({"measures": []}, "measures: List should have at least 1 item"),
    ({"measures": [{"what": "mean"}]}, "measures.0: 'mean' needs `of`, the column that it is taken of."),
    ({"measures": [{"what": "percentile", "of": "distance"}]}, "measures.0: `percentile` belongs to"),
    ({"measures": [{"what": "average", "of": "distance"}]}, "measures.0.what: Input should be 'count', 'sum', 'mean',"),
    ({**COUNT, "group_by": ["carier"]}, "There is no column 'carier': did you mean 'carrier'?"),
    ({**COUNT, "group_by": ["x; DROP TABLE"]}, "There is no column 'x; DROP TABLE': there are year, month,"),
    ({**COUNT, "group_by": ["carrier", "carrier"]}, "A column can be named once in group_by."),
    ({**COUNT, "order": "x"}, "order: Extra inputs are not permitted."),
    (
        {**COUNT, "bucket": {"column": "carrier", "by": "day"}},
        "'carrier' holds text, and a bucket needs dates or times.",
    ),
    (
        {**COUNT, "bucket": {"column": "time_hour", "by": "day", "timezone": "Mars"}},
        "bucket: expected a time zone, such as 'Europe/Berlin', got 'Mars'.",
    ),
    (
        {**COUNT, "filters": [{"column": "distance", "is": "<", "value": "far"}]},
        "'distance' is compared with a number, got 'far'.",
    ),
    (
        {**COUNT, "filters": [{"column": "time_hour", "is": "<", "value": "soon"}]},
        "'time_hour' is compared with a date such as '2013-07-01', got 'soon'.",
    ),
    (
        {**COUNT, "filters": [{"column": "origin", "is": "in", "value": "JFK"}]},
        "filters.0: a list of values belongs to",
    ),
]


@pytest.mark.parametrize(("question", "said"), QUESTIONS, ids=[said for _, said in QUESTIONS])
def test_a_question_that_makes_no_sense(service: Service, question: dict[str, Any], said: str) -> None:
    asked = service.ask(question)
    assert asked.status_code == 422
    assert said in sentence(asked)


@pytest.mark.parametrize("number", ["NaN", "1e999", "-Infinity"])
@pytest.mark.parametrize(
    "question",
    [
        '{"measures": [{"what": "share_above", "of": "distance", "above": %s}]}',
        '{"measures": [{"what": "count"}], "filters": [{"column": "distance", "is": "<", "value": %s}]}',
    ],
    ids=["above", "filter"],
)
def test_what_is_no_number_is_none(service: Service, question: str, number: str) -> None:
    asked = service.client.post("/reports", content='{"data": "flights.csv", "question": %s}' % (question % number))
    assert asked.status_code == 422
    assert "Input should be a finite number" in sentence(asked)


@pytest.mark.parametrize("large", [2**63, 10**44])
def test_a_number_may_be_larger_than_all_in_the_table(service: Service, large: int) -> None:
    answer = service.answer(service.ask({**COUNT, "filters": [{"column": "distance", "is": "<", "value": large}]}))
    assert answer["rows"] == 336_776


def test_what_was_asked_at_length_is_told_in_short(service: Service) -> None:
    values = [f"{number:0200}" for number in range(200)]
    status = service.ended(service.ask({**COUNT, "filters": [{"column": "origin", "is": "in", "value": values}]}))
    assert status["problem"].startswith("No row is left: of 336,776 rows none has origin = 000")
    assert status["problem"].endswith("….")
    assert len(status["problem"]) < 300


@pytest.mark.parametrize("name", ["flight.csv", "../flights.csv", "/etc/passwd", "", "."])
def test_a_data_set_that_is_none(service: Service, name: str) -> None:
    asked = service.ask(COUNT, name)
    assert asked.status_code == 422
    assert sentence(asked).startswith(f"There is no data set {name!r}. ")
    assert ("Did you mean 'flights.csv'?" in sentence(asked)) == (name in {"flight.csv", "../flights.csv"})


def test_too_large_is_refused_by_what_it_says_of_itself(service: Service) -> None:
    asked = service.send(COUNT, b"a\n" + b"1\n" * 21_000_000)
    assert (asked.status_code, sentence(asked)) == (413, "This is larger than the 41 MB that may be sent.")


def test_neither_a_file_nor_a_data_set(service: Service) -> None:
    asked = service.client.post("/reports", data={"question": json.dumps(COUNT)}, files={"other": ("x", b"y")})
    assert (asked.status_code, sentence(asked)) == (422, "Send a `file`, or name a data set in `data`.")


def test_no_such_report(service: Service) -> None:
    for path in ("/reports/01a206d0-4415-729c-b116-162837414c66", "/reports/01a206d0-4415-729c-b116-162837414c66/page"):
        asked = service.client.get(path)
        assert (asked.status_code, sentence(asked)) == (404, "There is no such report, or none any more.")
