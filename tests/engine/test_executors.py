"""Where attempts run: the event loop, threads, and something around them."""

import asyncio
import contextlib
import contextvars
import gc
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from postlude.executors.around import AroundExecutor, AroundRunning
from postlude.executors.contract import MESSAGE_LIMIT, TRACEBACK_LIMIT, CannotStart, Executor, Running, Work, failure_of
from postlude.executors.loop import CoroutineRunning, LoopExecutor
from postlude.executors.threads import Returns, ThreadExecutor
from postlude.job import Cancelled, Failed, Interrupted, Outcome, Succeeded
from tests.engine.fakes import FakeClock, turns, until

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def work(function: Callable[..., Any], *args: Any) -> Work:
    return Work("main:f", function, args, {}, contextvars.copy_context())


async def run(executor: Executor, function: Callable[..., Any], *args: Any) -> Outcome:
    ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    executor.begin(work(function, *args), ended.set_result)
    return await ended


def begin(executor: Executor, function: Callable[..., Any], *args: Any) -> tuple[Running, asyncio.Future[Outcome]]:
    ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    return executor.begin(work(function, *args), ended.set_result), ended


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def blocked() -> list[tuple[str, float]]:
    return []


@pytest.fixture
def loop(clock: FakeClock, blocked: list[tuple[str, float]]) -> LoopExecutor:
    return LoopExecutor(clock, lambda task, seconds: blocked.append((task, round(seconds, 3))))


@pytest.fixture
def threads() -> Iterator[ThreadExecutor]:
    executor = ThreadExecutor(2)
    yield executor
    executor.close()


def nothing() -> None:
    pass


async def nothing_async() -> None:
    pass


def fail() -> None:
    deeper()


async def fail_async() -> None:
    deeper()


def deeper() -> None:
    message = "no such customer"
    raise LookupError(message)


def leave() -> None:
    sys.exit(3)


async def leave_async() -> None:
    sys.exit(3)


@pytest.fixture(params=["loop", "thread"])
def place(
    request: pytest.FixtureRequest, loop: LoopExecutor, threads: ThreadExecutor
) -> tuple[Executor, dict[str, Callable[..., Any]]]:
    if request.param == "loop":
        return loop, {"nothing": nothing_async, "fail": fail_async, "leave": leave_async}
    return threads, {"nothing": nothing, "fail": fail, "leave": leave}


Place = tuple[Executor, dict[str, Callable[..., Any]]]


