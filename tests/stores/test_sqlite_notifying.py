"""The pipes by which processes tell each other what they did to a file."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from postlude.stores.notifying import Change
from postlude.stores.sqlite.notifying import Notifications
from tests.scenarios.waiting import wait_until

CHILD = """
import sys
from pathlib import Path
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


def test_closed_before_anything_and_twice(folder: Path) -> None:
    here = Notifications(folder)
    here.close()
    here.close()
    here.listen(lambda _: None)
    here.notify("queued")
    assert not folder.exists()
