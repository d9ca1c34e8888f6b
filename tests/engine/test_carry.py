"""Context variables come along from `add_task` to the task: in this process, through the store, and to each attempt."""

from contextvars import ContextVar, copy_context
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from postlude.calls import CallOptions, Chain
from postlude.carry import Carry
from postlude.context import current_job
from postlude.errors import SettingsError
from postlude.events import ValueNotCarried
from postlude.registry import Registry
from postlude.staging import Staging
from postlude.tasks import task
from postlude.telling import Events
from tests.engine.conftest import Engine
from tests.engine.fakes import FakeClock, Heard, until

tenant: ContextVar[Any] = ContextVar("tenant")
user: ContextVar[Any] = ContextVar("user", default="nobody")
not_one = "text"
seen: list[object] = []

VALUES = [
    "acme",
    'ü\udcff\0"',
    0,
    10**30,
    1.5,
    True,
    None,
    [],
    {"roles": ["admin", {"deep": [1, 2.5, None]}], "": False},
]


def carrying(*variables: ContextVar[Any] | str) -> tuple[Carry, Heard]:
    events = Events()
    return Carry(variables, events), Heard(events)


def captured(carry: Carry, value: object) -> str | None:
    def capture() -> str | None:
        tenant.set(value)
        return carry.capture()

    return copy_context().run(capture)


async def look() -> None:
    seen.append((tenant.get("none"), user.get()))
    tenant.set("changed")


def look_in_a_thread() -> None:
    seen.append((tenant.get("none"), user.get()))


@task(retries=2, backoff=0)
async def fails_twice() -> None:
    await look()
    if current_job().attempt < 3:
        raise ConnectionError


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


@pytest.fixture
def carried(engine: Engine) -> Engine:
    """An engine that carries both variables."""
    engine.staging = Staging(
        Registry(Path(__file__).parents[2]),
        FakeClock(),
        engine.events,
        strict=False,
        carry=[tenant, f"{__name__}:user"],
    )
    engine.attempts._places = engine.attempts._places._replace(carry=engine.staging.carry)
    return engine


async def again(engine: Engine) -> None:
    await engine.worker.run_once()
    await until(lambda: engine.attempts.idle)
    await engine.settling.flush()


@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_any_storable_value_comes_back_the_same(carried: Engine, value: object) -> None:
    token = tenant.set(value)
    call = carried.call(look)
    tenant.reset(token)
    await carried.stage(call)
    await carried.attempts.run(call)
    ((found, name),) = cast("list[tuple[object, str]]", seen)
    assert (found, type(found), name) == (value, type(value), "nobody")


@pytest.mark.parametrize("function", [look, look_in_a_thread])
async def test_the_value_is_that_of_add_task_and_each_call_has_its_own(carried: Engine, function: Any) -> None:
    calls = []
    for name in ("first", "second"):
        token = tenant.set(name)
        calls.append(carried.call(function))
        tenant.reset(token)
    calls.append(carried.call(function))
    chain = Chain()
    chain.origin = '{"route":"POST /x"}'
    await carried.stage(*calls, chain=chain)
    for call in calls:
        await carried.attempts.run(call)
    assert seen == [("first", "nobody"), ("second", "nobody"), ("none", "nobody")]
    assert [record.origin for record in await carried.records(calls)] == [
        '{"route":"POST /x","carry":{"tenant":"first"}}',
        '{"route":"POST /x","carry":{"tenant":"second"}}',
        '{"route":"POST /x"}',
    ]


async def test_each_attempt_has_it_and_a_job_outside_of_requests(carried: Engine) -> None:
    tokens = tenant.set(["acme"]), user.set("ada")
    call = await carried.queue(fails_twice)
    for variable, token in zip((tenant, user), tokens, strict=True):
        variable.reset(token)
    for _ in range(3):
        await again(carried)
    assert seen == [(["acme"], "ada")] * 3
    assert (await carried.record(call)).origin == '{"carry":{"tenant":["acme"],"user":"ada"}}'


async def test_a_call_that_is_not_stored_has_it_too(carried: Engine) -> None:
    token = tenant.set("acme")
    call = carried.staging.prepare(partial(look_in_a_thread), (), {}, CallOptions())
    tenant.reset(token)
    await carried.attempts.run(call)
    assert seen == [("acme", "nobody")]


async def test_the_origin_says_what_it_said(carried: Engine) -> None:
    token = tenant.set("acme")
    chain = Chain()
    chain.origin = '{"route":"POST /x","request_id":"1"}'
    call = carried.call(note_origin)
    tenant.reset(token)
    await carried.stage(call, chain=chain)
    await carried.attempts.run(call)
    assert seen == [{"route": "POST /x", "request_id": "1"}]


async def note_origin() -> None:
    seen.append(current_job().origin)


async def test_a_process_that_knows_other_variables_runs_it_all_the_same(carried: Engine) -> None:
    token = tenant.set("acme")
    await carried.queue(look)
    tenant.reset(token)
    carried.attempts._places = carried.attempts._places._replace(carry=Carry([user], carried.events))
    await again(carried)
    assert seen == [("none", "nobody")]


class Text(str):
    __slots__ = ()


endless: list[Any] = []
endless.append(endless)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (object(), "expected text, a number, True, False, None, or lists and dicts of those, got a object"),
        ([{"a": (1,)}], "expected text, a number, True, False, None, or lists and dicts of those, got a tuple"),
        (Text("a"), "expected text, a number, True, False, None, or lists and dicts of those, got a Text"),
        (float("inf"), "expected text, a number, True, False, None, or lists and dicts of those, got a float"),
        ({1: "a"}, "expected a dict whose keys are text"),
        (endless, "it is too deep"),
        ("x" * 4095, "it takes 4,097 bytes as JSON, and at most 4,096 are carried"),
    ],
)
def test_what_cannot_be_stored_is_named_once_and_left_out(value: object, reason: str) -> None:
    carry, heard = carrying(tenant)
    assert captured(carry, value) is None
    assert captured(carry, value) is None
    assert heard == [ValueNotCarried("tenant", reason)]
    assert captured(carry, "acme") == '{"tenant":"acme"}'


@pytest.mark.parametrize(
    ("named", "problem"),
    [
        ("no.such.module:tenant", "carry: 'no.such.module:tenant' cannot be imported: No module named 'no'"),
        (f"{__name__}:missing", f"carry: '{__name__}:missing' cannot be imported"),
        (f"{__name__}:not_one", f"carry: expected '{__name__}:not_one' to be a ContextVar, got 'text'"),
        (ContextVar("tenant"), "carry: expected variables of different names, got two named 'tenant'"),
    ],
)
def test_variables_that_cannot_be_carried(named: Any, problem: str) -> None:
    carry, _ = carrying(tenant, named)
    with pytest.raises(SettingsError) as raised:
        carry.variables()
    assert problem in str(raised.value)


def test_the_same_variable_twice_is_one() -> None:
    carry, _ = carrying(tenant, f"{__name__}:tenant")
    assert carry.variables() == {"tenant": tenant}
