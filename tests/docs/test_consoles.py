"""What the `console` blocks of a page have a reader type is typed, in their order, and prints what stands below it.

A block that cannot be typed here says why, in a comment before it: `<!--- not run: the reason -->`.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.docs.pages import PAGES, ROOT, name
from tests.scenarios.waiting import wait_until

BLOCK: Final = re.compile(r"^(<!--- not run: .+ -->\n)?```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAVED: Final = re.compile(r"\bas `(\w+\.py)`[^\n]*\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SECONDS: Final = 40.0
"""How long anything may take on a busy machine."""
WAITS: Final = re.compile(r"^sleep \d+; ")
SLEEPS: Final = re.compile(r"^( +)time\.sleep\((10|SECONDS)\)$", re.MULTILINE)
WHOLE_TASK: Final = "sleep 10; "
"""For as long the tasks of the pages sleep. Here they go on when their reader does that too, and not before."""


class Reader:
    """Somebody with a terminal, who types what a page says and compares.

    Where the page has a port, there is a free one here. `pkill` ends the server that was started here, by its id: the
    machine may have others of that name. Where the page has its reader wait for so many seconds, what comes then is
    waited for; and a task that sleeps does so until its reader waits for all of it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = str(probe.getsockname()[1])
        self.server: subprocess.Popen[bytes] | None = None
        self.said = folder / "server.txt"
        self.gate = folder / "tasks.gate"
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(("POSTLUDE_", "MAKE"))}
        self.env |= {"PORT": self.port, "UVICORN_PORT": self.port}
        self.env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{self.env['PATH']}"

    def held(self, program: str) -> str:
        """The program, whose tasks wait at the gate instead of sleeping."""
        waits = rf"\1while not __import__('os').path.exists({str(self.gate)!r}):\n\1    time.sleep(0.01)"
        held, number = SLEEPS.subn(waits, program)
        assert number == ("time.sleep(" in program)
        return held

    def follow(self, block: str) -> None:
        """Type each command of a block, and compare what it prints with the lines below it."""
        for typed in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = typed.partition("\n")
            if command.startswith(("make run", "uvicorn")):
                self.serve(command, expected)
            elif command.startswith("pkill"):
                self.kill()
            elif WAITS.match(command):
                self.await_output(command, expected)
            else:
                assert masked(self.printed_by(command)) == masked(expected)

    def serve(self, command: str, expected: str) -> None:
        with self.said.open("wb") as said:
            self.server = subprocess.Popen(
                ["bash", "-c", command],
                cwd=self.folder,
                env=self.env,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that it can be ended with all that it starts, and nobody else
            )
        shown = [line for line in self.here(expected).splitlines() if line != "..."]
        started = "Application startup complete."
        wait_until(lambda: started in self.said.read_text(), f"{command} starts", seconds=SECONDS)
        assert [line for line in self.said.read_text().splitlines() if line in shown] == shown

    def await_output(self, command: str, expected: str) -> None:
        if command.startswith(WHOLE_TASK):
            self.gate.touch()
        command = WAITS.sub("", command)
        with contextlib.suppress(AssertionError):  # the comparison below shows what came instead
            wait_until(lambda: masked(self.printed_by(command)) == masked(expected), command, seconds=SECONDS)
        assert masked(self.printed_by(command)) == masked(expected)
        self.gate.unlink(missing_ok=True)

    def printed_by(self, command: str) -> str:
        return subprocess.run(
            ["bash", "-c", self.here(command)],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        ).stdout

    def here(self, text: str) -> str:
        return text.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")

    def kill(self) -> None:
        if self.server is not None:
            os.killpg(self.server.pid, signal.SIGKILL)
            self.server.wait()
            self.server = None


def masked(printed: str) -> str:
    return ID.sub("<id>", printed).strip()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """One in a copy of the project, whose own log and store stay as they are."""
    for entry in ROOT.iterdir():
        if entry.name != "examples":
            (tmp_path / entry.name).symlink_to(entry)
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("log.txt", ".postlude"))
    reader = Reader(tmp_path)
    program = tmp_path / "examples" / "notifications" / "main.py"
    program.write_text(reader.held(program.read_text("utf-8")), "utf-8")
    yield reader
    reader.kill()


@pytest.mark.parametrize("page", [page for page in PAGES if BLOCK.search(page.read_text("utf-8"))], ids=name)
def test_what_a_page_says_to_type_prints_what_it_shows(page: Path, reader: Reader) -> None:
    text = page.read_text("utf-8")
    for file, source in SAVED.findall(text):
        (reader.folder / file).write_text(reader.held(source), "utf-8")
    for not_run, block in BLOCK.findall(text):
        if not not_run:
            reader.follow(block)
