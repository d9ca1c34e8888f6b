"""What text on a command line means, by the annotation of the parameter that it is given to."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from fastapi import Depends
from pydantic import BaseModel, Field

from postlude.cli.jsons import as_json
from postlude.cli.printing import iso, local, span
from postlude.cli.spans import duration, moment
from postlude.cli.values import Argument, Misfit, arguments_of, read_call
from postlude.errors import UnknownValue
from postlude.registry import Registry


class Colour(Enum):
    RED = "red"
    TWO = 2


class Order(BaseModel):
    id: int
    password: str = ""


@dataclass
class Point:
    x: int


ID = UUID("01a206ce-0185-7c3c-8856-f7f8bea8507b")


def argument(annotation: Any) -> Argument:
    def function(value: Any) -> None: ...

    function.__annotations__["value"] = annotation
    (found,) = arguments_of(Registry(None).of(function))
    return found


@pytest.mark.parametrize(
    ("annotation", "given", "meant"),
    [
        (str, "5", "5"),
        (str, "null", "null"),
        (int, "5", 5),
        (int | None, "null", None),
        (str | int, "5", "5"),
        (float, "1e3", 1000.0),
        (Decimal, "1.50", Decimal("1.50")),
        (bytes, "abc", b"abc"),
        (UUID, str(ID), ID),
        (date, "2026-11-23", date(2026, 11, 23)),
        (datetime, "2026-11-23T06:00Z", datetime(2026, 11, 23, 6, tzinfo=UTC)),
        (Colour, "red", Colour.RED),
        (Colour, "2", Colour.TWO),
        (Literal[1, "a"], "1", 1),
        (Annotated[int, Field(gt=0)], "5", 5),
        (Order, '{"id": 4}', Order(id=4)),
        (Order | None, "null", None),
        (Point, '{"x": 1}', Point(1)),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Any, "text", "text"),
        (Any, "5", 5),
        (Any, '"5"', "5"),
        (list[str], ["1", "2"], ["1", "2"]),
        (list[int], ["1", "2"], [1, 2]),
        (list[int], ["[1, 2]"], [1, 2]),
        (list[Order], ['{"id": 1}', '{"id": 2}'], [Order(id=1), Order(id=2)]),
        (set[str] | None, ["a", "a"], {"a"}),
        (tuple[int, str], ["1", "b"], (1, "b")),
    ],
)
def test_text_is_taken_as_it_is_and_else_as_json(annotation: Any, given: str | list[str], meant: Any) -> None:
    assert argument(annotation).read(given) == meant


@pytest.mark.parametrize(
    ("annotation", "given", "why"),
    [
        (int, "many", "valid integer"),
        (Annotated[int, Field(gt=0)], "-1", "greater than 0"),
        (Colour, "green", "'red' or 2"),
        (Order, '{"id": "x", "password": "hunter2"}', "id: Input should be a valid integer"),
        (list[int], ["1", "b"], "1: Input should be a valid integer"),
        (object, "5", ""),
    ],
)
def test_what_does_not_fit_is_named_without_the_rest(annotation: Any, given: str | list[str], why: str) -> None:
    if annotation is object:
        assert argument(annotation).read(given) == given
        return
    with pytest.raises(Misfit, match=why) as caught:
        argument(annotation).read(given)
    assert "hunter2" not in str(caught.value)


def test_a_class_of_which_nothing_is_known_is_named() -> None:
    class Engine: ...

    with pytest.raises(Misfit, match="cannot be given on a command line"):
        argument(Engine).read("x")


def test_dependencies_are_no_arguments() -> None:
    def function(a: int, db: object = Depends(dict), *rest: str, flag: bool = False, **more: int) -> None: ...

    found = arguments_of(Registry(None).of(function))
    assert [each.name for each in found] == ["a", "rest", "flag", "more"]
    args, kwargs, problems = read_call(found, {"a": "1", "rest": ["x", "y"], "flag": True, "more": '{"z": 2}'})
    assert (args, kwargs, problems) == ((1, "x", "y"), {"flag": True, "z": 2}, [])
    assert read_call(found, {"a": "1"}) == ((), {"a": 1}, [])


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5", 1.5), ("90s", 90), ("10m", 600), ("2h", 7200), ("1d12h", 129600)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text, "--delay") == seconds
    assert moment(text, "--since", 1e9) == 1e9 - seconds


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "-"),
        (0.00005, "< 0.1 ms"),
        (0.0042, "4.2 ms"),
        (0.099, "99 ms"),
        (0.0996, "0.1 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.7, "1 min"),
        (192, "3 min 12 s"),
        (7200, "2 h"),
        (90_061, "1 d 1 h"),
    ],
)
def test_durations_are_said_in_their_two_largest_units(seconds: float | None, said: str) -> None:
    assert span(seconds) == said


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as there:
        there.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


def test_moments_have_the_zone_of_the_machine_unless_they_name_one(in_tokyo: None) -> None:
    assert moment("2026-11-23T06:00:00+00:00", "--since", 0) == 1795413600
    assert moment("2026-11-23T15:00", "--since", 0) == 1795413600
    assert local(1795413600) == "2026-11-23 15:00:00"
    assert iso(1795413600) == "2026-11-23T06:00:00Z"


@pytest.mark.parametrize("text", ["", "soon", "-5", "5 parsecs", "2h soon"])
def test_what_is_no_duration_is_shown(text: str) -> None:
    with pytest.raises(UnknownValue, match="--delay: expected a duration such as"):
        duration(text, "--delay")
    with pytest.raises(UnknownValue, match="--since: expected how long ago"):
        moment(text, "--since", 0)


def test_what_never_comes_is_null_for_programs() -> None:
    assert as_json({"next_at": float("inf"), "at": 0.0, "colours": {Colour.TWO}, "letters": {*"postlude"}}) == {
        "next_at": None,
        "at": "1970-01-01T00:00:00Z",
        "colours": [2],
        "letters": [*"delopstu"],
    }