class TestEveryExecutor:
    async def test_what_returns_has_succeeded(self, place: Place) -> None:
        executor, functions = place
        assert await run(executor, functions["nothing"]) == Succeeded()

    async def test_what_raises_has_failed_and_its_traceback_begins_with_the_task(self, place: Place) -> None:
        executor, functions = place
        outcome = await run(executor, functions["fail"])
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, LookupError)
        assert (outcome.failure.type, outcome.failure.message) == ("LookupError", "no such customer")
        lines = outcome.failure.traceback.splitlines()
        assert lines[0] == "Traceback (most recent call last):"
        assert f'"{__file__}"' in lines[1]
        assert functions["fail"].__name__ in lines[1]
        assert lines[-1] == "LookupError: no such customer"
        assert "executors" not in "".join(line for line in lines if line.startswith("  File") and "tests" not in line)

    async def test_system_exit_ends_the_attempt_and_nothing_else(self, place: Place) -> None:
        executor, functions = place
        outcome = await run(executor, functions["leave"])
        assert isinstance(outcome, Failed)
        assert (outcome.failure.type, outcome.failure.message) == ("SystemExit", "3")
        assert await run(executor, functions["nothing"]) == Succeeded()

    async def test_ended_is_never_called_before_begin_returns(self, place: Place) -> None:
        executor, functions = place
        called: list[Outcome] = []
        executor.begin(work(functions["nothing"]), called.append)
        assert called == []
        await until(lambda: called)

    async def test_the_context_is_the_one_given(self, place: Place, loop: LoopExecutor) -> None:
        executor, _ = place
        seen: list[str] = []

        async def look_async() -> None:
            seen.append(variable.get())

        def look() -> None:
            seen.append(variable.get())

        context = contextvars.copy_context()
        context.run(variable.set, "of the request")
        ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        function = look_async if executor is loop else look
        executor.begin(Work("t", function, (), {}, context), ended.set_result)
        assert await ended == Succeeded()
        assert seen == ["of the request"]

    async def test_arguments_that_do_not_bind_are_a_failure_like_any_other(self, place: Place) -> None:
        executor, functions = place
        outcome = await run(executor, functions["nothing"], "one too many")
        assert isinstance(outcome, Failed)
        assert outcome.failure.type == "TypeError"

    async def test_inside_something_that_sees_it_succeed(self, place: Place) -> None:
        executor, functions = place
        seen: list[str] = []

        async def around(attempt: Callable[[], Awaitable[None]]) -> None:
            seen.append("opened")
            await attempt()
            seen.append("closed")

        assert await run(AroundExecutor(executor, around), functions["nothing"]) == Succeeded()
        assert seen == ["opened", "closed"]

    async def test_inside_something_that_sees_it_fail(self, place: Place) -> None:
        executor, functions = place
        seen: list[BaseException] = []

        async def around(attempt: Callable[[], Awaitable[None]]) -> None:
            try:
                await attempt()
            except LookupError as error:
                seen.append(error)
                raise

        outcome = await run(AroundExecutor(executor, around), functions["fail"])
        assert isinstance(outcome, Failed)
        assert seen == [outcome.error]
        assert f'"{__file__}"' in outcome.failure.traceback.splitlines()[1]

    async def test_what_is_around_cannot_make_a_failure_a_success(self, place: Place) -> None:
        executor, functions = place

        async def around(attempt: Callable[[], Awaitable[None]]) -> None:
            with contextlib.suppress(LookupError):
                await attempt()

        assert isinstance(await run(AroundExecutor(executor, around), functions["fail"]), Failed)

    async def test_what_is_around_fails_the_attempt_when_it_fails_itself(self, place: Place) -> None:
        executor, functions = place

        async def around(attempt: Callable[[], Awaitable[None]]) -> None:
            message = "no exporter"
            raise OSError(message)

        outcome = await run(AroundExecutor(executor, around), functions["nothing"])
        assert isinstance(outcome, Failed)
        assert outcome.failure.message == "no exporter"

    async def test_the_work_sees_the_context_variables_of_what_is_around(self, place: Place, loop: Executor) -> None:
        executor, _ = place
        seen: list[str] = []

        async def look_async() -> None:
            seen.append(variable.get())

        def look() -> None:
            seen.append(variable.get())

        async def around(attempt: Callable[[], Awaitable[None]]) -> None:
            variable.set("of the span")
            await attempt()

        await run(AroundExecutor(executor, around), look_async if executor is loop else look)
        assert seen == ["of the span"]
        assert variable.get() == "unset"

    async def test_what_is_around_cannot_make_a_success_a_failure(self, place: Place) -> None:
        executor, functions = place
        said: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))

        async def around(attempt: Callable[[], Awaitable[None]]) -> None:
            await attempt()
            message = "no exporter"
            raise OSError(message)

        assert await run(AroundExecutor(executor, around), functions["nothing"]) == Succeeded()
        assert [(one["message"], str(one["exception"])) for one in said] == [
            ("what runs around main:f failed after it", "no exporter")
        ]
        asyncio.get_running_loop().set_exception_handler(None)

    async def test_what_is_around_and_never_calls_the_attempt_has_not_succeeded(self, place: Place) -> None:
        executor, functions = place

        async def around(attempt: Callable[[], Awaitable[None]]) -> None:
            pass

        outcome = await run(AroundExecutor(executor, around), functions["nothing"])
        assert isinstance(outcome, Failed)
        assert outcome.failure.message == "what runs around main:f never called the attempt that it was given"


# The event loop


async def test_a_coroutine_that_is_cancelled(loop: LoopExecutor) -> None:
    cleaned: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append("up")

    running, ended = begin(loop, forever)
    assert running.stoppable
    await turns()
    running.cancel()
    assert await ended == Cancelled("cancelled while it ran")
    assert cleaned == ["up"]


async def test_a_coroutine_that_is_cancelled_before_its_first_step_is_never_called(loop: LoopExecutor) -> None:
    called: list[str] = []

    async def called_it() -> None:
        called.append("it")

    running, ended = begin(loop, called_it)
    running.cancel()
    assert await asyncio.wait_for(ended, 5) == Cancelled("cancelled while it ran")
    assert called == []


