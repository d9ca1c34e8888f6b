"""`postlude move` as people use it: what it says, and with which code it ends."""

import re
import signal
import subprocess
import sys
import uuid
from functools import partial
from pathlib import Path

import pytest

from postlude.job import Event
from postlude.stores import open_store
from postlude.stores.contract import Filter
from postlude.stores.moving import Departure, StoreMoved
from postlude.stores.sqlite import SQLiteStore
from tests.stores.making import claim_of, ended, keyed, queued, staged
from tests.stores.places import open_place, server

COMMAND = Path(sys.executable).with_name("postlude")


@pytest.fixture
def urls(tmp_path: Path) -> tuple[str, str]:
    """Of a source and a destination."""
    return f"sqlite:///{tmp_path}/here.db", f"sqlite:///{tmp_path}/there.db"


def move(*arguments: str) -> tuple[int, str]:
    """The exit code, and what it printed, in one line."""
    done = subprocess.run([COMMAND, "move", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.returncode, " ".join(done.stdout.split())


def drain(*urls: str) -> subprocess.Popen[str]:
    """The command while it waits."""
    return subprocess.Popen(
        [COMMAND, "move", *urls, "--drain"],
        stdout=subprocess.PIPE,
        text=True,
        # A shell has its background jobs ignore Ctrl-C, and so does all that the tests start when they run in one.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - no lock in it
    )


async def add(url: str, *jobs: object) -> None:
    store = open_store(url)
    await store.open()
    await store.insert(jobs)  # type: ignore[arg-type]
    await store.close()


async def noted(url: str) -> list[tuple[str, str, str, str | None]]:
    """The lines of the audit log, newest first."""
    store = open_store(url)
    await store.open()
    lines = await store.gate.audit(limit=9)
    await store.close()
    return [(line.role, line.action, line.target, line.details) for line in lines]


async def test_both_sides_are_counted_and_said_again(urls: tuple[str, str]) -> None:
    await add(urls[0], queued(), queued(), keyed("k"))
    for _ in range(2):
        code, said = move(*urls)
        assert code == 0
        assert "│ queued │ 3 │ 3 │" in said
        assert "│ keys │ 1 │ 1 │" in said
        assert "Both sides count the same. Set POSTLUDE_URL to the destination." in said
    source = urls[0].removeprefix("sqlite:///")
    assert await noted(urls[1]) == [("cli", "move", "3 jobs", f'{{"source": "{source}"}}')] * 2
    with pytest.raises(StoreMoved):
        await open_store(urls[0]).open()


async def test_from_a_file_to_postgresql(urls: tuple[str, str]) -> None:
    job = queued()
    await add(urls[0], job)
    with server() as dsn:
        code, said = move(urls[0], dsn, "--namespace", "shop")
        assert code == 0, said
        assert "│ queued │ 1 │ 1 │" in said
        store = open_place(f"{dsn}#shop")
        await store.open()
        assert [record.id for record in await store.get([job.id])] == [job.id]
        await store.close()


async def test_a_source_that_is_in_use_is_refused_or_drained(urls: tuple[str, str]) -> None:
    store = open_store(urls[0])
    await store.open()
    owner = await store.enlist()
    await store.insert([running := staged(owner), queued()])
    code, said = move(*urls)
    assert code == 1
    assert re.fullmatch(
        r"The source is in use by process \d+ on \S+\. Stop what uses it, .* wait for what runs there with --drain\.",
        said,
    )
    assert await store.insert([queued()]) == {}, "it was left as it is"
    with drain(*urls) as draining:
        assert draining.stdout is not None
        assert draining.stdout.readline().startswith("Waiting for the end of 1 attempts in process ")
        with pytest.raises(StoreMoved):
            await store.insert([staged(owner)])
        assert not await store.settle([ended(claim_of(running), Event.SUCCEED)])
        said = " ".join(draining.communicate(timeout=60)[0].split())
    assert draining.returncode == 0, said
    assert "│ queued │ 2 │ 2 │" in said
    with pytest.raises(StoreMoved):
        await store.insert([queued()])
    await store.close()


async def test_ended_by_hand_while_it_waits_the_source_is_open_again(urls: tuple[str, str]) -> None:
    store = open_store(urls[0])
    await store.open()
    owner = await store.enlist()
    await store.insert([staged(owner)])
    with drain(*urls) as draining:
        assert draining.stdout is not None
        draining.stdout.readline()
        draining.send_signal(2)
        said = draining.communicate(timeout=60)[0]
    assert draining.returncode == 130
    assert said == (
        "Cut off. If no job had arrived, the source is open again; should it not be, open it with --undo. "
        "Run the same command again to go on.\n"
    )
    await store.insert([staged(owner)])
    await store.close()


async def test_what_was_begun_can_be_undone_until_a_job_has_arrived(urls: tuple[str, str]) -> None:
    await add(urls[0], queued())
    assert move(*urls, "--undo") == (0, "No move has begun there: nothing to undo.")
    assert move(*urls)[0] == 0
    assert move(*urls, "--undo") == (1, "Jobs have arrived at the destination already: run the move again, to its end.")


async def test_what_is_only_held_can_be_undone_without_its_destination(urls: tuple[str, str]) -> None:
    await add(urls[0], queued())
    source = SQLiteStore(urls[0].removeprefix("sqlite:///"), leaving=True)
    await source.open()
    await source.source.begin(Departure(uuid.uuid4(), "a database that was dropped"), now=1.0)
    code, said = move(*urls)
    assert code == 1
    assert said.endswith("name the one that it was begun with, or open the source again with --undo.")
    assert move(urls[0], "postgresql://127.0.0.1:1/gone", "--undo") == (0, "The source is open again.")
    await source.close()
    assert await noted(urls[0]) == [("cli", "move", "undone", None)]
    await add(urls[0], queued())


async def test_another_destination_is_refused(urls: tuple[str, str], tmp_path: Path) -> None:
    await add(urls[0], queued())
    assert move(*urls)[0] == 0
    code, said = move(urls[0], f"sqlite:///{tmp_path}/elsewhere.db")
    assert code == 1
    assert f"are on their way to {tmp_path}/there.db, and the store that was named knows nothing of that move" in said


async def test_a_key_that_is_held_there_is_named_and_nothing_is_touched(urls: tuple[str, str]) -> None:
    ours, theirs = keyed("k"), keyed("k")
    await add(urls[0], ours)
    await add(urls[1], theirs)
    code, said = move(*urls)
    assert code == 1
    assert said.startswith(
        f"Job {ours.id} has the key 'k' of app:work, which job {theirs.id} holds at the destination."
    )
    store = open_store(urls[0])
    await store.open()
    assert sum((await store.count(Filter())).values()) == 1
    await store.close()


async def test_what_people_wrote_is_said_as_they_wrote_it(tmp_path: Path) -> None:
    urls = f"sqlite:///{tmp_path}/here.db", f"sqlite:///{tmp_path}/[x].db"
    ours, theirs = keyed("[mail] 7 [/mail]"), keyed("[mail] 7 [/mail]")
    await add(urls[0], ours)
    await add(urls[1], theirs)
    code, said = move(*urls)
    assert code == 1
    assert said.startswith(f"Job {ours.id} has the key '[mail] 7 [/mail]' of app:work")
    store = open_store(urls[1])
    await store.open()
    await store.cancel(theirs.id, reason="no", now=1.0)
    await store.close()
    code, said = move(*urls)
    assert code == 0
    assert "[x].db" in said.replace(" ", "")
    assert f"are on their way to {tmp_path}/[x].db" in move(urls[0], f"sqlite:///{tmp_path}/elsewhere.db")[1]


@pytest.mark.parametrize(
    ("source", "destination", "said"),
    [
        (
            "postgresql://here/db",
            "sqlite:///{}/b.db",
            "SOURCE: expected sqlite:///jobs.db, since jobs are moved away from",
        ),
        ("sqlite:///{}/none.db", "sqlite:///{}/b.db", "SOURCE: there is no file"),
        ("sqlite:///{}/a.db", "sqlite:///{}/./a.db", "DESTINATION: it is the same file as SOURCE"),
        (
            "sqlite:///{}/a.db",
            "mysql://u:secret@there/db",
            "DESTINATION: expected sqlite:///relative/jobs.db",
        ),
    ],
)
async def test_a_url_that_names_no_end(tmp_path: Path, source: str, destination: str, said: str) -> None:
    await add(f"sqlite:///{tmp_path}/a.db")
    code, line = move(source.format(tmp_path), destination.format(tmp_path))
    assert code == 2
    assert line.startswith(said)
    assert "secret" not in line
