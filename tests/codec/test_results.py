"""What a task returned, as the text that its job keeps, and back."""

import functools
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, field_serializer, field_validator

from postlude.codec.forms import DoesNotFit
from postlude.codec.results import MAX_RESULT, SMALL, Results, decode_plainly, reason_unstored

NOTHING = object()


class Colour(Enum):
    RED = "red"


class Order(BaseModel):
    number: int
    at: datetime | None = None


@dataclass
class Point:
    x: tuple[float, ...]


class Unruly(BaseModel):
    value: int

    @field_validator("value")
    @classmethod
    def refuse(cls, value: int) -> int:
        raise SystemExit(value)


def results(annotation: object = NOTHING) -> Results:
    def task() -> None: ...

    if annotation is NOTHING:
        del task.__annotations__["return"]
    else:
        task.__annotations__["return"] = annotation
    return Results(task)


def missing(annotation: object, value: object) -> str:
    """Why it is not stored."""
    text = results(annotation).encode(value)
    assert text is not None
    reason = reason_unstored(text)
    assert reason is not None, f"it was stored: {text}"
    return reason


ROUND_TRIPS: list[tuple[object, object]] = [
    (int, 5),
    (float, 5),
    (float, float("inf")),
    (str, ""),
    (str, "Füße \ud800 \0"),
    (bytes, b"\xff"),
    (int | None, 0),
    (list[float], [1]),
    (Colour, Colour.RED),
    (Order, Order(number=1, at=datetime(2026, 3, 1, tzinfo=UTC))),
    (dict[str, list[Order]], {"a": [Order(number=1)]}),
    (Point, Point((1.0, 2.5))),
    (dict[str, Decimal], {"a": Decimal("1.00")}),
    (tuple[UUID, str], (UUID(int=7), "a")),
    (dict[str, str], {"$unstored": "a value that looks like a reason"}),
    (Any, {"$unstored": "the same without an annotation"}),
    (Any, [1, 2.5, True, None, {"a": []}]),
    (object, {"a": 1}),
    (NOTHING, False),
    (NOTHING, [{"a": [1]}]),
    ("Order", Order(number=2)),
]


@pytest.mark.parametrize(("annotation", "value"), ROUND_TRIPS)
def test_it_comes_back_equal_and_of_the_same_type(annotation: object, value: object) -> None:
    known = results(annotation)
    text = known.encode(value)
    assert text is not None
    assert reason_unstored(text) is None
    back = known.decode(text)
    assert back == value
    assert type(back) is type(value)
    assert text.encode()  # every store can write it down
    assert "\0" not in text


@pytest.mark.parametrize("annotation", [NOTHING, None, int, Order])
def test_none_needs_no_text(annotation: object) -> None:
    assert results(annotation).encode(None) is None


@pytest.mark.parametrize(
    ("annotation", "value", "reason"),
    [
        (int, "5", "str does not match the annotation int"),
        (None, 5, "int does not match the annotation None"),
        (list[int], (1, 2), "tuple does not match the annotation list[int]: Input should be a valid list"),
        (list[int], ["1"], "list does not match the annotation list[int]: 0: Input should be a valid integer"),
        (Order, {"number": 1}, "dict does not match the annotation Order"),
        (list[Order], [{"number": 1}], "list does not match the annotation list["),
        (NOTHING, (1, 2), "tuple has no form in JSON"),
        (Any, {"a": Decimal(1)}, "Decimal has no form in JSON"),
        (NOTHING, Order(number=1), "Order has no form in JSON"),
        (NOTHING, {1: "a"}, "int has no form in JSON as a key"),
        (NOTHING, json.loads, "function is code, and only values are stored"),
        (NOTHING, (each for each in "a"), "generator can be gone through only once"),
        ("Missing", (1,), "the annotation could not be resolved"),
        (Unruly, Unruly.model_construct(value=1), "writing it down raised SystemExit"),
    ],
)
def test_what_is_not_stored_says_why(annotation: object, value: object, reason: str) -> None:
    assert reason in missing(annotation, value)


