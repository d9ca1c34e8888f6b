"""What of a call can be stored, in which form, and what is refused with which words."""

# ruff: noqa: DTZ001, DTZ901, E501  # values of any type are the subject, times without a zone among them

import asyncio
import enum
import io
import math
import threading
import typing
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, TypedDict, TypeVar, Unpack
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from fastapi import Request, UploadFile, WebSocket
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    computed_field,
    field_serializer,
    field_validator,
)

from postlude.codec import Codec, Encoded
from postlude.errors import NotStorable
from tests.ids import lasting

if typing.TYPE_CHECKING:
    from decimal import Context as Unseen  # a name that only a type checker sees

BERLIN = ZoneInfo("Europe/Berlin")
T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Flags(enum.Flag):
    A = 1
    B = 2


@dataclass
class Point:
    x: float
    y: float = 0.0
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Frozen:
    at: datetime
    where: Path


class Pair(NamedTuple):
    left: int
    right: str


class User(BaseModel):
    id: UUID = Field(default_factory=uuid4)
    name: str = "nobody"
    colour: Colour = Colour.RED
    score: float = 0.0


class Admin(User):
    rights: list[str] = []


class Patch(BaseModel):
    name: str | None = None
    age: int | None = None


class Rich(BaseModel):
    model_config = ConfigDict(extra="allow")
    raw: bytes
    when: datetime
    value: float
    alias: str = Field(alias="aliasName")
    _secret: int = PrivateAttr(default=1)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> float:
        return self.value * 2


class Box(BaseModel, Generic[T]):
    item: T


class Options(TypedDict):
    name: str
    size: NotRequired[float]


MORE: Any = {"more": [1]}
UserId = NewType("UserId", int)


def function_of(annotation: Any) -> Callable[..., None]:
    def task(value: Any) -> None: ...

    if annotation is not None:
        task.__annotations__ = {"value": annotation}
    else:
        task.__annotations__ = {}
    return task


def round_trip(annotation: Any, value: Any) -> tuple[Any, Encoded]:
    codec = Codec(function_of(annotation), name="app:task")
    encoded = codec.encode((value,), {})
    ((back,), kwargs) = codec.decode(encoded.text)
    assert kwargs == {}
    assert type(encoded.args[0]) is type(back)
    return back, encoded


def refusal(annotation: Any, value: Any) -> str:
    """Why it is refused, without the words that every refusal has."""
    codec = Codec(function_of(annotation), name="app:task")
    with pytest.raises(NotStorable) as raised:
        codec.encode((value,), {})
    assert raised.value.argument == "value"
    said = str(raised.value)
    start = "Argument 'value' of app:task cannot be stored: "
    assert said.startswith(start)
    return said.removeprefix(start)


def same(before: Any, after: Any) -> bool:
    """Told apart by the reprs, which show types and not only equality; sets have no order to compare."""
    if isinstance(before, (set, frozenset)):
        return type(before) is type(after) and sorted(map(repr, before)) == sorted(map(repr, after))
    if isinstance(before, (datetime, time)) and before.tzinfo is UTC:  # pydantic has a class of its own for it.
        return repr(before.replace(tzinfo=None)) == repr(after.replace(tzinfo=None)) and after.tzinfo == UTC
    return type(before) is type(after) and repr(before) == repr(after)


SCALARS = ["", "a", 'äöü 🎉 \x00 "$', 0, -1, 2**63, -(2**70), 10**400, 1.5, -0.0, 5e-324, 1e308, True, False, None]
PLAIN = [
    *SCALARS, math.inf, -math.inf, math.nan, "\ud800", "\ud83d\ude00",
    [], {}, [1, "a", [None, {"b": [2.5]}]], {"a": {"b": []}, "ü": 1}, [math.nan, {"x": math.inf}],
    {"$": 1}, {"$exact": [1]}, {"$json": 1}, [{"$float": "nan"}], {"\ud800": "\udfff"}, {"$a": 1, "$b": 2},
]  # fmt: skip


@pytest.mark.parametrize("value", PLAIN, ids=lasting)
@pytest.mark.parametrize("annotation", [None, Any, object], ids=str)
def test_plain_json_needs_no_annotation(annotation: Any, value: Any) -> None:
    back, encoded = round_trip(annotation, value)
    assert ascii(back) == ascii(value)
    assert ascii(encoded.args[0]) == ascii(value)


