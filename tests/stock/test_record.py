"""The record: what it adds up to, what is left of it after a SIGKILL, and that it stays small."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from postlude import Postlude
from postlude.clock import SystemClock
from postlude.stock import files, recorder
from postlude.stock.audit import audit
from postlude.stock.files import Recorded, folder_of, read
from postlude.stock.record import Event, Fate, Refused, Tally
from postlude.stock.recorder import Recorder
from postlude.stores import filesystem
from tests.scenarios.waiting import wait_until

SITE = ("site", 1, "/srv/main.py", 12, "main:send", "/srv/mail.py", "send", 3, False)


def state(tally: Tally) -> object:
    sites = {number: (seen.site, dict(seen.fates), seen.refused) for number, seen in tally.sites.items()}
    return sites, tally.open, tally.missed


def added_up(events: list[Event]) -> Tally:
    tally = Tally()
    for event in events:
        tally.add(event)
    return tally


numbers = st.integers(1, 5)
fates = st.sampled_from(list(Fate))
anything = st.one_of(
    st.tuples(st.just("site"), numbers).map(lambda event: (*event, *SITE[2:])),
    st.tuples(st.just("added"), numbers, numbers),
    st.tuples(st.just("begun"), numbers),
    st.tuples(st.just("ended"), numbers, fates),
    st.tuples(st.just("count"), numbers, fates, numbers),
    st.tuples(st.just("refused"), numbers, st.just("it is a lambda"), st.just("Use a function.")),
    st.tuples(st.just("missed"), numbers),
)


@given(st.lists(anything))
def test_what_events_add_up_to_can_be_said_by_fewer(events: list[Event]) -> None:
    tally = added_up(events)
    assert state(added_up(tally.events())) == state(tally)


def test_with_the_process_goes_what_has_not_ended() -> None:
    tally = added_up(
        [SITE, *[("added", task, 1) for task in (1, 2, 3)], ("begun", 1), ("begun", 2), ("ended", 2, "failed")]
    )
    tally.end()
    assert tally.sites[1].fates == {Fate.INTERRUPTED: 1, Fate.UNBEGUN: 1, Fate.FAILED: 1}


def test_the_record_is_beside_where_jobs_would_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert folder_of("sqlite:////srv/shop/jobs.db") == Path("/srv/shop/jobs.db-observed")
    assert folder_of("sqlite:///shop.db") == tmp_path / "shop.db-observed"
    assert folder_of("postgresql://shop@db/shop") == tmp_path / ".postlude/jobs.db-observed"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("overlay", ["on the container's own file system (overlay): it is gone when the container is replaced."]),
        ("tmpfs", ["in memory (tmpfs): it is gone when the machine restarts."]),
        ("ext4", []),
    ],
)
def test_a_file_system_that_forgets_is_warned_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str, said: list[str]
) -> None:
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(f"22 1 254:0 / {tmp_path} rw - {kind} none rw\n")
    monkeypatch.setattr(filesystem, "MOUNTINFO", str(mountinfo))
    Postlude(FastAPI(), f"sqlite:///{tmp_path}/jobs.db", mode="observe")
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    place = f"The record of what was observed, {tmp_path}/jobs.db-observed, is"
    assert warnings == [f"{place} {each} Mount a volume and set POSTLUDE_URL to a file on it." for each in said]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Recorder]:
    one = Recorder(tmp_path / "observed", SystemClock())
    yield one
    one.close()


def only(folder: Path) -> Recorded:
    (found,) = read(folder)
    return found


def test_what_was_noted_is_in_the_file_without_any_end(own: Recorder, tmp_path: Path) -> None:
    own.note(SITE)
    own.note(("count", 1, Fate.SUCCEEDED, 3))
    wait_until(lambda: any(b"count" in path.read_bytes() for path in tmp_path.glob("observed/*.jsonl")), "it is there")


def test_a_file_that_grows_is_written_anew_with_the_sum(
    own: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "GROWS_BY", 1000)
    own.note(SITE)
    own.note(("refused", 1, "it is a lambda", "Use a function."))
    own.note(("added", 0, 1))
    for task in range(1, 1001):
        own.note(("added", task, 1))
        own.note(("begun", task))
        own.note(("ended", task, Fate.SUCCEEDED))
        own.run_once()
    own.close()
    (path,) = (tmp_path / "observed").glob("*.jsonl")
    assert path.stat().st_size < 2500
    tally = only(tmp_path / "observed").tally
    assert state(tally) == (
        {1: (tally.sites[1].site, {Fate.SUCCEEDED: 1000}, Refused("it is a lambda", "Use a function."))},
        {0: (1, False)},
        0,
    )


def test_what_a_disk_does_not_take_is_written_when_it_does(
    own: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    own.note(SITE)
    own.run_once()

    def full(descriptor: int, text: bytes) -> int:
        return real(descriptor, text[:7])

    real = os.write
    with monkeypatch.context() as broken:
        broken.setattr("postlude.stock.files.os.write", full)
        for _ in range(3):
            own.note(("count", 1, Fate.SUCCEEDED, 1))
            own.run_once()
    own.note(("count", 1, Fate.SUCCEEDED, 1))
    own.close()
    assert only(tmp_path / "observed").tally.count(Fate.SUCCEEDED) == 4
    assert [message.partition(":")[0] for message in caplog.messages] == [
        f"observing goes on, and cannot be recorded in {tmp_path / 'observed'} for now"
    ]


def test_what_no_disk_takes_for_long_is_counted_and_no_more(
    own: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "MOST_WAITING", 2)
    with own._guard:  # as when the disk stands still
        own._begun, own._idle = True, False
        own.note(SITE)
        for _ in range(5):
            own.note(("count", 1, Fate.SUCCEEDED, 1))
    own.close()
    tally = only(tmp_path / "observed").tally
    assert (tally.count(Fate.SUCCEEDED), tally.missed) == (1, 4)


def test_events_come_from_many_threads(own: Recorder, tmp_path: Path) -> None:
    own.note(SITE)

    def note() -> None:
        for _ in range(2000):
            task = own.number()
            own.note(("added", task, 1))
            own.note(("ended", task, Fate.SUCCEEDED))

    threads = [threading.Thread(target=note) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    own.close()
    own.close()
    tally = only(tmp_path / "observed").tally
    assert (tally.count(Fate.SUCCEEDED), tally.open, tally.missed) == (16_000, {}, 0)


OTHER = """
import sys, threading
from pathlib import Path
from postlude.clock import SystemClock
from postlude.stock.recorder import Recorder