async def test_a_coroutine_may_end_in_its_own_way_when_it_is_cancelled(loop: LoopExecutor) -> None:
    async def finishes() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    running, ended = begin(loop, finishes)
    await turns()
    running.cancel()
    assert await ended == Succeeded()


async def test_a_cancellation_from_inside_is_the_tasks_own_failure(loop: LoopExecutor) -> None:
    async def cancels_itself() -> None:
        raise asyncio.CancelledError

    outcome = await run(loop, cancels_itself)
    assert isinstance(outcome, Failed)
    assert outcome.failure.type == "asyncio.exceptions.CancelledError"


@pytest.mark.parametrize("spanned", [False, True])
async def test_a_loop_that_ends_interrupts_what_it_runs(loop: LoopExecutor, spanned: bool) -> None:
    async def around(attempt: Callable[[], Awaitable[None]]) -> None:
        await attempt()

    before = asyncio.all_tasks()
    ended: list[Outcome] = []
    executor: Executor = AroundExecutor(loop, around) if spanned else loop
    executor.begin(work(asyncio.Event().wait), ended.append)
    await turns()
    for task in asyncio.all_tasks() - before:
        task.cancel()  # as asyncio.run does at its end
    await turns()
    assert ended == [Interrupted("its process is ending")]


@pytest.mark.parametrize("spanned", [False, True])
async def test_what_is_closed_because_its_loop_is_gone_tells_nobody(loop: LoopExecutor, spanned: bool) -> None:
    async def around(attempt: Callable[[], Awaitable[None]]) -> None:
        await attempt()

    ended: list[Outcome] = []
    if spanned:
        running = AroundRunning()
        coroutine = AroundExecutor(loop, around)._run(work(asyncio.Event().wait), running, ended.append)
    else:
        coroutine = loop._run(work(asyncio.Event().wait), CoroutineRunning(), ended.append)
    coroutine.send(None)
    coroutine.close()
    assert ended == []
    for task in loop._running:
        task.cancel()
    await turns()


async def test_cancelling_what_is_around_cancels_the_work(loop: LoopExecutor) -> None:
    async def around(attempt: Callable[[], Awaitable[None]]) -> None:
        await attempt()

    async def forever() -> None:
        await asyncio.Event().wait()

    running, ended = begin(AroundExecutor(loop, around), forever)
    await turns()
    running.cancel()
    assert await ended == Cancelled("cancelled while it ran")
    running, ended = begin(AroundExecutor(loop, around), forever)
    running.cancel()
    assert await asyncio.wait_for(ended, 5) == Cancelled("cancelled while it ran")


async def test_a_step_that_keeps_the_loop_to_itself_is_named_with_its_time(
    loop: LoopExecutor, clock: FakeClock, blocked: list[tuple[str, float]]
) -> None:
    async def blocks() -> None:
        clock.advance(0.05)
        await asyncio.sleep(0)
        clock.advance(0.3)
        await asyncio.sleep(0)
        clock.advance(0.09)

    assert await run(loop, blocks) == Succeeded()
    assert blocked == [("main:f", 0.3)]


async def test_time_that_passes_while_it_awaits_is_nobodys_fault(
    loop: LoopExecutor, clock: FakeClock, blocked: list[tuple[str, float]]
) -> None:
    gate = asyncio.Event()
    _, ended = begin(loop, gate.wait)
    await turns()
    clock.advance(60)
    gate.set()
    assert await ended == Succeeded()
    assert blocked == []


async def test_a_blocking_step_that_raises_is_named_too(
    loop: LoopExecutor, clock: FakeClock, blocked: list[tuple[str, float]]
) -> None:
    async def blocks_and_fails() -> None:
        clock.advance(2)
        deeper()

    assert isinstance(await run(loop, blocks_and_fails), Failed)
    assert blocked == [("main:f", 2.0)]