@pytest.mark.parametrize("value", PLAIN, ids=lasting)
@pytest.mark.parametrize("annotation", [str, int, float, bool, list[int], datetime, User, bytes | None], ids=str)
def test_plain_json_that_contradicts_its_annotation_comes_back_as_it_is(annotation: Any, value: Any) -> None:
    back, encoded = round_trip(annotation, value)
    assert ascii(back) == ascii(value)
    assert ascii(encoded.args[0]) == ascii(value)


ANNOTATED: list[tuple[Any, Any]] = [
    (str | None, None), (int | str, "1"), (int | str, 1), (bool | None, True), (int, True), (float, 3), (int, "1"),
    (Annotated[str, Field(max_length=1)], "long"), (UserId, UserId(3)), (Literal["a", 1], "a"),
    (bytes, b""), (bytes, b"text"), (bytes, b"\x00\xff"), (bytes | str, b"a"), (bytes | str, "a"),
    (datetime, datetime(2026, 3, 29, 2, 30, 1, 999999)), (datetime, datetime(2026, 1, 1, tzinfo=UTC)),
    (datetime, datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)), (datetime, datetime(2026, 1, 1, fold=1)),
    (datetime, datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-3, minutes=-30)))),
    (datetime, datetime(2026, 1, 1, tzinfo=timezone(timedelta(seconds=3601), "odd"))),
    (datetime, datetime.min), (datetime, datetime.max), (datetime | None, datetime(2026, 1, 1, tzinfo=BERLIN)),
    (date, date(2026, 2, 28)), (date | datetime, datetime(2026, 1, 1)), (date | datetime, date(2026, 1, 1)),
    (time, time(23, 59, 59, 1)), (time, time(1, 2, tzinfo=UTC)), (time, time(1, 2, tzinfo=BERLIN, fold=1)),
    (timedelta, timedelta(days=-1, microseconds=1)), (timedelta, timedelta.max), (timedelta, timedelta.min),
    (UUID, UUID(int=1)), (UUID | str, str(UUID(int=1))), (Decimal, Decimal("1.00")), (Decimal, Decimal("1E+5")),
    (Decimal, Decimal("NaN")), (Decimal, Decimal("-Infinity")), (Decimal, Decimal("0.1234567890123456789012345678901")),
    (Colour, Colour.RED), (Level, Level.HIGH), (Flags, Flags.A | Flags.B), (Path, Path("/a/b")), (Path, Path("\udc80")),
    (PurePosixPath, PurePosixPath("a")), (complex, 1 + 2j), (Fraction, Fraction(1, 3)),
    (set[int], {1, 2}), (set[int], set()), (frozenset[str], frozenset({"a"})), (set[float], {math.inf}),
    (set[int], {True}), (set[bytes], {b"\xff"}), (tuple[int, str], (1, "a")), (tuple[int, ...], ()),
    (tuple[datetime, ...], (datetime(2026, 1, 1, tzinfo=BERLIN), datetime(2026, 1, 1))), (tuple, (1, (2, "x"))),
    (list[int], (1, 2)), (list[int], {1}), (Sequence[int], (1, 2)), (Sequence[int], [1, 2]), (Iterable[int], [1]),
    (Iterable[int], {1}), (Mapping[str, int], {"a": 1}), (deque[int], deque([1])),
    (dict[int, str], {1: "a", 2: "b"}), (dict[UUID, Decimal], {UUID(int=1): Decimal("1.0")}),
    (dict[tuple[int, int], str], {(1, 2): "a"}), (dict[date, list[set[int]]], {date(2026, 1, 1): [{1}]}),
    (dict[str, Any], {"at": datetime(2026, 1, 1), "raw": b"\xff"}), (dict, {1: 2}), (dict[bool, int], {True: 1}),
    (dict[str, int], {"$exact": 1}), (dict[str, int], {"$ref": 1}),
    (OrderedDict[str, int], OrderedDict(b=1, a=2)), (defaultdict[str, list[int]], defaultdict(list, a=[1])),
    (list[datetime], [datetime(2026, 1, 1, tzinfo=BERLIN)]), (list[float], [1, 2.0, math.nan]),
    (Point, Point(1.0, math.inf, ["a"])), (list[Point], [Point(1.0)]), (Point | None, Point(math.nan)),
    (Frozen, Frozen(datetime(2026, 1, 1, tzinfo=BERLIN), Path("x"))), (Pair, Pair(1, "b")), (list[Pair], [Pair(1, "b")]),
    (User, User(name="x")), (User | None, User()), (Admin, Admin(rights=["all"])), (User | Point, Point(1.0)),
    (User, User(score=math.nan)), (dict[str, User], {"a": User()}), (Box[datetime], Box[datetime](item=datetime.max)),
    (Rich, Rich(raw=b"\xff", when=datetime(2026, 1, 1, tzinfo=BERLIN), value=-math.inf, aliasName="q", **MORE)),
    (Rich, Rich(raw=b"x", when=datetime(2026, 1, 1), value=1.0, aliasName="q")),
    (Options, {"name": "a"}), (Options, {"name": "a", "size": 1}), (Options, {"name": "a", "size": math.nan}),
    (Annotated[datetime, "when"], datetime(2026, 1, 1)), ("datetime", datetime(2026, 1, 1)), ("User | None", User()),
]  # fmt: skip


