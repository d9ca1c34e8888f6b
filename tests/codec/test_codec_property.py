"""For any signature and any values: either the task gets what was passed, or the call is refused with a reason."""

# ruff: noqa: PT017, UP007, UP045  # values and annotations of any type, and two right outcomes

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import partial
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, Optional, TypedDict, Union
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from postlude.codec import Codec
from postlude.errors import ArgumentsDoNotFit, CallError, NotStorable

# The same examples with every run: what one run finds, the next one finds too. The long form looks further.
short = settings(
    derandomize=True, deadline=None, max_examples=300, database=None, suppress_health_check=list(HealthCheck)
)
brief = settings(short, max_examples=60)
long = settings(short, derandomize=False, max_examples=10_000)


class Colour(enum.Enum):
    RED = "red"
    GREEN = 2


class Word(enum.StrEnum):
    ONE = "one"


class Pair(NamedTuple):
    left: float
    right: bytes


@dataclass
class Point:
    x: float
    at: datetime | None = None
    tags: tuple[str, ...] = ()


@dataclass
class Place(Point):
    name: str = ""


class User(BaseModel):
    name: str | bytes = "nobody"
    score: float = 0.0
    colour: Colour = Colour.RED
    born: date | datetime | None = None
    alias: Decimal | int = Field(default=0, alias="Alias")
    more: Any = None


class Admin(User):
    rights: set[int] = set()


class Twin(BaseModel):
    name: str = "nobody"


class Options(TypedDict):
    name: str
    size: NotRequired[Decimal]


zones = st.sampled_from(
    [None, UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=1), "CET"), ZoneInfo("Europe/Berlin"),
     ZoneInfo("America/New_York"), timezone(timedelta(seconds=-1))]
)  # fmt: skip
text = st.text(st.characters(codec=None), max_size=5) | st.sampled_from(["$", "$exact", "1", "nan", "true", "red"])
floats = st.floats()
datetimes = st.builds(
    lambda at, fold: at.replace(fold=fold), st.datetimes(timezones=zones, allow_imaginary=True), st.sampled_from([0, 1])
)
times = st.times(timezones=zones)
numbers = st.decimals().filter(lambda number: not number.is_snan())  # Python cannot hash a signaling NaN.
points = st.builds(Point, floats | st.integers(), st.none() | datetimes, st.lists(text, max_size=2).map(tuple))
places = st.builds(Place, floats, name=text)
pairs = st.builds(Pair, floats, st.binary(max_size=3))
user_fields: dict[str, st.SearchStrategy[Any]] = {
    "name": text | st.binary(max_size=3),
    "score": floats,
    "colour": st.sampled_from(Colour),
    "born": st.dates() | datetimes,
    "Alias": st.decimals() | st.integers(),
    "more": text | datetimes | st.sampled_from(Colour) | st.just(object()),
}


