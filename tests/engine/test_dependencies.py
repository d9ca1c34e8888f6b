"""What a task asks for with `Depends`: what is refused and why, and what it is given when it runs."""

import asyncio
import functools
import gc
import sqlite3
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from fastapi import (
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    FastAPI,
    Header,
    Path,
    Query,
    Request,
    Response,
    Security,
    WebSocket,
    params,
)
from fastapi.requests import HTTPConnection
from fastapi.security import OAuth2PasswordBearer, SecurityScopes
from typing_extensions import TypeAliasType

from postlude import Jobs
from postlude.control import Snooze
from postlude.dependencies import Plan, plan_of
from postlude.errors import TaskDeclarationError
from postlude.executors.contract import Work
from postlude.executors.threads import ThreadExecutor
from postlude.job import Outcome, Succeeded

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForTheChecker

variable: ContextVar[str] = ContextVar("variable", default="unset")
Log = list[str]


@pytest.fixture
def threads() -> Iterator[ThreadExecutor]:
    executor = ThreadExecutor(50)
    yield executor
    executor.close()


@pytest.fixture
def log() -> Log:
    return []


def plan(function: Callable[..., Any]) -> Plan:
    found = plan_of(function)
    assert found is not None
    return found


@pytest.fixture
def run(threads: ThreadExecutor) -> Callable[..., Any]:
    async def run(function: Callable[..., Any], *args: Any, overrides: Any = None, **kwargs: Any) -> Any:
        async with plan(function).completed(args, kwargs, threads=threads, overrides=overrides) as (full, named):
            result = function(*full, **named)
            return await result if asyncio.iscoroutine(result) else result

    return run


Run = Callable[..., Any]


def refusal(function: Callable[..., Any]) -> str:
    with pytest.raises(TaskDeclarationError) as raised:
        plan(function).check()
    return str(raised.value)


# Dependencies of several kinds


def plain() -> str:
    return "plain"


async def awaited() -> str:
    await asyncio.sleep(0)
    return "awaited"


def generated() -> Iterator[str]:
    yield "generated"


async def async_generated() -> AsyncIterator[str]:
    yield "async generated"


class Settings:
    def __init__(self, value: Annotated[str, Depends(plain)], limit: int = 7) -> None:
        self.value = f"{value} {limit}"


class Callables:
    def __init__(self, value: str) -> None:
        self.value = value

    def __call__(self) -> str:
        return self.value

    async def method(self) -> str:
        return f"{self.value} method"


class AsyncCallable:
    async def __call__(self) -> str:
        return "async callable"


class GeneratorCallable:
    def __call__(self) -> Iterator[str]:
        yield "generator callable"


class AsyncGeneratorCallable:
    async def __call__(self) -> AsyncIterator[str]:
        yield "async generator callable"


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def with_argument(one: str, two: str = "two") -> str:
    return f"{one} {two}"


Alias = TypeAliasType("Alias", Annotated[str, Depends(plain)])


# Which functions have a plan


@pytest.mark.parametrize(
    "function",
    [
        lambda: None,
        lambda *args, **kwargs: (args, kwargs),
        with_argument,
        print,
        dict,
        functools.partial(with_argument, "one"),
        Callables("x"),
    ],
)
def test_a_function_without_dependencies_has_no_plan(function: Callable[..., Any]) -> None:
    assert plan_of(function) is None


def test_a_request_among_the_arguments_is_the_callers_affair() -> None:
    def send(request: Request, q: Annotated[int, Query()], n: int = Body(3)) -> None:
        pass

    assert plan_of(send) is None


def test_both_forms_and_aliases_are_dependencies() -> None:
    def send(
        n: int,
        a: Annotated[str, Depends(plain)],
        b: "Annotated[str, Depends(plain)]",
        c: Alias,
        d: str = Depends(plain),
        *,
        e: "Alias",
    ) -> None:
        pass

    assert plan(send).parameters == {"a", "b", "c", "d", "e"}


def test_a_type_that_only_the_checker_knows_does_not_hide_the_dependency() -> None:
    def send(a: Annotated["OnlyForTheChecker", Depends(plain)], b: "OnlyForTheChecker" = Depends(plain)) -> None:
        pass

    assert plan(send).parameters == {"a", "b"}
    plan(send).check()