@pytest.mark.parametrize(("annotation", "value"), ANNOTATED, ids=lasting)
def test_annotated_values_come_back_equal_and_of_the_same_type(annotation: Any, value: Any) -> None:
    back, encoded = round_trip(annotation, value)
    assert same(value, back)
    assert same(value, encoded.args[0])


def test_what_is_stored_reads_plainly() -> None:
    def task(to: str, at: datetime, ids: set[int], *, user: Patch, limit: float = 1.0) -> None: ...

    codec = Codec(task, name="app:task")
    encoded = codec.encode(("a@b.c", datetime(2026, 1, 1, tzinfo=UTC), {7}), {"user": Patch(age=3)})
    assert encoded.text == '{"args":["a@b.c","2026-01-01T00:00:00Z",[7]],"kwargs":{"user":{"age":3}}}'


def test_a_time_zone_comes_back_by_its_name() -> None:
    before = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)
    back, _ = round_trip(datetime, before)
    assert back.tzinfo is BERLIN
    assert back.fold == 1


def test_which_fields_of_a_model_were_set_is_kept() -> None:
    back, _ = round_trip(Patch, Patch(age=None))
    assert back.model_dump(exclude_unset=True) == {"age": None}


def test_private_attributes_and_extras_are_compared() -> None:
    rich = Rich(raw=b"", when=datetime(2026, 1, 1), value=1.0, aliasName="q")
    rich._secret = 2
    assert refusal(Rich, rich).startswith("_secret: int would come back with another value.")


def test_the_copy_shares_nothing_with_the_caller() -> None:
    def task(*values: Any) -> None: ...

    task.__annotations__ = {"values": list[list[int]] | dict[str, list[int]] | Point}
    values: list[Any] = [[[1], [2]], {"a": [1]}, Point(1.0, tags=["x"])]
    for function in (task, lambda *values: None):
        given = values if function is task else values[:2]
        encoded = Codec(function, name="app:task").encode(tuple(given), {})
        for before, after in zip(given, encoded.args, strict=True):
            assert before == after
            assert before is not after
    assert encoded.args[0][0] is not values[0][0]
    assert encoded.args[1]["a"] is not values[1]["a"]


def test_the_arguments_of_a_known_shape_are_looked_at_each_time() -> None:
    codec = Codec(function_of(float), name="app:task")
    for value in (1.5, math.nan, 1.5, -math.inf, 2):
        ((back,), _) = codec.decode(codec.encode((value,), {}).text)
        assert repr(back) == repr(value)
    codec = Codec(function_of(None), name="app:task")
    for text in ("a", "\ud800", "b"):
        assert codec.decode(codec.encode((text,), {}).text) == ((text,), {})
    for number in (1, 10**400):
        assert codec.decode(codec.encode((number,), {}).text) == ((number,), {})
    with pytest.raises(NotStorable, match=r"number out of range|integer string conversion"):
        codec.encode((10**5000,), {})


# Refusals


class Unequal(BaseModel):
    x: int

    def __eq__(self, other: object) -> bool:
        msg = "no comparing"
        raise RuntimeError(msg)

    __hash__ = None  # type: ignore[assignment]


class Rounded(BaseModel):
    price: float

    @field_serializer("price")
    def rounded(self, price: float) -> float:
        return round(price)