def models(kind: type[BaseModel], options: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Built as users do it, so that what their fields do not take is not built."""

    def build(values: dict[str, Any]) -> Any:
        try:
            return kind(**values)
        except ValueError:
            return kind()

    return st.fixed_dictionaries({}, optional=options).map(build)


users = models(User, user_fields)
admins = models(Admin, {**user_fields, "rights": st.sets(st.integers())})
twins = models(Twin, {"name": text})
options = st.fixed_dictionaries({"name": text}, optional={"size": st.decimals() | floats})

# An annotation, and values that are meant for it.
SCALARS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, text), (int, st.integers()), (float, floats), (bool, st.booleans()), (None, st.none()),
    (bytes, st.binary(max_size=5)), (datetime, datetimes), (date, st.dates()), (time, times),
    (timedelta, st.timedeltas()), (UUID, st.uuids()), (Decimal, numbers), (Colour, st.sampled_from(Colour)),
    (Word, st.sampled_from(Word)), (Path, text.filter(lambda name: "\0" not in name).map(Path)),
]  # fmt: skip
OBJECTS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (Point, points), (Place, places), (Pair, pairs), (User, users), (Admin, admins), (Twin, twins), (Options, options),
]  # fmt: skip
hashable = st.sampled_from(SCALARS)


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def of_items(pair: tuple[Any, Any]) -> st.SearchStrategy[Any]:
        annotation: Any
        annotation, values = pair
        return st.sampled_from(
            [
                (list[annotation], st.lists(values, max_size=3)),
                (tuple[annotation, ...], st.lists(values, max_size=3).map(tuple)),
                (tuple[int, annotation], st.tuples(st.integers(), values)),
                (Sequence[annotation], st.lists(values, max_size=3) | st.lists(values, max_size=3).map(tuple)),
                (Iterable[annotation], st.lists(values, max_size=3)),
                (dict[str, annotation], st.dictionaries(text, values, max_size=3)),
                (Mapping[str, annotation], st.dictionaries(text, values, max_size=3)),
                (Optional[annotation], values | st.none()),
                (Union[annotation, int, str], values | st.integers() | text),
                (Union[annotation, Twin, User], values | twins | users),
            ]
        )

    def of_hashables(pairs: tuple[Any, Any]) -> st.SearchStrategy[Any]:
        key: Any
        annotation: Any
        (key, keys), (annotation, values) = pairs
        return st.sampled_from(
            [
                (set[key], st.sets(keys, max_size=3)),
                (frozenset[key], st.frozensets(keys, max_size=3)),
                (dict[key, annotation], st.dictionaries(keys, values, max_size=3)),
                (
                    dict[tuple[key, int], annotation],
                    st.dictionaries(st.tuples(keys, st.integers()), values, max_size=3),
                ),
            ]
        )

    return inner.flatmap(of_items) | st.tuples(hashable, inner).flatmap(of_hashables)


described = st.recursive(st.sampled_from(SCALARS + OBJECTS), _containers, max_leaves=3)
anything = described.flatmap(lambda pair: pair[1])
UNANNOTATED = [Parameter.empty, Any, object, "Unresolvable"]
KINDS = [
    Parameter.POSITIONAL_ONLY,
    Parameter.POSITIONAL_OR_KEYWORD,
    Parameter.VAR_POSITIONAL,
    Parameter.KEYWORD_ONLY,
    Parameter.VAR_KEYWORD,
]


class Argument(NamedTuple):
    """What was drawn for one parameter."""

    parameter: Parameter
    value: Any
    given_by: str


@st.composite
def arguments(draw: Callable[[Any], Any], kind: Any) -> Argument:
    annotation, values = draw(described)
    value = draw(values if draw(st.sampled_from([True, True, True, False])) else anything)
    if draw(st.sampled_from([False, False, False, True])):
        annotation = draw(st.sampled_from(UNANNOTATED))
    name = draw(st.sampled_from(["a", "b", "c", "d", "é", "self"]))
    variadic = kind in {Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD}
    default = None if not variadic and draw(st.booleans()) else Parameter.empty
    given_by = draw(st.sampled_from(["position", "keyword", "nothing"]))
    return Argument(Parameter(name, kind, annotation=annotation, default=default), value, given_by)


@st.composite
def calls(draw: Callable[[Any], Any]) -> tuple[Signature, tuple[Any, ...], dict[str, Any]]:
    """A signature with parameters of any kind, and a call that binds to it."""
    drawn = [draw(arguments(kind)) for kind in sorted(draw(st.lists(st.sampled_from(KINDS), max_size=4)))]
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for parameter, value, given_by in drawn:
        if parameter.kind is Parameter.VAR_KEYWORD:
            kwargs |= dict.fromkeys(draw(st.lists(st.sampled_from(["x", "y", "self"]), max_size=2)), value)
        elif parameter.kind is Parameter.VAR_POSITIONAL:
            args += [value] * draw(st.integers(0, 2))
        elif parameter.kind is Parameter.POSITIONAL_ONLY or (
            parameter.kind is Parameter.POSITIONAL_OR_KEYWORD and given_by == "position"
        ):
            args.append(value)
        elif given_by == "keyword" or parameter.default is Parameter.empty:
            kwargs[parameter.name] = value
    try:
        signature = Signature([argument.parameter for argument in drawn])
        signature.bind(*args, **kwargs)
    except (TypeError, ValueError):  # A default before a parameter without, the same name twice.
        assume(condition=False)
    return signature, tuple(args), kwargs


def shown(value: Any) -> Any:  # noqa: PLR0911  # one for each sort
    """All that a task could see of a value, as something that compares by what it is; made apart from the codec."""
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(value, datetime | time):
        return name, repr(value.replace(tzinfo=None)), _zone(value.tzinfo), value.tzname(), value.utcoffset()
    if isinstance(value, dict):
        return name, [(shown(key), shown(item)) for key, item in value.items()]
    if isinstance(value, set | frozenset):
        return name, sorted(repr(shown(item)) for item in value)
    if isinstance(value, list | tuple):
        return name, [shown(item) for item in value]
    if isinstance(value, BaseModel):
        return name, [(field, shown(getattr(value, field))) for field in type(value).model_fields]
    if is_dataclass(value):
        return name, [(field.name, shown(getattr(value, field.name))) for field in fields(value)]
    return name, repr(value)


def _zone(zone: tzinfo | None) -> str:
    return zone.key if isinstance(zone, ZoneInfo) and zone.key else "none" if zone is None else "fixed"


def check(call: tuple[Signature, tuple[Any, ...], dict[str, Any]]) -> None:
    signature, args, kwargs = call

    def task(*args: Any, **kwargs: Any) -> None: ...

    task.__signature__ = signature  # type: ignore[attr-defined]
    codec = Codec(task, name="app:task")
    before = shown(args), shown(kwargs)
    for _ in range(2):  # The second time the shape of the call is known.
        try:
            encoded = codec.encode(args, kwargs)
        except NotStorable as refused:
            assert refused.argument is not None
            assert refused.reason
            assert refused.cure.endswith(".")
            assert (shown(args), shown(kwargs)) == before
            continue
        encoded.text.encode()
        assert (shown(args), shown(kwargs)) == before
        assert (shown(encoded.args), shown(encoded.kwargs)) == before
        for reader in (codec, Codec(task, name="app:task")):
            back_args, back_kwargs = reader.decode(encoded.text)
            assert (shown(back_args), shown(back_kwargs)) == before


@short
@given(calls())
def test_equal_and_of_the_same_type_or_refused(call: tuple[Signature, tuple[Any, ...], dict[str, Any]]) -> None:
    check(call)


@pytest.mark.soak
@pytest.mark.timeout(900)
@long
@given(calls())
def test_equal_and_of_the_same_type_or_refused_long(call: tuple[Signature, tuple[Any, ...], dict[str, Any]]) -> None:
    check(call)


def one_value(annotation: Any, value: Any) -> Codec:
    signature = Signature([Parameter("value", Parameter.POSITIONAL_ONLY, annotation=annotation)])
    check((signature, (value,), {}))

    def task(*args: Any) -> None: ...

    task.__signature__ = signature  # type: ignore[attr-defined]
    return Codec(task, name="app:task")


@brief
@given(hashable.flatmap(lambda pair: st.tuples(st.just(pair[0]), pair[1])))
def test_standard_values_are_never_refused_under_their_own_annotation(pair: tuple[Any, Any]) -> None:
    annotation: Any
    annotation, value = pair
    cases: list[tuple[Any, Any]] = [
        (annotation, value), (list[annotation], [value]), (tuple[annotation, ...], (value,)),
        (Optional[annotation], value), (set[annotation], {value}), (dict[str, annotation], {"k": value}),
    ]  # fmt: skip
    for outer, values in cases:
        one_value(outer, values).encode((values,), {})


@brief
@given(st.recursive(text | floats | st.integers() | st.booleans() | st.none(),
                    lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=8))  # fmt: skip
def test_plain_json_is_never_refused(value: Any) -> None:
    for annotation in (Parameter.empty, Any, int, list[str], datetime, User):
        one_value(annotation, value).encode((value,), {})


@brief
@given(st.text(max_size=40) | st.builds(partial(str.format, '{{"args":[{}],"kwargs":{{}}}}'), st.sampled_from(
    ["1", '"a"', "null", "[]", "{}", '{"$exact":1}', '{"$fields":{}}', '{"$json":[]}', '{"$exact":{"$datetime":1}}',
     '{"$fields":{"$set":[[]]}}', '{"$x":1}', '{"$exact":{"$uuid":"x"}}', '{"$exact":{"$tuple":3}}'])))  # fmt: skip
def test_text_of_any_sort_is_read_or_refused(stored: str) -> None:
    for annotation in (Parameter.empty, int, list[str], datetime, User):
        codec = one_value(annotation, None)
        try:
            codec.decode(stored)
        except ArgumentsDoNotFit as error:
            assert error.task == "app:task"


@brief
@given(calls(), st.integers(0, 3), st.sets(st.sampled_from(["p0", "p1", "a"])))
def test_a_call_binds_as_python_says(call: tuple[Signature, Any, Any], count: int, names: set[str]) -> None:
    signature = call[0]

    def task(*args: Any, **kwargs: Any) -> None: ...

    task.__signature__ = signature  # type: ignore[attr-defined]
    codec = Codec(task, name="app:task")
    args, kwargs = (1,) * count, dict.fromkeys(sorted(names), "x")
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        for _ in range(2):
            with pytest.raises(CallError, match=r"cannot be called with .*: .+\. Pass|did you mean"):
                codec.encode(args, kwargs)
    else:
        assert codec.decode(codec.encode(args, kwargs).text) == (args, kwargs)
