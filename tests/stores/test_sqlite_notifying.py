"""The pipes by which processes tell each other what they did to a file."""

import errno
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from postlude.stores.notifying import Change
from postlude.stores.sqlite import SQLiteStore
from postlude.stores.sqlite.notifying import Notifications
from tests.scenarios.waiting import wait_until

CHILD = """
import sys
from pathlib import Path
from postlude.stores.sqlite import SQLiteStore
from postlude.stores.sqlite.notifying import Notifications

Notifications(Path(sys.argv[1])).listen(print)
print("listens", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db-listeners"


def test_a_process_hears_another_and_what_it_leaves_when_it_is_killed_is_removed(folder: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(folder)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdin is not None
    with child.stdin, child.stdout:
        assert child.stdout.readline() == "listens\n"
        here = Notifications(folder)
        heard: list[Change] = []
        here.listen(heard.append)
        wait_until(lambda: len(list(folder.glob("*.pipe"))) == 2, "both listen")
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    here.notify("queued")
    wait_until(lambda: len(list(folder.iterdir())) == 1, "what it has left was removed")
    here.close()
    wait_until(lambda: list(folder.iterdir()) == [], "nothing is left")
    assert heard == []


def test_what_comes_together_is_told_once_each(folder: Path) -> None:
    listener, teller = Notifications(folder), Notifications(folder)
    heard: list[Change] = []
    listener.listen(heard.append)
    wait_until(lambda: list(folder.glob("*.pipe")), "it listens")
    for _ in range(1000):
        teller.notify("queued")
        teller.notify("cancelled")
    wait_until(lambda: {"queued", "cancelled"} <= set(heard), "both were heard")
    teller.close()
    listener.close()
    assert len(heard) < 100


def test_what_the_child_of_a_fork_has_inherited_tells_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listener, teller = Notifications(folder), Notifications(folder)
    heard: list[Change] = []
    listener.listen(heard.append)
    wait_until(lambda: list(folder.glob("*.pipe")), "it listens")
    with monkeypatch.context() as patch:
        patch.setattr("os.getpid", lambda: 1)
        teller.notify("queued")
    teller.notify("cancelled")
    wait_until(lambda: "cancelled" in heard, "what the parent tells is heard")
    teller.close()
    listener.close()
    assert heard == ["cancelled"]


def test_a_listener_that_does_not_read_holds_up_nobody(folder: Path) -> None:
    folder.mkdir()
    full = folder / "full.pipe"
    os.mkfifo(full)
    end = os.open(full, os.O_RDWR | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(end, b"q" * 4096)
    listener, teller = Notifications(folder), Notifications(folder)
    heard: list[Change] = []
    listener.listen(heard.append)
    wait_until(lambda: len(list(folder.glob("*.pipe"))) == 2, "it listens")
    teller.notify("queued")
    wait_until(lambda: heard == ["queued"], "the other one hears it")
    os.close(end)
    teller.close()
    listener.close()


@pytest.mark.skipif(os.getuid() == 0, reason="root may do everything")
def test_where_no_pipe_can_be_made_nothing_is_heard(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    here = Notifications(tmp_path / "listeners")
    here.listen(lambda _: None)
    here.notify("queued")
    here.close()


def test_where_no_folder_can_be_made_nothing_is_heard(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    here = Notifications(tmp_path / "a file" / "listeners")
    here.listen(lambda _: None)
    here.notify("queued")
    here.close()


# -- in a folder that others can write to


def tell_until_heard(folder: Path) -> None:
    """Tell once, and see that whoever listens there heard it: what else is there was passed by then."""
    listener, teller = Notifications(folder), Notifications(folder)
    heard = threading.Event()
    listener.listen(lambda _: heard.set())
    wait_until(lambda: list(folder.glob("????????????*.pipe")), "it listens")
    teller.notify("queued")
    assert heard.wait(10)
    teller.close()
    assert teller._teller is not None
    teller._teller.join(10)
    listener.close()


@pytest.mark.parametrize("link", [True, False])
def test_nothing_is_written_to_what_is_no_pipe(folder: Path, tmp_path: Path, link: bool) -> None:
    folder.mkdir()
    file = tmp_path / "diary"
    if not link:
        file = folder / "diary.pipe"
    file.write_text("dear diary")
    if link:
        (folder / "x.pipe").symlink_to(file)
    tell_until_heard(folder)
    assert file.read_text() == "dear diary"


def test_the_folder_becomes_that_of_its_owner_alone(folder: Path) -> None:
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    tell_until_heard(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def make_foreign(folder: Path, kind: str) -> None:
    if kind == "another user's":
        folder.mkdir()
    elif kind == "link":
        real = folder.with_name("real")
        real.mkdir()
        folder.symlink_to(real)
    else:
        folder.touch()


def found_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.mark.parametrize("kind", ["another user's", "link", "file"])
async def test_a_folder_that_is_not_ours_is_left_alone_and_that_is_said(
    folder: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_foreign(folder, kind)
    if kind == "another user's":
        monkeypatch.setattr(os, "geteuid", lambda: 123_456)
    store = SQLiteStore(str(tmp_path / "jobs.db"))
    (warning,) = [each for each in (await store.open()).warnings if "not a folder of the user" in each]
    assert str(folder) in warning
    store.listen(lambda _: None)
    store.notify("queued")
    await store.close()
    here = Notifications(folder)
    here.listen(lambda _: None)
    assert here._listener is not None
    here._listener.join(10)
    assert kind == "file" or found_in(folder) == []


def test_what_was_left_half_made_is_removed_by_the_next_that_listens(folder: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / "8f3a")
    (folder / "note").touch()
    listener = Notifications(folder)
    listener.listen(lambda _: None)
    wait_until(lambda: list(folder.glob("*.pipe")), "it listens")
    assert not (folder / "8f3a").exists()
    assert (folder / "note").exists(), "that is none of ours"
    listener.close()


def test_a_pipe_that_cannot_be_opened_twice_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    really = os.open

    def fails(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if dir_fd is not None and flags & os.O_NONBLOCK:
            raise OSError(errno.EMFILE, "Too many open files")
        opened.append(really(path, flags, mode, dir_fd=dir_fd))
        return opened[-1]

    monkeypatch.setattr(os, "open", fails)
    here = Notifications(folder)
    here.listen(lambda _: None)
    assert here._listener is not None
    here._listener.join(10)
    assert len(opened) == 2
    for end in opened:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(end)
    assert list(folder.iterdir()) == []


def test_closed_before_anything_and_twice(folder: Path) -> None:
    here = Notifications(folder)
    here.close()
    here.close()
    here.listen(lambda _: None)
    here.notify("queued")
    assert not folder.exists()