class Unsigned(BaseModel):
    price: float

    @field_serializer("price")
    def unsigned(self, price: float) -> float:
        return price + 0.0


class Picky(BaseModel):
    x: int

    @field_validator("x")
    @classmethod
    def check(cls, x: int) -> int:
        if x == 13:
            msg = "unlucky"
            raise ValueError(msg)
        return x


class Twin(BaseModel):
    x: int


class OtherTwin(BaseModel):
    x: int


class Text(str):
    __slots__ = ()


class Plain:
    pass


class OddZone(tzinfo):
    def utcoffset(self, at: datetime | None) -> timedelta:
        return timedelta(hours=1)

    def tzname(self, at: datetime | None) -> str:
        return "ODD"

    def dst(self, at: datetime | None) -> None:
        return None


ANNOTATE = "Annotate the parameter, for instance with {}."
BUILD = "Pass an id or plain values, and build the rest in the task."
REFUSED: list[tuple[Any, Any, str]] = [
    (None, (1, 2), "tuple has no form in JSON. " + ANNOTATE.format("tuple")),
    (None, {1}, "set has no form in JSON. " + ANNOTATE.format("set")),
    (None, b"x", "bytes has no form in JSON. " + ANNOTATE.format("bytes")),
    (None, datetime(2026, 1, 1), "datetime has no form in JSON. " + ANNOTATE.format("datetime")),
    (None, Decimal(1), "Decimal has no form in JSON. " + ANNOTATE.format("Decimal")),
    (None, UUID(int=1), "UUID has no form in JSON. " + ANNOTATE.format("UUID")),
    (None, Colour.RED, "Colour has no form in JSON. Annotate the parameter with Colour, or pass its value."),
    (str, Level.HIGH, "Level has no form in JSON. Annotate the parameter with Level, or pass its value."),
    (None, Text("x"), f"Text has no form in JSON. {BUILD}"),
    (str, Text("x"), f"Text has no form in JSON. {BUILD}"),
    (
        None,
        {1: 2},
        (
            "int has no form in JSON as a key. Annotate the parameter with the types of what is in it, or pass plain JSON values."
        ),
    ),
    (
        None,
        [(1,)],
        (
            "tuple has no form in JSON. Annotate the parameter with the types of what is in it, or pass plain JSON values."
        ),
    ),
    (None, User(), "User has no form in JSON. Annotate the parameter with User, or pass plain JSON values."),
    (None, Point(1.0), "Point has no form in JSON. Annotate the parameter with Point, or pass plain JSON values."),
    (
        "Unseen",
        (1,),
        (
            "tuple has no form in JSON (the annotation could not be resolved: name 'Unseen' is not defined). "
            + ANNOTATE.format("tuple")
        ),
    ),
    (User, Admin(), "Admin would come back as User. Annotate the parameter with Admin, or pass plain JSON values."),
    (
        list[User],
        [Admin()],
        (
            "[0]: Admin would come back as User. Make that part a value of its declared type that survives JSON, or pass plain values."
        ),
    ),
    (
        Twin | OtherTwin,
        OtherTwin(x=1),
        ("OtherTwin would come back as Twin. Annotate the parameter with OtherTwin, or pass plain JSON values."),
    ),
    (
        Point,
        Point(1),
        (
            "x: int would come back as float. Make that part a value of its declared type that survives JSON, or pass plain values."
        ),
    ),
    (
        Rounded,
        Rounded(price=1.5),
        (
            "price: float would come back with another value. Make that part a value of its declared type that survives JSON, or pass plain values."
        ),
    ),
    (Unsigned, Unsigned(price=-0.0), "price: float would come back with another value. Make that part "),
    (
        Picky,
        Picky.model_construct(x=13),
        (
            "x: Value error, unlucky. Make that part a value of its declared type that survives JSON, or pass plain values."
        ),
    ),
    (
        SecretStr,
        SecretStr("x"),
        (
            "SecretStr hides its value, so the stored call would not have it. Pass where the secret is kept, and read it in the task."
        ),
    ),
    (deque[int], deque([1], maxlen=3), "deque would come back with another value. Make that part "),
    (
        datetime,
        datetime(2026, 1, 1, tzinfo=OddZone()),
        "datetime would come back with the time zone +01:00 instead of ",
    ),
    (Plain, Plain(), f"pydantic has no form in JSON for {Plain!r}. {BUILD}"),
    (None, Plain(), f"Plain has no form in JSON. {BUILD}"),
    (Any, object(), f"object has no form in JSON. {BUILD}"),
    (None, iter([1]), "list_iterator can be gone through only once. Pass a list of its items."),
    (Iterable[int], (x for x in [1]), "generator can be gone through only once. Pass a list of its items."),
    (None, [{"a": map(str, [1])}], "map can be gone through only once. Pass a list of its items."),
    (None, lambda: 1, "function is code, and only values are stored. Pass a name, and choose by it in the task."),
    (
        type[User],
        User,
        "ModelMetaclass is code, and only values are stored. Pass a name, and choose by it in the task.",
    ),
    (
        None,
        threading.Lock(),
        (
            "lock coordinates work inside this process only. Create it at module level, and use it from there in the task."
        ),
    ),
    (
        Any,
        asyncio.Event(),
        (
            "Event coordinates work inside this process only. Create it at module level, and use it from there in the task."
        ),
    ),
    (None, io.StringIO(), "StringIO is open in this process only. Pass the file's path and open it in the task."),
    (
        UploadFile,
        UploadFile(io.BytesIO()),
        ("UploadFile is closed when the request is over. Read the upload, write it to a file, and pass its path."),
    ),
    (
        Request,
        Request({"type": "http"}),
        ("Request lives only as long as its connection. Pass the values that the task needs from it."),
    ),
    (
        list[Any],
        [Request({"type": "http"})],
        ("Request lives only as long as its connection. Pass the values that the task needs from it."),
    ),
]