def test_what_a_partial_supplies_is_no_dependency() -> None:
    def send(n: int, a: Annotated[str, Depends(plain)], b: str = Depends(plain)) -> None:
        pass

    assert plan(functools.partial(send, 1, b="given")).parameters == {"a"}
    assert plan_of(functools.partial(send, 1, a="given", b="given")) is None


# What is given


@pytest.mark.parametrize(
    ("dependency", "value"),
    [
        (plain, "plain"),
        (awaited, "awaited"),
        (generated, "generated"),
        (async_generated, "async generated"),
        (Callables("callable"), "callable"),
        (Callables("a").method, "a method"),
        (AsyncCallable(), "async callable"),
        (GeneratorCallable(), "generator callable"),
        (AsyncGeneratorCallable(), "async generator callable"),
        (functools.partial(with_argument, "one"), "one two"),
        (functools.partial(awaited), "awaited"),
        (functools.partial(async_generated), "async generated"),
        (functools.partial(AsyncCallable()), "async callable"),
        (functools.lru_cache(plain), "plain"),
        (wrapped(awaited), "awaited"),
        (wrapped(generated), "generated"),
        (wrapped(async_generated), "async generated"),
        (lambda *args, **kwargs: (args, kwargs), ((), {})),
    ],
)
@pytest.mark.parametrize("annotated", [True, False])
async def test_every_kind_of_dependency_gives_its_value(
    run: Run, dependency: Callable[..., Any], value: object, annotated: bool
) -> None:
    async def in_default(n: int, it: Any = Depends(dependency)) -> tuple[int, Any]:
        return n, it

    async def in_annotation(it: Annotated[Any, Depends(dependency)], n: int) -> tuple[int, Any]:
        return n, it

    assert await run(in_annotation if annotated else in_default, 3) == (3, value)


async def test_the_annotation_is_the_dependency_when_depends_names_none(run: Run) -> None:
    async def send(a: Annotated[Settings, Depends()], b: Settings = Depends(), c: "Settings" = Depends()) -> set[str]:
        assert a is b is c
        return {a.value}

    assert await run(send) == {"plain 7"}


async def test_a_class_gives_an_instance_whatever_calling_that_would_do(run: Run) -> None:
    async def send(a: Any = Depends(AsyncCallable), b: Any = Depends(GeneratorCallable)) -> list[type]:
        return [type(a), type(b)]

    assert await run(send) == [AsyncCallable, GeneratorCallable]


async def test_a_dependency_has_dependencies(run: Run) -> None:
    def middle(low: Annotated[str, Depends(awaited)], other: str = Depends(plain)) -> str:
        return f"middle of {low} and {other}"

    async def high(it: str = Depends(middle)) -> AsyncIterator[str]:
        yield f"high on {it}"

    async def send(it: str = Depends(high)) -> str:
        return it

    assert await run(send) == "high on middle of awaited and plain"


async def test_a_value_is_shared_in_one_attempt_and_made_anew_in_the_next(run: Run) -> None:
    def sub(it: object = Depends(object)) -> object:
        return it

    async def send(
        a: object = Depends(object),
        b: object = Depends(object),
        c: object = Depends(sub),
        d: object = Depends(object, use_cache=False),
    ) -> list[object]:
        return [a, b, c, d]

    a, b, c, d = await run(send)
    assert a is b is c
    assert d is not a
    assert (await run(send))[0] is not a


async def test_a_value_of_nothing_is_shared_too(run: Run, log: Log) -> None:
    def nothing() -> None:
        log.append("called")

    async def send(a: None = Depends(nothing), b: None = Depends(nothing)) -> None:
        pass

    await run(send)
    assert log == ["called"]


# Which argument goes where


def first(db: Annotated[str, Depends(plain)], n: int, *rest: int, m: int = 0, **more: Any) -> object:
    return db, n, rest, m, more