def test_what_is_too_large() -> None:
    assert results(str).encode("x" * (MAX_RESULT - 2)) == f'"{"x" * (MAX_RESULT - 2)}"'
    assert missing(str, "x" * (MAX_RESULT - 1)) == "it takes 262,145 bytes as JSON, and a job may keep 262,144"
    assert missing(str, "x" * (MAX_RESULT + 1)) == "it takes more than the 262,144 bytes of JSON that a job may keep"


class Counted(list[Any]):
    """Notes how many of its items were looked at."""

    looked_at = 0

    def __iter__(self) -> Any:
        for item in super().__iter__():
            Counted.looked_at += 1
            yield item


def endless() -> list[Any]:
    cycle: list[Any] = [1]
    cycle.append(cycle)
    return cycle


@pytest.mark.parametrize(
    "value",
    [Counted([1] * MAX_RESULT), 10**1_000_000, endless(), {"a": b"x" * MAX_RESULT + b"x"}],
    ids=["long", "digits", "cycle", "inside"],
)
def test_what_is_far_too_large_is_not_written_to_find_out(value: object) -> None:
    Counted.looked_at = 0
    began = time.process_time()
    assert "more than the 262,144 bytes" in missing(NOTHING, value)
    assert Counted.looked_at == 0
    assert time.process_time() - began < 5  # writing the digits alone would take longer


def test_what_an_event_loop_can_wait_for() -> None:
    assert results().is_small("x" * SMALL)
    assert not results().is_small("x" * (SMALL + 1))
    assert not results().is_small([[each] for each in range(SMALL)])
    assert results().is_small(Order(number=1))


def test_a_reason_is_cut() -> None:
    class Talkative(BaseModel):
        value: Any

        @field_serializer("value")
        def refuse(self, value: object) -> object:
            raise ValueError("no" * 10_000)

    assert len(missing(Talkative, Talkative(value=1))) == 1_000


def returning(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


class Maker:
    def __init__(self) -> None: ...

    def __call__(self) -> Order:
        return Order(number=1)

    @staticmethod
    def make(number: int) -> Order:
        return Order(number=number)


@pytest.mark.parametrize("function", [Maker(), Maker.make, functools.partial(Maker.make, 1), returning(Maker.make)])
def test_the_annotation_of_anything_that_can_be_called(function: Callable[..., Any]) -> None:
    known = Results(function)
    text = known.encode(Order(number=1))
    assert text == '{"number":1}'
    assert known.decode(text) == Order(number=1)


def test_a_class_as_a_task_says_nothing_of_what_it_returns() -> None:
    text = Results(Maker).encode(Maker())
    assert text is not None
    assert reason_unstored(text) == "Maker has no form in JSON"


def test_without_the_annotation_it_is_read_as_plain_json() -> None:
    for annotation, value, plain in [
        (Order, Order(number=1), {"number": 1}),
        (float, float("inf"), float("inf")),
        (bytes, b"\xff", b"\xff"),
        (int, 5, 5),
    ]:
        text = results(annotation).encode(value)
        assert text is not None
        assert decode_plainly(text) == plain
    with pytest.raises(DoesNotFit, match="of a later release"):
        decode_plainly('{"$exact":{"$of a later release":1}}')


def test_an_annotation_that_has_changed() -> None:
    text = results(Order).encode(Order(number=1))
    assert text is not None
    with pytest.raises(DoesNotFit, match="the annotation takes bool or int now, and it was stored as dict"):
        results(int).decode(text)


def test_what_pydantic_does_not_know_is_kept_if_it_is_standard() -> None:
    known = results(ModuleType | dict[str, int])
    text = known.encode({"a": 1})
    assert text is not None
    assert known.decode(text) == {"a": 1}


def test_a_deque_is_written_by_its_annotation() -> None:
    known = results(deque[int])
    text = known.encode(deque([1, 2]))
    assert text is not None
    assert known.decode(text) == deque([1, 2])