@pytest.mark.parametrize(("annotation", "value", "said"), REFUSED, ids=lambda value: lasting(value)[:40])
def test_refusals(annotation: Any, value: Any, said: str) -> None:
    assert refusal(annotation, value).startswith(said)


def test_whatever_the_check_raises_is_a_refusal() -> None:
    def explode(value: object) -> typing.NoReturn:
        msg = "bang"
        raise KeyError(msg)

    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def explode_badly(value: object) -> typing.NoReturn:
        raise Unprintable

    class Compared(UUID):
        def __eq__(self, other: object) -> bool:
            raise RuntimeError

        __hash__ = UUID.__hash__

    assert refusal(Annotated[Point, AfterValidator(explode)], Point(1.0)).startswith("KeyError: 'bang'")
    assert "<exception str() failed>" in refusal(Annotated[Point, AfterValidator(explode_badly)], Point(1.0))
    assert "Compared would come back as UUID" in refusal(UUID, Compared(int=1))
    # The parts are compared, not the model's own idea of equality.
    assert round_trip(Unequal, Unequal(x=1))[0].x == 1


def test_iterators_are_not_used_up() -> None:
    class Holder(BaseModel):
        items: Any

    @dataclass
    class DataHolder:
        items: Any

    numbers: Iterator[int] = iter([1, 2])
    for annotation, value in [
        (Iterable[int], numbers), (Any, [numbers]), (Holder, Holder(items=numbers)), (DataHolder, DataHolder(numbers)),
    ]:  # fmt: skip
        assert "only once" in refusal(annotation, value)
    assert list(numbers) == [1, 2]


def test_database_things_are_known_by_their_classes() -> None:
    session = type("Session", (), {"__module__": "sqlalchemy.orm.session"})
    mine = type("MySession", (session,), {"__module__": "app"})
    assert refusal(mine, mine()) == (
        "MySession is a database session of this request. "
        "Pass the ids of what it should load, and open a session in the task."
    )
    row = type("Customer", (), {"__mapper__": object()})
    assert refusal(None, [row()]) == "Customer belongs to a database session. Pass its id and load it in the task."
    connection = type("Connection", (), {"cursor": lambda _: None, "commit": lambda _: None})
    assert refusal(None, connection()) == (
        "Connection is a connection of this process. Pass what it should load, and open it in the task."
    )
    frame = type("DataFrame", (), {"__module__": "pandas.core.frame"})
    assert refusal(frame, frame()).startswith(
        "DataFrame has no exact form in JSON. Write it to a file and pass its path"
    )
    assert refusal(None, WebSocket({"type": "websocket"}, None, None)).startswith(  # type: ignore[arg-type]
        "WebSocket lives only as long as its connection."
    )


