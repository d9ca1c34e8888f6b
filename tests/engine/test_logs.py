"""What tasks log, on its way to their jobs: everything that a logger lets through, and no job gets another's."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from postlude import logs
from postlude.context import CurrentJob, current_job
from postlude.errors import CallError, ClaimLost, LoopBlocking
from postlude.events import AttemptFailed, AttemptInterrupted, OutcomeRefused, StoreRecovered
from postlude.ids import new_job_id
from postlude.job import Failure, JobState, Progress
from postlude.loglines import MAX_BYTES, MAX_LINES, LogLine, NewLines, newest
from postlude.logs import MAX_MESSAGE, is_heard, listen
from postlude.running.oversight import REPORT_EVERY
from postlude.tasks import task
from postlude.telemetry import JobFields, log, make_heard
from tests.engine.conftest import Engine
from tests.engine.fakes import turns, until
from tests.stores.making import queued

logger = logging.getLogger("shop.mail")
seen: list[Any] = []
release = threading.Event()
gates: dict[str, asyncio.Event] = {}


@pytest.fixture(autouse=True)
def listening() -> Iterator[None]:
    seen.clear()
    gates.clear()
    release.clear()
    logger.setLevel(logging.INFO)
    end = listen()
    yield
    end()
    release.set()
    logger.setLevel(logging.NOTSET)


async def messages(engine: Engine, job_id: Any) -> list[str]:
    return [line.message for line in await engine.store.logs(job_id)]


def line(message: str) -> LogLine:
    return LogLine(1.0, "INFO", "app", message, 1)


async def on_the_loop(name: str) -> None:
    logger.info("%s begins", name)
    await asyncio.sleep(0)
    logger.warning("%s ends", name)


def in_a_thread(name: str) -> None:
    logger.info("%s begins", name)
    logger.warning("%s ends", name)


async def with_helpers() -> None:
    async def helper() -> None:
        logger.info("in a task of its own")

    await asyncio.create_task(helper())
    await asyncio.to_thread(logger.info, "in a thread of its own")


@pytest.mark.parametrize("function", [on_the_loop, in_a_thread])
async def test_each_record_is_a_line_of_its_own_job(engine: Engine, function: Callable[[str], Any]) -> None:
    calls = [await engine.staged(function, name) for name in ("first", "second")]
    await asyncio.gather(*(engine.attempts.run(call) for call in calls))
    for call, name in zip(calls, ("first", "second"), strict=True):
        lines = await engine.store.logs(call.id)
        assert [(line.level, line.logger, line.message, line.attempt) for line in lines] == [
            ("INFO", "shop.mail", f"{name} begins", 1),
            ("WARNING", "shop.mail", f"{name} ends", 1),
        ]
        assert (await engine.record(call)).state is JobState.SUCCEEDED
    assert engine.faulty.calls["report"] == 0, "what is short is written with the outcome"


async def test_what_a_task_starts_belongs_to_it(engine: Engine) -> None:
    call = await engine.staged(with_helpers)
    await engine.attempts.run(call)
    assert await messages(engine, call.id) == ["in a task of its own", "in a thread of its own"]


async def logs_everything() -> None:
    logger.debug("below the level of its logger")
    logging.getLogger("postlude").warning("what Postlude says")
    silent = logging.getLogger("shop.silent")
    silent.propagate = False
    silent.warning("passes nothing on")
    try:
        int("no number")
    except ValueError:
        logger.exception("sending to %s failed", "a@example.com")
    logger.info("a file \udcff and \0")
    logger.log(25, "between", stack_info=True)


async def test_what_the_loggers_let_through_with_its_traceback(engine: Engine) -> None:
    call = await engine.staged(logs_everything)
    await engine.attempts.run(call)
    failed, file, between = await engine.store.logs(call.id)
    assert failed.message.startswith("sending to a@example.com failed\nTraceback (most recent call last):\n")
    assert failed.message.endswith("ValueError: invalid literal for int() with base 10: 'no number'")
    assert file.message == "a file \\udcff and \\x00"
    assert between.level == "Level 25"
    assert "in logs_everything" in between.message


class Chatty:
    def __str__(self) -> str:
        logger.info("while it is made into text: %s", self)
        return "chatty"


class Broken:
    def __str__(self) -> str:
        raise RuntimeError


async def logs_oddly() -> None:
    logger.info("%s", Chatty())
    logger.info("%s", Broken())
    logger.handle(logging.makeLogRecord({"name": 5, "msg": "made by hand", "levelno": logging.INFO}))
    logger.info("%d of %d", 1)  # noqa: PLE1206 - a mistake that the caller must not pay for
    logger.info("x" * 100_000)  # noqa: G003, RUF100


async def test_a_record_that_cannot_be_made_into_text_harms_nobody(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    monkeypatch.setattr(logging.getLogger(), "handlers", [logs._handler])  # pytest's own would fail the test
    call = await engine.staged(logs_oddly)
    await engine.attempts.run(call)
    assert (await engine.record(call)).state is JobState.SUCCEEDED
    chatty, broken, wrong, long = await messages(engine, call.id)
    assert chatty == "chatty"
    assert broken == "<a message that raised RuntimeError when it was made into text: str>"
    assert wrong == "<a message that raised TypeError when it was made into text: str>"
    assert long.startswith("x" * 4000 + "\n[92,000 characters left out]\nxxx")


def test_what_is_left_out_of_a_message_begins_and_ends_with_whole_words() -> None:
    half = "x " * (MAX_MESSAGE // 4 - 4)
    text = f"{half}hunter2-and-more {half * 2}token hunter2-and-more {half}"
    kept = logs._text_of(logging.makeLogRecord({"msg": text}))
    assert kept == f"{half[:-1]}\n[{len(text) - 2 * len(half) + 1:,} characters left out]\n{half}"


@task(retries=2, backoff=0)
async def fails_twice() -> None:
    logger.info("attempt %d", current_job().attempt)
    if current_job().attempt < 3:
        raise ConnectionError


async def test_attempts_append(engine: Engine) -> None:
    call = await engine.staged(fails_twice)
    await engine.attempts.run(call)
    for _ in range(2):
        await engine.worker.run_once()
        await until(lambda: engine.attempts.idle)
        await engine.settling.flush()
    lines = await engine.store.logs(call.id)
    assert [(line.message, line.attempt) for line in lines] == [("attempt 1", 1), ("attempt 2", 2), ("attempt 3", 3)]


async def logs_and_waits(count: int) -> None:
    for number in range(count):
        logger.info("%d", number)
    gates["logged"].set()
    await gates["go on"].wait()


async def test_lines_are_written_twice_a_second_and_nothing_is_lost_to_a_store_that_fails(engine: Engine) -> None:
    gates.update({"logged": asyncio.Event(), "go on": asyncio.Event()})
    call = await engine.staged(logs_and_waits, 3)
    ending = asyncio.ensure_future(engine.attempts.run(call))
    await gates["logged"].wait()
    await turns()
    engine.faulty.fail("report", ConnectionError())
    with pytest.raises(ConnectionError):
        await engine.attempts.run_once()
    engine.clock.advance(REPORT_EVERY)
    await engine.attempts.run_once()
    assert await messages(engine, call.id) == ["0", "1", "2"]
    await engine.attempts.run_once()
    assert engine.faulty.calls["report"] == 2, "there was nothing new"
    gates["go on"].set()
    await ending
    assert await messages(engine, call.id) == ["0", "1", "2"], "none is written twice"


def logs_much() -> None:
    for number in range(100_000):
        logger.info("%d", number)
    release.wait(30)


async def test_of_very_many_records_the_last_are_one_write(engine: Engine) -> None:
    call = await engine.staged(logs_much)
    ending = asyncio.ensure_future(engine.attempts.run(call))
    await until(lambda: engine.attempts._oversight._reporting)
    release.set()
    await ending
    assert await messages(engine, call.id) == [str(number) for number in range(100_000 - MAX_LINES, 100_000)]
    assert engine.faulty.calls["report"] == 0


async def test_a_job_without_a_row_and_an_attempt_that_has_ended_keep_nothing(engine: Engine) -> None:
    async def ends_early() -> None:
        seen.append(current_job().keeps_lines)
        logger.info("kept nowhere")

    await engine.attempts.run(engine.call(ends_early))
    assert seen == [False]
    job = CurrentJob(new_job_id(), "x", 1, None, lambda: None)
    assert job.keeps_lines
    job.close()
    assert not job.keeps_lines


# The newest lines


def test_lines_and_bytes_are_limited_and_the_newest_win() -> None:
    new = NewLines()
    for number in range(MAX_LINES + 5):
        new.add(line(str(number)))
    taken = new.take()
    assert [each.message for each in taken] == [str(number) for number in range(5, MAX_LINES + 5)]
    assert new.take() == []
    new.add(line("next"))
    new.put_back(taken)
    assert [each.message for each in new.take()] == [*[each.message for each in taken[1:]], "next"]


def test_the_longest_message_there_can_be_is_kept() -> None:
    longest = LogLine(1.0, "INFO", "\U0001f600" * logs.MAX_NAME, "\\udcff" * (MAX_MESSAGE + 40), 1)
    assert longest.size <= MAX_BYTES
    assert newest([line("before"), longest, longest]) == [longest]


# The handler


def test_one_handler_for_all_as_long_as_one_wants_it() -> None:
    root = logging.getLogger()
    first, second = listen(), listen()
    assert root.handlers.count(logs._handler) == 1
    first()
    first()
    assert logs._handler in root.handlers
    second()
    assert logs._handler in root.handlers, "that of the test itself"


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_where_nobody_has_configured_logging_warnings_are_seen_as_before(
    level: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [logs._handler])
    logger.log(level, "seen?")
    assert capsys.readouterr().err == ("seen?\n" if level == logging.WARNING else "")
    assert not is_heard("shop.mail")
    monkeypatch.setattr(logger, "handlers", [logging.NullHandler()])
    assert is_heard("shop.mail")
    logger.log(level, "seen?")
    assert capsys.readouterr().err == ""


def test_postlude_is_heard_although_its_own_handler_is_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = logging.getLogger("postlude")
    monkeypatch.setattr(logging.getLogger(), "handlers", [logs._handler])
    monkeypatch.setattr(own, "handlers", [])
    level = own.level
    make_heard()
    own.setLevel(level)
    log(StoreRecovered("settling"))
    assert capsys.readouterr().err == "WARNING:     postlude: the store works again (settling)\n"
    assert [type(each) for handler in own.handlers for each in handler.filters] == [JobFields]


# Fields


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.addFilter(JobFields())
        self.setFormatter(
            logging.Formatter("%(job_id)s|%(task)s|%(attempt)s|%(request_id)s|%(route)s|%(traceparent)s|%(message)s")
        )

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def handler() -> Iterator[Lines]:
    handler = Lines()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


async def test_the_fields_of_the_job_are_in_any_record_and_empty_outside(engine: Engine, handler: Lines) -> None:
    logger.info("outside")
    call = await engine.staged(on_the_loop, "x")
    assert call.claim is not None
    call.claim = call.claim._replace(origin='{"route":"GET /","request_id":"r-1","traceparent":"00-1"}')
    await engine.attempts.run(call)
    logger.info("given", extra={"task": "of its own"})
    name = call.definition.name
    assert handler.lines == [
        "||||||outside",
        f"{call.id}|{name}|1|r-1|GET /|00-1|x begins",
        f"{call.id}|{name}|1|r-1|GET /|00-1|x ends",
        "|of its own|||||given",
    ]


def test_what_postlude_says_of_a_job_has_the_same_fields(handler: Lines) -> None:
    job_id, failure = new_job_id(), Failure("ValueError", "no", "ValueError: no\n")
    log(AttemptFailed(job_id, "main:f", 2, failure, origin='{"request_id":"r-1"}'))
    log(AttemptInterrupted(job_id, "main:f", 1, again=True, reason="gone", attempt=3))
    log(OutcomeRefused(job_id, 2))
    log(OutcomeRefused(job_id))
    log(StoreRecovered("settling"))
    assert [each.rpartition("|")[0] for each in handler.lines] == [
        f"{job_id}|main:f|2|r-1||",
        f"{job_id}|main:f|3|||",
        f"{job_id}||2|||",
        f"{job_id}|||||",
        "|||||",
    ]


async def test_a_failure_is_told_with_the_request_that_it_came_from(engine: Engine) -> None:
    call = await engine.staged(fails_with, "x")
    assert call.claim is not None
    call.claim = call.claim._replace(origin='{"request_id":"r-1"}')
    await engine.attempts.run(call)
    (event,) = engine.heard.of(AttemptFailed)
    assert event.origin == '{"request_id":"r-1"}'


SECRET = "hunter2"


class Card(BaseModel):
    number: int


def fails_with(password: str) -> None:
    raise ValueError


def charge(card: Card) -> None: ...


async def test_arguments_are_not_logged(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    engine.events.subscribe(log)
    caplog.set_level(logging.DEBUG)
    call = await engine.staged(fails_with, SECRET)
    await engine.attempts.run(call)
    changed = await engine.queue(charge, Card(number=5))
    job = queued(changed.definition.name, arguments=f'{{"args":[{{"number":"{SECRET}"}}],"kwargs":{{}}}}')
    await engine.store.insert([job])
    await engine.worker.run_once()
    await engine.settling.flush()
    unstorable = engine.call(lambda password: 1 / 0, SECRET)
    await engine.attempts.run(unstorable)
    assert "fails_with failed" in caplog.text
    assert "card" in caplog.text
    assert "integer" in caplog.text
    assert SECRET not in caplog.text


# The saved state


@task(retries=1, backoff=0)
async def goes_on() -> None:
    job = current_job()
    seen.append(job.saved)
    await job.save({"page": 3})
    seen.append(job.saved)
    if job.attempt == 1:
        raise ConnectionError


@task(retries=1, backoff=0)
def goes_on_in_a_thread() -> None:
    job = current_job()
    seen.append(job.saved)
    job.blocking.save({"page": 3})
    seen.append(job.saved)
    if job.attempt == 1:
        raise ConnectionError


@pytest.mark.parametrize("function", [goes_on, goes_on_in_a_thread])
async def test_the_next_attempt_has_what_was_saved(engine: Engine, function: Callable[[], Any]) -> None:
    call = await engine.staged(function)
    await engine.attempts.run(call)
    assert (await engine.record(call)).saved == '{"page":3}'
    await engine.worker.run_once()
    await until(lambda: engine.attempts.idle)
    await engine.settling.flush()
    assert seen == [None, {"page": 3}, {"page": 3}, {"page": 3}]
    assert (await engine.record(call)).state is JobState.SUCCEEDED


async def saves_and_waits() -> None:
    await current_job().save(1)
    gates["saved"].set()
    await gates["go on"].wait()
    seen.append(current_job())
    await current_job().save(2)


async def test_it_is_on_disk_when_save_returns_and_a_late_one_changes_nothing(engine: Engine) -> None:
    gates.update({"saved": asyncio.Event(), "go on": asyncio.Event()})
    call = await engine.staged(saves_and_waits)
    ending = asyncio.ensure_future(engine.attempts.run(call))
    await gates["saved"].wait()
    assert (await engine.record(call)).saved == "1"
    assert call.claim is not None
    call.claim = call.claim._replace(id=12345)  # as if it had been given to another
    gates["go on"].set()
    outcome = await ending
    assert outcome is None, "its outcome was refused too"
    assert (await engine.record(call)).saved == "1"
    with pytest.raises(ClaimLost, match=rf"The state of job {call.id} was not saved.*Let the task end here"):
        await seen[0].save(3)


async def test_a_call_that_is_not_stored_saves_for_nobody(engine: Engine) -> None:
    async def saves() -> None:
        await current_job().save("x")
        seen.append(current_job().saved)

    await engine.attempts.run(engine.call(saves))
    assert seen == ["x"]


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (object(), r"save\(state\): expected a value that JSON can write, got a object: .*not JSON serializable"),
        (float("nan"), "expected a value that JSON can write, got a float"),
        ("x" * 16_384, "expected at most 16,384 bytes as JSON, got 16,386. Write the data to a file or a table"),
    ],
)
async def test_a_state_that_is_none(state: object, says: str) -> None:
    with pytest.raises(CallError, match=says):
        await CurrentJob(new_job_id(), "x", 1, None, None).save(state)


async def test_blocking_is_for_threads() -> None:
    with pytest.raises(LoopBlocking, match=r"Write `await current_job\(\)\.save\(\.\.\.\)` in `async def`"):
        CurrentJob(new_job_id(), "x", 1, None, None).blocking.save(1)


async def test_a_state_of_the_largest_size_and_of_any_text(engine: Engine) -> None:
    call = await engine.staged(saves_largest)
    await engine.attempts.run(call)
    assert seen == ["\udcff\0ü" + "x" * 16_364]


async def saves_largest() -> None:
    await current_job().save("\udcff\0ü" + "x" * 16_364)
    seen.append(current_job().saved)


async def test_progress_and_lines_go_together(engine: Engine) -> None:
    gates.update({"logged": asyncio.Event(), "go on": asyncio.Event()})
    call = await engine.staged(logs_and_waits, 1)
    ending = asyncio.ensure_future(engine.attempts.run(call))
    await gates["logged"].wait()
    job = engine.attempts._running[call.id].job
    assert job is not None
    job.progress(1, 2)
    await turns()
    await engine.attempts.run_once()
    assert engine.faulty.calls["report"] == 1
    assert (await engine.record(call)).progress == Progress(1, 2)
    assert await messages(engine, call.id) == ["0"]
    gates["go on"].set()
    await ending
