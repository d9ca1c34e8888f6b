"""The demonstration is given for real, and leaves nothing behind however it ends."""

import io
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from rich.console import Console

from postlude.cli.demo import folder, server
from postlude.cli.demo.screen import Screen
from postlude.cli.demo.story import tell
from postlude.cli.demo.tally import Resumption, Tally
from postlude.cli.demo.verdict import Figures, show_figures
from postlude.stores import filesystem

COMMAND = Path(sys.executable).with_name("postlude")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demonstration makes its folder."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def demo(*options: str) -> tuple[int, str]:
    done = subprocess.run([COMMAND, "demo", *options], capture_output=True, text=True, timeout=100, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def row(output: str, name: str) -> int:
    found = re.search(rf"^  {name} +(\d+)(?: |$)", output, re.MULTILINE)
    assert found, output
    return int(found[1])


def processes(output: str) -> list[int]:
    return [int(number) for number in re.findall(r"process (\d+)", output)]


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_with_postlude_nothing_is_lost(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTLUDE_DISABLED", "1")  # meant for somebody's application, not for the demonstration
    code, output = demo("--notifications", "20")
    assert code == 0, output
    assert row(output, "Acknowledged") == 20
    assert row(output, "Delivered") == 20
    assert row(output, "Lost") == 0
    # Those in mid-run, and those that had ended and whose end was not on disk yet.
    assert 1 <= row(output, "Run twice") < 20
    assert re.search(r"First resumed task +\d+ ms", output)
    assert re.search(r"20 requests answered +in \d+ ms \(median\), \d+ ms at the worst", output)
    assert not [process for process in processes(output) if is_alive(process)]
    assert list(place.iterdir()) == []


def test_without_postlude_the_kill_takes_what_was_not_done(place: Path) -> None:
    code, output = demo("--without", "--notifications", "20", "--keep")
    assert code == 0, output
    assert row(output, "Lost") > 0
    assert row(output, "Delivered") + row(output, "Lost") == 20
    assert row(output, "Run twice") == 0
    assert re.search(r"First resumed task +none", output)
    (kept,) = place.iterdir()
    assert {path.name for path in kept.iterdir()} == {"notifications.log", "server.log"}


def test_a_stop_in_the_middle_takes_the_server_along(place: Path) -> None:
    with subprocess.Popen([COMMAND, "demo"], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        process = next(number for line in running.stdout for number in processes(line))
        assert is_alive(process)
        running.send_signal(signal.SIGTERM)
        assert "Stopped, and the server with it." in running.stdout.read()
        assert running.wait(30) == 130
    assert not is_alive(process)
    assert list(place.iterdir()) == []


def test_a_server_that_does_not_come_up_is_heard(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "UVICORN", (sys.executable, "-c", "import sys; sys.exit('I have no [bold] idea')"))
    console = Console(file=io.StringIO(), width=80)
    assert tell(10, durable=True, keep=False, console=console) == 2
    output = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO from above
    assert "✗ Starting the server" in output
    assert "No result: the server ended by itself with exit code 1." in output
    assert "I have no [bold] idea" in output
    assert list(place.iterdir()) == []


def shown(figures: Figures, *, encoding: str = "utf-8", kept: Path | None = None) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    screen = Screen(Console(file=file, width=80))
    with screen.step("Counting") as step:
        step.succeed("Counted", "all of them")
    show_figures(screen, figures, kept=kept)
    file.seek(0)
    return file.read()


def test_a_loss_is_said_aloud_and_what_shows_why_is_kept() -> None:
    at_kill = Tally(acknowledged=100, begun=26, delivered=10, run_twice=0, delivered_twice=0)
    final = Tally(acknowledged=100, begun=99, delivered=98, run_twice=15, delivered_twice=1)
    figures = Figures(durable=True, asked=103, at_kill=at_kill, final=final, resumption=Resumption(5.0, 5.25))
    assert figures.exit_code == 1
    output = shown(figures, kept=Path("kept"))
    assert row(output, "Lost") == 2
    assert "answered with 202 Accepted; 3 were not" in output
    assert "10 before the kill, 88 after it" in output
    assert "2 notifications lost. That must never happen." in output
    assert "250 ms   after the new process was up" in output
    assert "output: kept" in output


@pytest.mark.parametrize("durable", [True, False])
def test_a_run_in_which_not_all_were_answered_has_not_passed(durable: bool) -> None:
    at_kill = Tally(acknowledged=97, begun=26, delivered=10, run_twice=0, delivered_twice=0)
    final = Tally(acknowledged=97, begun=97, delivered=97, run_twice=0, delivered_twice=0)
    figures = Figures(durable=durable, asked=100, at_kill=at_kill, final=final, resumption=None)
    assert (figures.passed, figures.exit_code) == (False, 2)
    assert "3 requests not answered: this run proves nothing." in shown(figures, kept=Path("kept"))


def test_a_kill_that_came_late_is_said_aloud() -> None:
    final = Tally(acknowledged=10, begun=10, delivered=10, run_twice=0, delivered_twice=0)
    for delivered, late in ((5, False), (6, True)):
        figures = Figures(True, 10, Tally(10, 9, delivered, 0, 0), final, Resumption(5.0, 5.1))
        assert figures.exit_code == 0
        text = " ".join(shown(figures).split())
        assert ("More than half was delivered before the kill, so there was little left to lose." in text) is late


def test_a_terminal_without_unicode_gets_ascii() -> None:
    at_kill = Tally(acknowledged=1, begun=1, delivered=0, run_twice=0, delivered_twice=0)
    final = Tally(acknowledged=1, begun=1, delivered=1, run_twice=1, delivered_twice=1)
    figures = Figures(durable=True, asked=1, at_kill=at_kill, final=final, resumption=Resumption(5.0, 5.0))
    output = shown(figures, encoding="ascii", kept=Path("kept"))
    assert "+ Counted" in output
    assert "1 task cut off in mid-run ran again from the start; 1 of them delivered twice." in " ".join(output.split())


def test_a_folder_in_memory_is_told_from_one_on_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr(filesystem, "MOUNTINFO", str(mounts))
    assert not folder.is_in_memory(tmp_path)  # no such file: not Linux
    for kind, expected in (("tmpfs", True), ("ext4", False)):
        mounts.write_text(
            "22 1 999:1 / /elsewhere rw - tmpfs none rw\n"
            f"36 35 254:1 / {tmp_path.resolve()} rw,noatime shared:1 - {kind} /dev/x rw\n"
        )
        assert folder.is_in_memory(tmp_path) is expected


def test_a_folder_on_a_disk_is_preferred(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "is_in_memory", lambda path: path == place)
    monkeypatch.chdir(Path(__file__).parent)
    with folder.fresh_folder() as fresh:
        assert fresh.path.parent != place
        assert not fresh.in_memory
    assert not fresh.path.exists()
    monkeypatch.setattr(folder, "is_in_memory", lambda path: True)
    with folder.fresh_folder() as fresh:
        assert fresh.path.parent == place
        assert fresh.in_memory