def test_values_without_an_end() -> None:
    endless: list[Any] = []
    endless.append(endless)
    for annotation in (None, list[Any], User):
        assert refusal(annotation, endless) == "it contains itself. Pass a copy without the cycle, or an id."
    deep: Any = 1
    for depth in range(300):
        deep = [deep]
        codec = Codec(function_of(None), name="app:task")
        try:
            assert codec.decode(codec.encode((deep,), {}).text) == ((deep,), {})
        except NotStorable as error:
            assert depth > 100
            assert "recursion limit exceeded" in error.reason  # noqa: PT017
            break
    else:
        pytest.fail("JSON may be only so deep")


# Kinds of parameters


def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Encoded, tuple[Any, ...], dict[str, Any]]:
    codec = Codec(function, name="app:task")
    encoded = codec.encode(args, kwargs)
    back = codec.decode(encoded.text)
    assert back == (args, kwargs) == (encoded.args, encoded.kwargs)
    assert list(back[1]) == list(kwargs)
    return encoded, *back


def test_every_kind_of_parameter() -> None:
    def task(a: date, /, b: UUID, *rest: bytes, c: Decimal, d: int = 4, **more: set[int]) -> None: ...

    encoded, *_ = call(task, date(2026, 1, 1), UUID(int=1), b"x", b"y", c=Decimal("1.0"), a={1}, z={2})
    assert encoded.text == (
        '{"args":["2026-01-01","00000000-0000-0000-0000-000000000001","x","y"],"kwargs":{"c":"1.0","a":[1],"z":[2]}}'
    )
    call(task, date(2026, 1, 1), c=Decimal(1), b=UUID(int=1))
    call(task, date(2026, 1, 1), UUID(int=1), c=Decimal(1), d=True)


def test_what_is_named_in_a_refusal() -> None:
    def task(a: int, *rest: bytes, **more: set[int]) -> None: ...

    codec = Codec(task, name="app:task")
    cases: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
        ((1, b"x", Plain()), {}, "rest[1]"), ((1,), {"z": Plain()}, "z"), ((Plain(),), {}, "a"),
        ((1,), {"\ud800": {1}}, "\ud800"),
    ]  # fmt: skip
    for args, kwargs, argument in cases:
        with pytest.raises(NotStorable) as raised:
            codec.encode(args, kwargs)
        assert raised.value.argument == argument


def test_keywords_described_by_a_typed_dict() -> None:
    def task(**options: Unpack[Options]) -> None: ...

    call(task, name="a", size=1.5)
    back = Codec(task, name="app:task").decode('{"args":[],"kwargs":{"name":"a"}}')
    assert back == ((), {"name": "a"})


class Service:
    def __call__(self, at: date) -> None: ...

    def method(self, at: date) -> None: ...

    @classmethod
    def of_class(cls, at: "date") -> None: ...


def two(at: date, until: date) -> None: ...


def test_callables_of_every_sort() -> None:
    service = Service()
    for function in (service, service.method, Service.of_class, partial(two, date(2026, 1, 1))):
        encoded, *_ = call(function, date(2026, 2, 3))
        assert encoded.text == '{"args":["2026-02-03"],"kwargs":{}}'
    call(partial(two, until=date(2026, 1, 1)), date(2026, 2, 3), until=date(2026, 2, 4))
    call(dict, a=1)  # No signature to be had.
    call(print, "a", 1, sep="")


def test_one_annotation_that_cannot_be_resolved_leaves_the_others() -> None:
    def task(a: "Unseen", b: "date") -> None: ...

    call(task, 1, date(2026, 1, 1))
    with pytest.raises(NotStorable, match="name 'Unseen' is not defined"):
        call(task, date(2026, 1, 1), date(2026, 1, 1))


def test_a_codec_can_be_made_for_anything() -> None:
    for odd in (None, 3, object(), int, type, print):
        Codec(odd, name="app:odd")  # type: ignore[arg-type]


def test_shapes_are_kept_within_bounds() -> None:
    def task(**values: int) -> None: ...

    codec = Codec(task, name="app:task")
    for index in range(1000):
        codec.encode((), {f"name{index}": 1})
    assert len(codec._plain) <= 256
    assert len(codec._signature._shapes) <= 256