async def test_a_coroutine_runs_in_a_task_of_its_own_as_any_other(loop: LoopExecutor) -> None:
    async def uses_everything() -> None:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            first, second = group.create_task(returns(1)), group.create_task(returns(2))
        assert (first.result(), second.result()) == (1, 2)
        assert [number async for number in numbers()] == [0, 1]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        assert asyncio.current_task() is not None

    async def returns(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def numbers() -> AsyncIterator[int]:
        for number in range(2):
            await asyncio.sleep(0)
            yield number

    assert await run(loop, uses_everything) == Succeeded()


async def test_a_coroutine_that_nobody_else_refers_to_is_not_collected(loop: LoopExecutor) -> None:
    async def waits(future: "asyncio.Future[None]") -> None:
        await future

    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    _, ended = begin(loop, waits, future)
    await turns()
    gc.collect()
    future.set_result(None)
    assert await ended == Succeeded()


# Threads


async def test_a_function_runs_in_a_daemon_thread_of_ours(threads: ThreadExecutor) -> None:
    seen: list[threading.Thread] = []
    await run(threads, lambda: seen.append(threading.current_thread()))
    assert seen[0].daemon
    assert seen[0].name.startswith("postlude-task-")


async def test_a_thread_that_has_nothing_to_do_is_used_again(threads: ThreadExecutor) -> None:
    seen: list[int] = []
    for _ in range(50):
        await run(threads, lambda: seen.append(threading.get_ident()))
    assert len(set(seen)) <= 2


async def test_as_many_run_at_once_as_there_are_slots(threads: ThreadExecutor) -> None:
    meeting = threading.Barrier(2, timeout=30)
    for _ in range(300):
        # Neither of the two ends unless both run: if one waits behind the other although a slot is free, both fail.
        ends = [begin(threads, meeting.wait)[1] for _ in range(2)]
        assert await asyncio.gather(*ends) == [Succeeded(), Succeeded()]


async def test_a_thread_that_looks_for_work_in_this_very_moment_is_not_counted_as_idle_for_ever() -> None:
    """However the threads' looking and the loop's handing out interleave, each piece of work gets a thread."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(60):
            executor = ThreadExecutor(3)
            for _ in range(6):
                await asyncio.gather(*(run(executor, nothing) for _ in range(2)))
            meeting = threading.Barrier(3, timeout=2)
            ends = [begin(executor, meeting.wait)[1] for _ in range(3)]
            assert await asyncio.gather(*ends) == [Succeeded()] * 3
            executor.close()
    finally:
        sys.setswitchinterval(interval)


async def test_an_outcome_comes_back_on_the_loop_that_began_the_work(threads: ThreadExecutor) -> None:
    async def on_this_loop() -> tuple[int, int]:
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        threads.begin(work(nothing), lambda _: ended.set_result(threading.get_ident()))
        return await ended, threading.get_ident()

    here = await on_this_loop()
    assert here[0] == here[1]
    elsewhere = await asyncio.to_thread(lambda: asyncio.run(on_this_loop()))
    assert elsewhere[0] == elsewhere[1] != here[0]
    again = await on_this_loop()
    assert again == here


async def test_a_thread_cannot_be_stopped_and_says_so(threads: ThreadExecutor) -> None:
    gate = threading.Event()
    running, ended = begin(threads, gate.wait, 30)
    assert not running.stoppable
    running.cancel()
    await turns()
    assert not ended.done()
    gate.set()
    assert await ended == Succeeded()


async def test_close_lets_a_thread_end_when_its_work_has(threads: ThreadExecutor) -> None:
    seen: list[threading.Thread] = []
    gate = threading.Event()

    def stay() -> None:
        seen.append(threading.current_thread())
        gate.wait(30)

    _, ended = begin(threads, stay)
    threads.close()
    threads.close()
    gate.set()
    assert await ended == Succeeded()
    await asyncio.to_thread(seen[0].join, 30)
    assert not seen[0].is_alive()


async def test_after_close_a_new_thread_does_the_work_and_one_that_was_stuck_still_ends(
    threads: ThreadExecutor,
) -> None:
    seen: list[threading.Thread] = []
    gate = threading.Event()

    def stay() -> None:
        seen.append(threading.current_thread())
        gate.wait(30)

    _, stuck = begin(threads, stay)
    threads.close()
    async with asyncio.timeout(10):
        assert await run(threads, nothing) == Succeeded()
        assert await run(threads, nothing) == Succeeded()
    gate.set()
    assert await stuck == Succeeded()
    await asyncio.to_thread(seen[0].join, 10)
    assert not seen[0].is_alive()
    threads.close()


def test_a_loop_that_was_closed_has_nobody_left_to_tell(threads: ThreadExecutor) -> None:
    gate, over = threading.Event(), threading.Event()

    def stay() -> None:
        gate.wait(30)

    async def leave_it_behind() -> None:
        threads.begin(work(stay), lambda _: None)
        threads.begin(work(over.set), lambda _: None)

    asyncio.run(leave_it_behind())
    gate.set()
    assert over.wait(30)
    assert asyncio.run(run(threads, nothing)) == Succeeded()


# What is kept of an exception


class OurError(Exception):
    pass


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError


def test_the_type_of_a_failure_has_its_module_unless_it_is_built_in() -> None:
    assert failure_of(ValueError("x")).type == "ValueError"
    assert failure_of(OurError("x")).type == f"{__name__}.OurError"


def test_an_exception_that_cannot_say_what_it_is_is_a_failure_all_the_same() -> None:
    failure = failure_of(Unspeakable())
    assert failure.message == f"<{__name__}.Unspeakable whose __str__ raised ValueError>"


def test_causes_and_groups_are_in_the_traceback() -> None:
    def cause() -> None:
        try:
            deeper()
        except LookupError as error:
            message = "order lost"
            raise OurError(message) from error

    with pytest.raises(OurError) as raised:
        cause()
    text = failure_of(raised.value).traceback
    assert text.index("LookupError: no such customer") < text.index("direct cause") < text.index("OurError: order lost")
    group = failure_of(ExceptionGroup("several", [ValueError("one"), KeyError("two")])).traceback
    assert "ValueError: one" in group
    assert "KeyError: 'two'" in group


async def test_a_def_that_returns_a_coroutine_has_failed_and_is_told_the_cure(threads: ThreadExecutor) -> None:
    outcome = await run(threads, lambda: nothing_async())  # noqa: PLW0108 - the lambda is the point
    assert isinstance(outcome, Failed)
    assert outcome.failure.type == "TypeError"
    assert outcome.failure.message == (
        "main:f is a `def` that returned a coroutine, which nobody awaits, so its work was not done: "
        "declare it `async def`, and await the coroutine there."
    )


async def test_where_no_more_threads_can_be_started_those_there_are_do_the_work(
    threads: ThreadExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(_: threading.Thread) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    monkeypatch.setattr(threading.Thread, "start", no_more)
    with pytest.raises(CannotStart, match="can't start new thread"):
        threads.begin(work(nothing), lambda _: None)
    assert (threads._threads, threads._under_way) == ([], 0)
    monkeypatch.undo()
    gate = threading.Event()
    _, first = begin(threads, gate.wait, 30)
    monkeypatch.setattr(threading.Thread, "start", no_more)
    _, second = begin(threads, nothing)
    monkeypatch.undo()
    gate.set()
    for ended in (first, second):
        assert await asyncio.wait_for(ended, 5) == Succeeded()
    assert len(threads._threads) == 1


async def test_an_end_that_is_not_taken_keeps_no_other_from_coming_home() -> None:
    loop = asyncio.get_running_loop()
    said: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: said.append(context))
    ended: list[Outcome] = []

    def broken(_: Outcome) -> None:
        message = "a mistake of ours"
        raise ValueError(message)

    returns = Returns(loop, lambda: None)
    returns.put(broken, Succeeded())
    returns.put(ended.append, Succeeded())
    await until(lambda: said)
    assert ended == [Succeeded()]
    assert [str(one["exception"]) for one in said] == ["a mistake of ours"]
    loop.set_exception_handler(None)


def test_what_is_kept_of_a_failure_can_be_stored_and_is_no_longer_than_that() -> None:
    failure = failure_of(ValueError("\udce9" + "x" * 200_000 + "the end"))
    assert failure.message == "\\udce9" + "x" * (MESSAGE_LIMIT - 6)
    assert len(failure.traceback) == TRACEBACK_LIMIT
    assert failure.traceback.endswith("the end\n")


def test_what_is_cut_off_leaves_no_part_of_a_word() -> None:
    """A secret is known as a whole, or by the name before it: no part of one is."""
    secret = "hunter2-and-more"
    at_the_end = failure_of(ValueError("x " * (MESSAGE_LIMIT // 2 - 4) + secret))
    assert at_the_end.message == "x " * (MESSAGE_LIMIT // 2 - 5) + "x"
    behind = "y " * ((TRACEBACK_LIMIT - 8) // 2)
    at_the_beginning = failure_of(ValueError(f"x x\npassword: {secret} z\n{behind}"))
    assert at_the_beginning.traceback == behind + "\n"
    in_one_line = failure_of(ValueError(f"x {secret} {behind}"))
    assert in_one_line.traceback == behind + "\n"
