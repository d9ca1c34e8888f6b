"""The commands that look at what runs, with a real worker."""

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import pytest

from postlude.cli import looking, waiting
from postlude.cli.describing import progress_text
from postlude.job import NewJob
from postlude.pauses import Pause
from postlude.stores.contract import Store
from tests.cli.conftest import APP, Desk, new_desk
from tests.scenarios.waiting import wait_until
from tests.stores.making import staged

COMMAND = str(Path(sys.executable).with_name("postlude"))
BENCH = f"{Path(__file__).with_name('bench.py')}:app"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A store with a worker."""
    desk = new_desk(f"sqlite:///{tmp_path_factory.mktemp('bench')}/jobs.db")
    worker = subprocess.Popen([COMMAND, "worker", BENCH], env=environ(desk), stderr=subprocess.DEVNULL)
    yield desk
    worker.send_signal(signal.SIGINT)
    worker.wait(20)


def environ(desk: Desk) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("POSTLUDE_")}
    return env | {"POSTLUDE_URL": desk.url, "POSTLUDE_SHUTDOWN_GRACE": "0"}


@contextmanager
def following(desk: Desk, *words: str, url: bool = True, errors: IO[str] | None = None) -> Iterator[Iterator[str]]:
    """The lines of a command that goes on until Ctrl-C."""
    with subprocess.Popen(
        [COMMAND, *words, *(["--url", desk.url] if url else [])],
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env=environ(desk),
        # A shell has its background jobs ignore Ctrl-C, and so does all that the tests start when they run in one.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - no lock in it
    ) as process:
        try:
            assert process.stdout is not None
            yield iter(process.stdout)
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130


def add(desk: Desk, task: str, *words: str) -> str:
    return desk.says("enqueue", "--app", BENCH, task, *words).strip()


def runs(desk: Desk, job_id: str) -> None:
    wait_until(lambda: desk.record(job_id).state == "running", f"{job_id} runs", seconds=30)


@pytest.mark.parametrize(
    ("task", "line"),
    [
        ("bench.in_thread", "threading.Event().wait(0.01)  # in the function, token=[masked]"),
        ("bench.on_loop", "await closed.wait()  # in the coroutine"),
        ("bench.in_child", "threading.Event().wait(0.01)  # in the function, token=[masked]"),
        ("bench.on_loop_of_child", "await closed.wait()  # in the coroutine"),
    ],
)
def test_the_stack_is_where_the_code_is(bench: Desk, tmp_path: Path, task: str, line: str) -> None:
    job_id = add(bench, task, "--gate", str(tmp_path / "gate"))
    runs(bench, job_id)

    def is_there() -> bool:
        # A child may be about to begin, and a coroutine that is seen from another thread between two steps.
        return line in bench.answers("jobs", "stack", job_id)["message"]

    wait_until(is_there, f"{job_id} is at {line}", seconds=30)
    (tmp_path / "gate").touch()
    bench.says("jobs", "wait", job_id, "--timeout", "30s")
    assert "nothing of it runs now" in bench.refuses("jobs", "stack", job_id, code=1)


def test_a_stack_is_asked_for_in_vain_where_nobody_answers(bench: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "ANSWERED_WITHIN", 0.1)

    async def add_one(store: Store) -> NewJob:
        job = staged(await store.enlist())
        await store.insert([job])
        return job

    job = bench.on_store(add_one)
    assert "Its worker has not answered within 0.1 s" in bench.refuses("jobs", "stack", str(job.id), code=4)


def test_waiting_ends_with_the_result_or_with_the_failure(bench: Desk, tmp_path: Path) -> None:
    (tmp_path / "gate").touch()
    told = bench.answers("enqueue", "--app", BENCH, "bench.counted", "--gate", str(tmp_path / "gate"), "--wait")
    assert (told["state"], told["result"]) == ("succeeded", {"gate": "open", "token": "[masked]"})
    shown = bench.says("enqueue", "--app", BENCH, "--wait", "bench.broken", code=1)
    assert shown.startswith("failed in ")
    assert r"ValueError: no such \x1b[31mcolour" in shown


def test_waiting_has_an_end_in_time(bench: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(waiting._Bar, "show", lambda _, row: shown.append(progress_text(row.progress)))
    job_id = add(bench, "bench.counted", "--gate", str(tmp_path / "gate"))
    wait_until(lambda: bench.record(job_id).progress is not None, "it has come somewhere", seconds=30)
    assert "after 0.2 s" in bench.refuses("jobs", "wait", job_id, "--timeout", "0.2", code=4)
    assert {*shown} == {"1/2 half, token=[masked]"}
    (tmp_path / "gate").touch()
    assert bench.says("jobs", "wait", job_id).startswith("succeeded in ")


def test_status_counts_one_job_as_one(bench: Desk, tmp_path: Path) -> None:
    job_id = add(bench, "bench.counted", "--gate", str(tmp_path / "gate"))
    wait_until(lambda: ", running 1 job\n" in bench.run("status").stdout, "the worker says what it runs", seconds=30)
    (tmp_path / "gate").touch()
    bench.says("jobs", "wait", job_id)


def test_ctrl_c_ends_the_waiting_and_not_the_job(bench: Desk, tmp_path: Path) -> None:
    job_id = add(bench, "bench.counted", "--gate", str(tmp_path / "gate"))
    with following(bench, "jobs", "tail", job_id, "--json") as lines:
        assert json.loads(next(lines))["type"] in {"log", "state"}
    (tmp_path / "gate").touch()
    assert bench.answers("jobs", "wait", job_id)["state"] == "succeeded"


def test_a_job_is_followed_to_its_end(bench: Desk, tmp_path: Path) -> None:
    job_id = add(bench, "bench.counted", "--gate", str(tmp_path / "gate"))
    runs(bench, job_id)
    opens = threading.Timer(
        0.7, (tmp_path / "gate").touch
    )  # after the first look of the command, or before: either way
    opens.start()
    lines = [json.loads(line) for line in bench.says("jobs", "tail", job_id, "--json").splitlines()]
    opens.join()
    assert [each["message"] for each in lines if each["type"] == "log"] == ["first line", "last line, token=[masked]"]
    assert lines[-1]["type"] == "end"
    assert lines[-1]["job"]["state"] == "succeeded"


def test_all_jobs_are_followed_as_they_end(bench: Desk) -> None:
    with following(bench, "jobs", "tail", "--task", "bench.broken") as lines:
        job_id = add(bench, "bench.broken")
        line = next(each for each in lines if job_id in each and "failed" in each)
    assert r"no such \x1b[31mcolour" in line


def test_nothing_is_said_of_a_reader_that_has_enough(bench: Desk) -> None:
    bench.says("enqueue", "--app", APP, "shop.send", "--to", "ada")
    command = f"{COMMAND} export --url {bench.url} | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environ(bench), check=False)
    assert done.stderr == ""
    assert uuid.UUID(json.loads(done.stdout)["id"])


def test_who_waits_in_vain_is_told_what_holds_the_job_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PATIENCE", 0.0)
    done = desk.run("enqueue", "--app", APP, "paint", "--wait", "--timeout", "1")
    assert done.exit_code == 4
    assert "It waits: 1 job could run, and no worker is alive. [postlude worker" in done.stderr


def test_who_waits_is_told_of_no_pause_that_holds_other_jobs_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PATIENCE", 0.0)
    desk.says("queues", "pause", "another")
    desk.says("pause", "--app", APP, "--task", "shop.report")
    desk.on_store(lambda store: store.pause(Pause("partition", "shop.send", "acme")))
    desk.says("queues", "pause", "mail")
    done = desk.run("enqueue", "--app", APP, "shop.send", "--to", "ada", "--wait", "--timeout", "1")
    assert done.exit_code == 4
    assert "It waits: Queue mail is paused. [postlude queues resume mail]" in done.stderr
    assert "another" not in done.stderr
    assert "shop.report" not in done.stderr
    assert "acme" not in done.stderr
