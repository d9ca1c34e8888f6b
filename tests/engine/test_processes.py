"""`executor="process"`: real children, on a real store."""

import asyncio
import logging
import os
import signal
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from postlude.calls import Call
from postlude.events import AttemptFailed, AttemptInterrupted
from postlude.executors import Processes, logs, processes
from postlude.executors.wire import Wire
from postlude.job import JobState, Progress
from postlude.settings import Concurrency
from tests.engine import elsewhere_tasks as tasks
from tests.engine.conftest import Engine
from tests.engine.fakes import until

REPORT_LIMIT = 40


@pytest.fixture
def concurrency() -> Concurrency:
    return Concurrency(loop=2, threads=2, processes=2)


async def ran(engine: Engine, call: Call) -> Call:
    await engine.attempts.run(call)
    return call


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        if Path("/proc/self/stat").exists():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            # A zombie whose threads have not all ended cannot be waited for yet.
            return not (fields[0] == "Z" and int(fields[17]) <= 1)
    except (ProcessLookupError, FileNotFoundError):
        return False
    return True


async def test_runs_in_a_child_that_stays_warm(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "out"
    numbers = set()
    for word in ("one", "two", "three"):
        call = await ran(engine, await engine.staged(tasks.writes, str(path), word))
        assert (await engine.record(call)).state == JobState.SUCCEEDED
        text, child, parent = path.read_text().split()
        assert (text, int(parent)) == (word, os.getpid())
        numbers.add(child)
    assert len(numbers) == 1


@pytest.mark.parametrize("concurrency", [Concurrency(processes=1)])
async def test_what_goes_wrong_in_hearing_a_child_is_not_taken_for_the_next_attempt(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def handle(_: object) -> None:
        message = "a filter of the application's"
        raise KeyError(message)

    with monkeypatch.context() as broken:
        broken.setattr(logs, "handle", handle)
        call = await ran(engine, await engine.staged(tasks.logs, "x"))
    assert (await engine.record(call)).state == JobState.FAILED
    call = await ran(engine, await engine.staged(tasks.raises, "x"))
    assert (await engine.record(call)).state == JobState.FAILED, "the end of the one before is not the end of this one"


async def test_children_of_their_own_have_their_own_priority_and_change_that_of_no_others(
    engine: Engine, tmp_path: Path
) -> None:
    engine.executors.register("gentle", Processes(nice=7), slots=1)
    here = os.getpriority(os.PRIO_PROCESS, 0)
    gently = await ran(engine, await engine.staged(tasks.niceness_of_its_own, ""))
    beside = await ran(engine, await engine.staged(tasks.niceness))
    assert (await engine.record(gently)).result == str(min(here + 7, 19))
    assert (await engine.record(beside)).result == str(here)
    begun = tmp_path / "begun"
    call = await engine.staged(tasks.niceness_of_its_own, str(begun))
    end = asyncio.ensure_future(engine.attempts.run(call))
    await until(begun.exists)
    await engine.attempts.stop(0)
    await end
    assert (await engine.record(call)).state == JobState.QUEUED, "it is killed as any other child"
    await until(lambda: not alive(int(begun.read_text())))


async def test_a_coroutine_runs_there_too(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "out"
    call = await ran(engine, await engine.staged(tasks.writes_async, str(path)))
    assert (await engine.record(call)).state == JobState.SUCCEEDED
    assert int(path.read_text()) != os.getpid()


async def test_claimed_from_the_queue(engine: Engine, tmp_path: Path) -> None:
    call = await engine.queue(tasks.writes, str(tmp_path / "out"), "x")
    await engine.worker.run_once()
    await until(lambda: engine.settled)
    assert (await engine.record(call)).state == JobState.SUCCEEDED


@pytest.mark.parametrize(("kind", "again"), [("flaky", True), ("other", False)])
async def test_retry_on_is_judged_where_the_exception_is(engine: Engine, kind: str, again: bool) -> None:
    call = await ran(engine, await engine.staged(tasks.raises, kind))
    record = await engine.record(call)
    assert record.failure is not None
    assert record.failure.type == ("tests.engine.elsewhere_tasks.Flaky" if again else "ValueError")
    assert "in raises" in record.failure.traceback
    assert "postlude" not in record.failure.traceback.split("in raises")[0]
    assert record.state == (JobState.QUEUED if again else JobState.FAILED)
    assert engine.heard.of(AttemptFailed)[0].again_in == (60 if again else None)


@pytest.mark.parametrize(("code", "wait"), [(7, 7.0), (8, None)])
async def test_a_backoff_function_sees_the_exception(engine: Engine, code: int, wait: float | None) -> None:
    await ran(engine, await engine.staged(tasks.raises_code, code))
    assert engine.heard.of(AttemptFailed)[0].again_in == wait


async def test_control_exceptions(engine: Engine) -> None:
    snoozed = await engine.record(await ran(engine, await engine.staged(tasks.asks, "snooze")))
    assert (snoozed.state, snoozed.run_at, snoozed.attempt) == (JobState.QUEUED, engine.clock.now() + 30, 0)
    again = await engine.record(await ran(engine, await engine.staged(tasks.asks, "retry")))
    assert (again.state, again.run_at, again.attempt) == (JobState.QUEUED, engine.clock.now() + 20, 1)
    cancelled = await engine.record(await ran(engine, await engine.staged(tasks.asks, "cancel")))
    assert (cancelled.state, cancelled.reason) == (JobState.CANCELLED, "no need")


async def test_sys_exit_fails_the_attempt(engine: Engine) -> None:
    record = await engine.record(await ran(engine, await engine.staged(tasks.exits, 2)))
    assert record.failure is not None
    assert (record.state, record.failure.type) == (JobState.FAILED, "SystemExit")


@pytest.mark.parametrize(
    ("how", "said"), [("exit", "with exit code 3"), ("segfault", "by signal SIGSEGV"), ("kill", "by signal SIGKILL")]
)
async def test_the_death_of_a_child_interrupts_its_job_alone(
    engine: Engine, tmp_path: Path, how: str, said: str
) -> None:
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    beside = await engine.staged(tasks.waits_for_gate, str(gate), str(begun))
    finished = asyncio.ensure_future(engine.attempts.run(beside))
    await until(begun.exists)
    call = await ran(engine, await engine.staged(tasks.dies, how))
    record = await engine.record(call)
    assert (record.state, record.attempt, record.interruptions) == (JobState.QUEUED, 1, 1)
    assert said in (record.reason or "")
    (line,) = await engine.store.attempts(call.id)
    assert (line.outcome, line.started_at) == ("interrupted", engine.clock.now())
    assert [(event.job_id, event.again) for event in engine.heard.of(AttemptInterrupted)] == [(call.id, True)]
    after = await ran(engine, await engine.staged(tasks.writes, str(tmp_path / "out"), "next"))
    assert (await engine.record(after)).state == JobState.SUCCEEDED
    gate.touch()
    await finished
    assert (await engine.record(beside)).state == JobState.SUCCEEDED


def _settled(engine: Engine, number: int) -> bool:
    return len(engine.settled) == number


async def test_too_many_deaths_set_the_job_aside(engine: Engine) -> None:
    call = await ran(engine, await engine.staged(tasks.dies, "exit"))
    for number in (2, 3):
        await engine.worker.run_once()
        await until(partial(_settled, engine, number))
    record = await engine.record(call)
    assert (record.state, record.interruptions) == (JobState.FAILED, 3)


async def test_a_death_holds_what_must_not_run_twice(engine: Engine) -> None:
    record = await engine.record(await ran(engine, await engine.staged(tasks.dies_held)))
    assert (record.state, record.interruptions) == (JobState.FAILED, 1)
    assert "held" in (record.reason or "")


async def test_death_is_noticed_though_a_fork_keeps_the_wire(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LOOK_EVERY", 0.01)
    path = tmp_path / "fork"
    call = await ran(engine, await engine.staged(tasks.forks, str(path)))
    assert "exit code 4" in ((await engine.record(call)).reason or "")
    os.kill(int(path.read_text()), signal.SIGKILL)


async def test_a_timeout_kills_the_child_and_what_it_started(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    call = await engine.staged(tasks.stuck, str(path))
    finished = asyncio.ensure_future(engine.attempts.run(call))
    await until(path.exists)
    engine.clock.advance(5)
    await engine.attempts.run_once()
    await finished
    record = await engine.record(call)
    assert record.failure is not None
    assert (record.state, record.failure.type, record.interruptions) == (JobState.FAILED, "TimeoutError", 0)
    child, started = map(int, path.read_text().split())
    await until(lambda: not alive(child) and not alive(started))


async def test_a_cancellation_kills_the_child(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    call = await engine.staged(tasks.stuck, str(path))
    finished = asyncio.ensure_future(engine.attempts.run(call))
    await until(path.exists)
    engine.clock.advance(1)
    await engine.attempts.run_once()  # which records it as started
    await engine.store.cancel(call.id, reason="enough", now=engine.clock.now())
    engine.attempts.look_for_cancellations()
    await engine.attempts.run_once()
    await finished
    record = await engine.record(call)
    assert (record.state, record.reason) == (JobState.CANCELLED, "enough")
    await until(lambda: not alive(int(path.read_text().split()[0])))


async def test_a_stop_kills_after_the_grace_and_gives_back(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    call = await engine.staged(tasks.stuck, str(path))
    engine.attempts.begin(call)
    await until(path.exists)
    assert await engine.attempts.stop(0) == []
    await engine.settling.flush()
    record = await engine.record(call)
    assert (record.state, record.attempt, record.interruptions) == (JobState.QUEUED, 0, 0)


async def test_a_child_is_replaced_when_it_is_worn_out(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "RECYCLE_AFTER", 2)
    note, path = tmp_path / "note", tmp_path / "out"
    await ran(engine, await engine.staged(tasks.leaves_a_note, str(note)))
    children = []
    for _ in range(4):
        await ran(engine, await engine.staged(tasks.writes, str(path), "x"))
        children.append(path.read_text().split()[1])
    assert [children[0] == children[1], children[1] == children[2], children[2] == children[3]] == [False, True, False]
    assert note.read_text() == "ended"  # it was not killed


async def test_a_child_that_died_while_idle_is_replaced(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "out"
    await ran(engine, await engine.staged(tasks.writes, str(path), "x"))
    pid = int(path.read_text().split()[1])
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not alive(pid))
    call = await ran(engine, await engine.staged(tasks.writes, str(path), "x"))
    assert (await engine.record(call)).state == JobState.SUCCEEDED


async def test_progress_comes_in_few_messages(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[object] = []
    receive = Wire.receive

    def counted(self: Wire, timeout: float | None = None) -> object:
        received.append(message := receive(self, timeout))
        return message

    monkeypatch.setattr(Wire, "receive", counted)
    call = await ran(engine, await engine.staged(tasks.works_hard, 200_000))
    assert (await engine.record(call)).progress == Progress(200_000, 200_000, "done")
    assert 1 < len(received) < REPORT_LIMIT


async def test_what_a_task_sees_of_its_job(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "out"
    call = await ran(engine, await engine.staged(tasks.tells, str(path)))
    number, attempt, asked, origin = path.read_text().split()
    assert (UUID(number), attempt, asked, origin) == (call.id, "1", "False", "{}")


async def test_log_records_are_handled_here(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tests.elsewhere")
    await ran(engine, await engine.staged(tasks.logs, "word"))
    records = [record for record in caplog.records if record.name == "tests.elsewhere"]
    assert [record.getMessage() for record in records] == ["loud word"]
    assert records[0].process != os.getpid()
    assert "Flaky: code 1" in (records[0].exc_text or "")
    assert vars(records[0])["shade"] == "blue"


@pytest.mark.parametrize("function", [tasks.depends, tasks.depends_async])
async def test_dependencies_are_resolved_there(engine: Engine, tmp_path: Path, function: object) -> None:
    path = tmp_path / "out"
    call = await ran(engine, await engine.staged(function, str(path)))  # type: ignore[arg-type]
    record = await engine.record(call)
    assert record.state == JobState.SUCCEEDED, record.failure
    assert path.read_text() == "a session"
    assert record.progress == Progress(2, None, "closed")


async def test_overrides_go_along_by_name(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "out"
    engine.overrides[tasks.session] = tasks.other_session
    await ran(engine, await engine.staged(tasks.depends, str(path)))
    assert path.read_text() == "another"
    engine.overrides[tasks.session] = lambda: "only here"
    record = await engine.record(await ran(engine, await engine.staged(tasks.depends, str(path))))
    assert record.failure is not None
    assert "dependency_overrides[session]" in record.failure.message


async def test_what_cannot_be_stored_runs_here(engine: Engine) -> None:
    call = engine.call(tasks.works_hard, object())
    assert call.ephemeral
    engine.attempts.begin(call)
    await until(lambda: engine.attempts.empty)  # it has failed in a thread: range(object())
    assert engine.heard.of(AttemptFailed) == []


async def test_children_end_when_the_places_are_closed(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "out"
    await ran(engine, await engine.staged(tasks.writes, str(path), "x"))
    pid = int(path.read_text().split()[1])
    engine.places.close()
    await until(lambda: not alive(pid))


async def test_a_child_ends_without_threads_of_ours(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they can reach would never be freed: DuckDB's module prints a page of what it takes for leaks."""
    monkeypatch.setattr(processes, "END_WITHIN", 60)  # it is not killed from here
    path = tmp_path / "out"
    await ran(engine, await engine.staged(tasks.tells_which_threads_are_left, str(path)))
    closing = asyncio.ensure_future(asyncio.to_thread(engine.places.close))
    await until(lambda: path.exists() and path.read_text() != "")
    assert path.read_text() == "MainThread"
    await closing


async def test_a_thread_of_a_task_does_not_keep_a_child_from_ending(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "END_WITHIN", 60)  # it is not killed from here
    path = tmp_path / "out"
    await ran(engine, await engine.staged(tasks.leaves_a_thread, str(path)))
    closing = asyncio.ensure_future(asyncio.to_thread(engine.places.close))
    async with asyncio.timeout(20):
        await until(lambda: not alive(int(path.read_text())))
    await closing


async def test_what_it_saves_is_given_to_the_next_attempt_and_what_it_returns_is_kept(engine: Engine) -> None:
    call = await ran(engine, await engine.staged(tasks.saves))
    first = await engine.record(call)
    assert (first.state, first.saved) == (JobState.QUEUED, '{"page":1}')
    engine.clock.advance(60)
    await engine.worker.run_once()
    await until(lambda: engine.attempts.empty)
    await engine.settling.flush()
    second = await engine.record(call)
    assert (second.state, second.saved, second.result) == (JobState.SUCCEEDED, '{"page":2}', '{"page":1}')


async def test_what_a_coroutine_there_has_saved_outlives_its_child(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "saved"
    call = await engine.staged(tasks.saves_async, str(path))
    end = asyncio.ensure_future(engine.attempts.run(call))
    await until(path.exists)
    assert (await engine.record(call)).saved == "[1,2]"
    await engine.attempts.stop(0)
    await end
    assert (await engine.record(call)).saved == "[1,2]"