one = Recorder(Path(sys.argv[1]), SystemClock())
one.note({site!r})
one.note(("added", 1, 1))
one.run_once()
print("written", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Another process, that has recorded a task which has not ended."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", OTHER.format(site=SITE), str(tmp_path)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_process_that_lives_has_lost_nothing_yet(other: Callable[[], subprocess.Popen[str]], tmp_path: Path) -> None:
    process, second = other(), other()
    found = audit(tmp_path)
    assert found is not None
    assert (found.living, found.ended, found.open, found.lost) == (2, 0, 2, 0)
    process.kill()
    process.wait()
    found = audit(tmp_path)
    assert found is not None
    assert (found.living, found.ended, found.open, found.lost) == (1, 1, 1, 1)
    assert [(each.pid, each.lost) for each in found.restarts] == [(process.pid, 1)]
    assert second.poll() is None


def test_the_files_of_the_latest_are_kept_and_of_those_that_live(
    other: Callable[[], subprocess.Popen[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    living = other()
    (first,) = tmp_path.glob("*.jsonl")
    lines = first.read_bytes()
    for day in range(1, 8):
        (tmp_path / f"2999010{day}T000000.000000-1.jsonl").write_bytes(lines)
    monkeypatch.setattr(files, "MOST_FILES", 3)
    newest = Recorder(tmp_path, SystemClock())
    newest.note(SITE)
    newest.close()
    kept = {path.name.partition("T")[0] for path in tmp_path.glob("2999*.jsonl")}
    assert kept == {"29990105", "29990106", "29990107"}
    assert first.exists()
    assert living.poll() is None


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        (lambda text: text[:-3], 0),  # the process died over the line
        (lambda text: text.replace(b"added", b"ad\x00ed"), 0),
        (lambda text: text + b"\n{}x\n", 1),
    ],
)
def test_a_line_that_is_not_whole_is_left_out(
    damage: Callable[[bytes], bytes], left: int, own: Recorder, tmp_path: Path
) -> None:
    own.note(SITE)
    own.run_once()
    own.note(("added", 1, 1))
    own.close()
    (path,) = (tmp_path / "observed").glob("*.jsonl")
    path.write_bytes(damage(path.read_bytes()))
    assert len(only(tmp_path / "observed").tally.open) == left


def test_what_is_no_record_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_text('{"something": "else"}\n')
    (tmp_path / "2.jsonl").write_text("")
    assert list(read(tmp_path)) == list(read(tmp_path / "nowhere")) == []
    assert audit(tmp_path) is None


def test_a_forked_process_has_a_record_of_its_own(tmp_path: Path) -> None:
    """As the workers of a server that loads the application before it forks them."""
    program = f"""
import os
from fastapi import BackgroundTasks, FastAPI
from fastapi.testclient import TestClient
from postlude import Postlude

app = FastAPI()
durable = Postlude(app, "sqlite:///{tmp_path}/jobs.db", mode="observe")

def work() -> None: ...

@app.get("/")
async def endpoint(tasks: BackgroundTasks) -> None:
    tasks.add_task(work)

TestClient(app).get("/")
if os.fork():
    os.wait()
else:
    TestClient(app).get("/")
    TestClient(app).get("/")
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, cwd=tmp_path)
    found: list[Any] = [each.tally.count(Fate.SUCCEEDED) for each in read(tmp_path / "jobs.db-observed")]
    assert found == [1, 2]