def last(n: int, m: int = 0, db: str = Depends(plain)) -> object:
    return n, m, db


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "result"),
    [
        (first, (1,), {}, ("plain", 1, (), 0, {})),
        (first, (1, 2, 3), {"m": 4, "x": 5}, ("plain", 1, (2, 3), 4, {"x": 5})),
        (first, (), {"n": 1}, ("plain", 1, (), 0, {})),
        (first, (1,), {"db": "mine"}, ("mine", 1, (), 0, {})),
        (last, (1,), {}, (1, 0, "plain")),
        (last, (1, 2), {}, (1, 2, "plain")),
        (last, (1, 2, "mine"), {}, (1, 2, "mine")),
        (last, (1,), {"db": "mine"}, (1, 0, "mine")),
        (last, (), {"m": 2, "n": 1}, (1, 2, "plain")),
    ],
)
async def test_what_the_caller_gives_goes_past_the_dependencies_or_takes_their_place(
    run: Run, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], result: object
) -> None:
    assert await run(function, *args, **kwargs) == result


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (first, (), {}),
        (first, (), {"db": "mine"}),
        (last, (1, 2, "mine", 4), {}),
        (last, (1,), {"x": 1}),
        (last, (), {"db": "mine"}),
    ],
)
def test_a_call_that_does_not_bind(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> None:
    with pytest.raises(TypeError):
        plan(function).bind(args, kwargs)


def test_what_is_bound_is_what_was_given() -> None:
    assert plan(first).bind((1, 2), {"x": 3}).arguments == {"n": 1, "rest": (2,), "more": {"x": 3}}
    assert plan(last).bind((1, 2, 3), {}).arguments == {"n": 1, "m": 2, "db": 3}


async def test_a_dependency_that_is_given_is_not_resolved(run: Run, log: Log) -> None:
    def opened() -> str:
        log.append("opened")
        return "opened"

    async def send(db: str = Depends(opened)) -> str:
        return db

    assert await run(send, db="mine") == "mine"
    assert log == []


async def test_a_wrapper_may_supply_arguments_itself(run: Run) -> None:
    def inner(token: str, n: int, db: str = Depends(plain)) -> object:
        return token, n, db

    @functools.wraps(inner)
    def outer(*args: Any, **kwargs: Any) -> object:
        return inner("token", *args, **kwargs)

    assert await run(outer, 3) == ("token", 3, "plain")


# Where it runs


async def test_sync_dependencies_run_in_threads_and_async_ones_on_the_loop(run: Run) -> None:
    def name() -> str:
        return threading.current_thread().name

    def name_and_later() -> Iterator[list[str]]:
        names = [name()]
        yield names
        names.append(name())

    async def on_loop() -> str:
        return name()

    async def send(
        a: str = Depends(name), b: list[str] = Depends(name_and_later), c: str = Depends(on_loop)
    ) -> tuple[str, list[str], str]:
        return a, b, c

    a, b, c = await run(send)
    assert c == name()
    assert len(b) == 2
    assert all(each.startswith("postlude-task-") for each in (a, *b))


@pytest.mark.usefixtures("no_blocking")
async def test_nothing_blocks_the_loop(run: Run) -> None:
    async def send(a: str = Depends(generated), b: str = Depends(plain)) -> str:
        return a + b

    assert await run(send) == "generatedplain"


# Context variables


def sets() -> str:
    variable.set("by a function")
    return "set"


async def sets_async() -> str:
    variable.set("by a coroutine")
    return "set"


def sets_and_resets() -> Iterator[str]:
    token = variable.set("by a generator")
    yield "set"
    variable.reset(token)


async def sets_and_resets_async() -> AsyncIterator[str]:
    token = variable.set("by an async generator")
    yield "set"
    variable.reset(token)


@pytest.mark.parametrize(
    ("dependency", "seen", "after"),
    [
        (sets, "by a function", "by a function"),
        (sets_async, "by a coroutine", "by a coroutine"),
        (sets_and_resets, "by a generator", "before"),
        (sets_and_resets_async, "by an async generator", "before"),
    ],
)
async def test_the_task_sees_the_context_variables_that_a_dependency_sets(
    run: Run, dependency: Callable[..., Any], seen: str, after: str
) -> None:
    async def send(it: str = Depends(dependency)) -> str:
        return variable.get()

    variable.set("before")
    assert await run(send) == seen
    assert variable.get() == after


async def test_the_end_of_a_sync_generator_sees_what_the_task_has_set(run: Run, log: Log) -> None:
    def looks() -> Iterator[None]:
        yield
        log.append(variable.get())

    async def send(it: None = Depends(looks)) -> None:
        variable.set("by the task")

    await run(send)
    assert log == ["by the task"]


@pytest.mark.parametrize("dependency", [sets, sets_async, sets_and_resets, sets_and_resets_async])
async def test_a_def_task_in_its_own_thread_sees_them_too(
    threads: ThreadExecutor, dependency: Callable[..., Any]
) -> None:
    seen: list[str] = []

    def send(it: str = Depends(dependency)) -> None:
        seen.append(variable.get())

    variable.set("before")
    async with plan(send).completed((), {}, threads=threads) as (args, kwargs):
        ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        threads.begin(Work("send", send, args, kwargs, copy_context()), ended.set_result)
        assert await ended == Succeeded()
    assert seen[0].startswith("by a")


# What happens after the task


class Noted(Exception):
    pass


def opening(log: Log, name: str) -> Callable[..., Any]:
    def opened() -> Iterator[str]:
        log.append(f"open {name}")
        try:
            yield name
        except BaseException as error:
            log.append(f"{name} sees {error!r}")
            raise
        finally:
            log.append(f"close {name}")

    return opened


def opening_async(log: Log, name: str) -> Callable[..., Any]:
    async def opened() -> AsyncIterator[str]:
        log.append(f"open {name}")
        try:
            yield name
        except BaseException as error:
            log.append(f"{name} sees {error!r}")
            raise
        finally:
            log.append(f"close {name}")

    return opened


async def test_what_was_opened_last_is_closed_first(run: Run, log: Log) -> None:
    low = opening(log, "low")
    high = opening_async(log, "high")

    def needs_both(a: str = Depends(low), b: str = Depends(high)) -> Iterator[None]:
        log.append("open top")
        yield
        log.append("close top")

    async def send(it: None = Depends(needs_both), again: str = Depends(low)) -> None:
        log.append("task")

    await run(send)
    assert log == ["open low", "open high", "open top", "task", "close top", "close high", "close low"]


@pytest.mark.parametrize("error", [Noted("no"), Snooze(3), SystemExit(2), asyncio.CancelledError("stop")])
async def test_the_exception_of_the_task_is_thrown_into_what_is_open(run: Run, log: Log, error: BaseException) -> None:
    async def send(a: str = Depends(opening(log, "a")), b: str = Depends(opening_async(log, "b"))) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        await run(send)
    assert raised.value is error
    assert log == ["open a", "open b", f"b sees {error!r}", "close b", f"a sees {error!r}", "close a"]


def keeps() -> Iterator[None]:
    with suppress(Noted):
        yield


async def keeps_async() -> AsyncIterator[None]:
    with suppress(Noted):
        yield


@pytest.mark.parametrize("keeping", [keeps, keeps_async])
async def test_a_failure_that_a_dependency_keeps_to_itself_is_a_failure(
    run: Run, log: Log, keeping: Callable[..., Any]
) -> None:
    error = Noted("no")

    async def send(a: str = Depends(opening(log, "a")), b: None = Depends(keeping)) -> None:
        raise error

    with pytest.raises(Noted) as raised:
        await run(send)
    assert raised.value is error
    assert log == ["open a", "close a"], "what was opened before sees none, as in FastAPI"


def replaces() -> Iterator[None]:
    try:
        yield
    except Noted as error:
        message = "translated"
        raise ValueError(message) from error


async def replaces_async() -> AsyncIterator[None]:
    try:
        yield
    except Noted as error:
        message = "translated"
        raise ValueError(message) from error


@pytest.mark.parametrize("replacing", [replaces, replaces_async])
async def test_a_dependency_may_raise_another_exception(run: Run, replacing: Callable[..., Any]) -> None:
    async def send(it: None = Depends(replacing)) -> None:
        raise Noted

    with pytest.raises(ValueError, match="translated") as raised:
        await run(send)
    assert isinstance(raised.value.__cause__, Noted)


def fails_at_its_end() -> Iterator[None]:
    yield
    raise Noted


async def fails_at_its_end_async() -> AsyncIterator[None]:
    yield
    raise Noted


@pytest.mark.parametrize("failing", [fails_at_its_end, fails_at_its_end_async])
async def test_a_commit_that_fails_after_the_task_is_a_failure(run: Run, log: Log, failing: Callable[..., Any]) -> None:
    async def send(a: str = Depends(opening(log, "a")), b: None = Depends(failing)) -> None:
        log.append("task")

    with pytest.raises(Noted):
        await run(send)
    assert log == ["open a", "task", "a sees Noted()", "close a"]


def fails() -> Iterator[None]:
    raise Noted
    yield


async def fails_async() -> AsyncIterator[None]:
    raise Noted
    yield


def fails_at_once() -> None:
    raise Noted


@pytest.mark.parametrize("failing", [fails, fails_async, fails_at_once])
async def test_what_is_open_is_closed_when_another_cannot_be_opened(
    run: Run, log: Log, failing: Callable[..., Any]
) -> None:
    async def send(a: str = Depends(opening(log, "a")), b: None = Depends(failing)) -> None:
        log.append("task")

    with pytest.raises(Noted):
        await run(send)
    assert log == ["open a", "a sees Noted()", "close a"]


async def test_a_failure_is_not_kept_alive_by_what_it_went_through(run: Run) -> None:
    class Kept:
        pass

    async def send(it: str = Depends(async_generated)) -> None:
        kept = Kept()
        seen.append(weakref.ref(kept))
        raise Noted

    seen: list[weakref.ref[Kept]] = []
    gc.disable()
    try:
        with pytest.raises(Noted):
            await run(send)
        assert seen[0]() is None
    finally:
        gc.enable()


# Cancelling


async def test_cancelling_while_a_thread_opens_something_closes_it(threads: ThreadExecutor, log: Log) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow() -> Iterator[None]:
        began.set()
        go_on.wait(30)
        log.append("open")
        try:
            yield
        except asyncio.CancelledError:
            log.append("cancelled")
            raise
        finally:
            log.append("close")

    async def send(it: None = Depends(slow)) -> None:
        log.append("task")

    async def run() -> None:
        async with plan(send).completed((), {}, threads=threads):
            log.append("task")

    attempt = asyncio.create_task(run())
    await asyncio.to_thread(began.wait, 30)
    attempt.cancel()
    done, _ = await asyncio.wait([attempt], timeout=0.05)
    assert not done, "a thread cannot be stopped, and what it opens is ours to close"
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    assert log == ["open", "cancelled", "close"]


async def test_cancelling_while_a_thread_closes_something_waits_for_it_and_closes_the_rest(
    threads: ThreadExecutor, log: Log
) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow() -> Iterator[None]:
        yield
        began.set()
        go_on.wait(30)
        log.append("closed slowly")

    async def send(a: str = Depends(opening(log, "a")), it: None = Depends(slow)) -> None:
        pass

    async def run() -> None:
        async with plan(send).completed((), {}, threads=threads):
            log.append("task")

    attempt = asyncio.create_task(run())
    await asyncio.to_thread(began.wait, 30)
    attempt.cancel()
    await asyncio.wait([attempt], timeout=0.05)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    assert log == ["open a", "task", "closed slowly", "a sees CancelledError()", "close a"]


# Overrides


async def test_an_override_takes_the_place_of_a_dependency_at_any_depth(run: Run) -> None:
    def middle(it: str = Depends(plain)) -> str:
        return f"middle of {it}"

    async def send(a: str = Depends(middle), b: str = Depends(plain)) -> tuple[str, str]:
        return a, b

    app = FastAPI()
    app.dependency_overrides[plain] = async_generated
    assert await run(send, overrides=app.dependency_overrides) == ("middle of async generated", "async generated")
    app.dependency_overrides.clear()
    assert await run(send, overrides=app.dependency_overrides) == ("middle of plain", "plain")


async def test_an_override_has_its_own_dependencies_and_they_are_overridden_too(run: Run) -> None:
    def other(it: str = Depends(awaited)) -> str:
        return f"other than {it}"

    async def send(a: str = Depends(plain)) -> str:
        return a

    overrides: dict[Any, Any] = {plain: other, awaited: lambda: "a fake"}
    assert await run(send, overrides=overrides) == "other than a fake"


async def test_an_override_that_needs_a_request_is_refused_when_the_task_runs(run: Run) -> None:
    def other(request: Request) -> str:
        return str(request.url)

    async def send(a: str = Depends(plain)) -> str:
        return a

    with pytest.raises(TaskDeclarationError, match=r"send\(a\) → .*other\(request\) cannot"):
        await run(send, overrides={plain: other})


async def test_an_override_that_needs_what_it_overrides_leads_back_to_itself(run: Run) -> None:
    def other(it: str = Depends(plain)) -> str:
        return it

    async def send(a: str = Depends(plain)) -> str:
        return a

    with pytest.raises(TaskDeclarationError, match="leads back to itself"):
        await run(send, overrides={plain: other})


async def test_what_an_application_gives_is_missed_by_name_where_there_is_none(run: Run) -> None:
    """Of a task in another process it is told when it is declared; of an override only when it runs."""

    def other(jobs: Jobs) -> str:
        return str(jobs)

    async def send(a: str = Depends(plain)) -> str:
        return a

    with pytest.raises(TaskDeclarationError, match="jobs is the application's Jobs, and its executor"):
        await run(send, overrides={plain: other})


# What is refused


@pytest.mark.parametrize("kind", [Request, Response, HTTPConnection, WebSocket, BackgroundTasks, SecurityScopes])
def test_what_belongs_to_a_request_is_refused_with_the_way_that_leads_there(kind: type) -> None:
    def get_session(it: kind = None) -> None:  # type: ignore[valid-type]
        pass

    def get_repository(session: None = Depends(get_session)) -> None:
        pass

    def send(n: int, repository: None = Depends(get_repository)) -> None:
        pass

    here = "test_what_belongs_to_a_request_is_refused_with_the_way_that_leads_there.<locals>."
    assert refusal(send).replace(here, "") == (
        "send(repository) → get_repository(session) → get_session(it) cannot be resolved in a task: "
        f"it is a {kind.__name__}, and when a task runs there is none. Let the endpoint read what the task needs and "
        "hand it on as an argument, or give it a dependency that needs none."
    )


def no_default(q: int) -> None: ...
def bare(q) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001
def in_query(q: int = Query(3)) -> None: ...
def in_path(q: int = Path()) -> None: ...
def in_header(q: Annotated[str | None, Header()] = None) -> None: ...
def in_cookie(q: Annotated[str, Cookie()]) -> None: ...
def in_body(q: Annotated[dict[str, int], Body()]) -> None: ...


@pytest.mark.parametrize("dependency", [no_default, bare, in_query, in_path, in_header, in_cookie, in_body])
def test_what_is_read_from_a_request_is_refused(dependency: Callable[..., Any]) -> None:
    def send(it: None = Depends(dependency)) -> None:
        pass

    assert refusal(send).endswith(
        f"send(it) → {dependency.__name__}(q) cannot be resolved in a task: q is read from the request, and when a "
        "task runs there is none. Let the endpoint read what the task needs and hand it on as an argument, "
        "or give q a plain default value."
    )


async def test_a_plain_default_is_a_value(run: Run) -> None:
    async def send(it: str = Depends(functools.partial(with_argument, one="one"))) -> str:
        return it

    assert await run(send) == "one two"


def test_a_partial_has_the_name_of_its_function() -> None:
    def send(n: int, it: None = Depends(functools.partial(no_default))) -> None:
        pass

    assert "send(it) → no_default(q) cannot" in refusal(functools.partial(send, 3))


def test_security_is_refused() -> None:
    def send(user: str = Security(plain, scopes=["me"])) -> None:
        pass

    assert refusal(send).endswith(
        "send(user) cannot be resolved in a task: Security asks who sent the request, and when a task runs there is "
        "none. Let the endpoint read what the task needs and hand it on as an argument."
    )

    def also(user: str = Depends(OAuth2PasswordBearer(tokenUrl="token"))) -> None:
        pass

    assert "OAuth2PasswordBearer(request) cannot be resolved in a task: request is a" in refusal(also)


def circle(it: "Annotated[str, Depends(circle)]") -> str:
    return it


@contextmanager
def managed() -> Iterator[str]:
    yield "managed"


@dataclass
class Unhashable:
    n: int = 3

    def __call__(self) -> int:
        return self.n


@pytest.mark.parametrize(
    ("default", "reason"),
    [
        (circle, "circle(it) → circle cannot be resolved in a task: that leads back to itself"),
        (managed, "managed is decorated with contextmanager, and Depends makes one of it by itself"),
        (Unhashable(), "Unhashable(n=3) is nothing that can be called and that has a hash"),
        (3, "3 is nothing that can be called and that has a hash"),
        (None, "typing.Any is nothing that can be called and that has a hash"),
    ],
)
def test_what_cannot_be_a_dependency_is_refused(default: Any, reason: str) -> None:
    def send(it: Any = Depends(default)) -> None:
        pass

    assert reason in refusal(send)


def test_what_is_no_dependency_in_a_task_is_refused() -> None:
    def twice(it: Annotated[str, Depends(plain)] = Depends(awaited)) -> None:
        pass

    def by_position(it: str = Depends(plain), /) -> None:
        pass

    assert "it has Depends twice, in Annotated and as its default. Remove one of them." in refusal(twice)
    assert "given by keyword, and this takes none. Move it behind the `/`." in refusal(by_position)


@pytest.mark.skipif(not hasattr(params.Depends(), "max_concurrency"), reason="not in this FastAPI")
def test_a_limit_that_could_not_be_kept_is_refused() -> None:
    limited: Any = functools.partial(Depends, plain, max_concurrency=3)()

    def send(it: str = limited) -> None:
        pass

    assert "max_concurrency counts requests only" in refusal(send)


# When it is refused


def needs_request(request: Request) -> str:
    return str(request.url)


async def test_what_is_refused_may_be_given(run: Run) -> None:
    def send(n: int, user: str = Depends(needs_request)) -> object:
        return n, user

    assert await run(send, 3, "somebody") == (3, "somebody")
    with pytest.raises(TaskDeclarationError, match=r"needs_request\(request\)"):
        plan(send).bind((3,), {})
    with pytest.raises(TaskDeclarationError, match=r"needs_request\(request\)"):
        await run(send, 3)


def hidden(it: "Annotated[str, Depends(nowhere)]") -> None: ...  # noqa: F821
def hidden_class(it: "Nowhere" = Depends()) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def reads_hidden(it: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def needs_hidden(it: None = Depends(reads_hidden)) -> None: ...


@pytest.mark.parametrize("function", [hidden, hidden_class, needs_hidden])
def test_a_name_that_is_not_known_yet_is_refused_only_after_the_import(function: Callable[..., Any]) -> None:
    plan(function).check(importing=True)
    said = refusal(function)
    assert "its annotation " in said
    assert "is not defined). Import what it names at run time too, not only for type checkers." in said


def test_what_no_import_can_mend_is_refused_at_once() -> None:
    def send(a: str = Depends(needs_request)) -> None:
        pass

    with pytest.raises(TaskDeclarationError):
        plan(send).check(importing=True)


# Together


async def test_a_database_in_a_task(run: Run, tmp_path: Any) -> None:
    def get_connection() -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(tmp_path / "app.db", check_same_thread=False)
        try:
            yield connection
            connection.commit()
        finally:
            connection.close()

    async def send(name: str, db: sqlite3.Connection = Depends(get_connection)) -> None:
        db.execute("create table if not exists letters (name text)")
        db.execute("insert into letters values (?)", (name,))
        if name == "bad":
            raise Noted

    await run(send, "good")
    with pytest.raises(Noted):
        await run(send, "bad")
    with sqlite3.connect(tmp_path / "app.db") as look:
        assert look.execute("select name from letters").fetchall() == [("good",)]
    look.close()
