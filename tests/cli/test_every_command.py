"""What holds for each of the commands: its help, its mistakes, the stores it cannot use, and who reads its output."""

import contextlib
import fcntl
import os
import struct
import subprocess
import sys
import termios
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
import typer

from postlude.cli.commands import commands
from tests.cli.conftest import APP, Desk, new_desk
from tests.stores.making import queued

COMMAND = str(Path(sys.executable).with_name("postlude"))
JOB = str(uuid.UUID(int=7))

ON_STORE: dict[str, tuple[str, ...]] = {
    "status": (),
    "tasks list": (),
    "jobs list": (),
    "jobs get": (JOB,),
    "jobs wait": (JOB,),
    "jobs tail": (JOB,),
    "jobs stack": (JOB,),
    "jobs retry": (JOB,),
    "jobs cancel": (JOB,),
    "jobs delete": (JOB,),
    "queues list": (),
    "queues pause": ("mail",),
    "queues resume": ("mail",),
    "pause": ("--all",),
    "resume": ("--all",),
    "schedules list": (),
    "schedules run": ("nightly",),
    "workers": (),
    "dashboard-link": (),
    "backup": ("copy.db",),
    "export": (),
}
"""Commands that take `--url`, each with what it cannot do without."""
OF_APP: dict[str, tuple[str, ...]] = {
    "enqueue": ("--app", APP, "shop.send", "--to", "ada"),
    "dashboard": (APP, "--port", "0"),
}
"""Those that need the application."""
NEEDING_A_STORE = {**ON_STORE, **OF_APP}
OTHERS = {"demo", "worker", "move", "migrate", "check", "audit"}
"""Those that have a test file of their own."""


def leaves(name: str = "", command: Any = None) -> Iterator[tuple[str, Any]]:
    """Every command that does something."""
    command = typer.main.get_command(commands) if command is None else command
    inner = getattr(command, "commands", None)
    if not inner:
        yield name, command
    else:
        for word, each in inner.items():
            yield from leaves(f"{name} {word}".strip(), each)


EVERY = dict(leaves())


def test_each_command_is_in_one_of_the_tables() -> None:
    assert sorted(EVERY) == sorted([*ON_STORE, *OF_APP, *OTHERS])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one, in which the command is run."""
    found = tmp_path / "here"
    found.mkdir()
    monkeypatch.chdir(found)
    return found


@pytest.fixture
def nowhere(folder: Path) -> Desk:
    """Where no store is."""
    return Desk(f"sqlite:///{folder}/none.db", None)


@pytest.fixture(scope="module")
def somewhere(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A store in which nothing is ever changed."""
    return new_desk(f"sqlite:///{tmp_path_factory.mktemp('somewhere')}/jobs.db")


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A store of a newer release."""
    found = new_desk(f"sqlite:///{tmp_path_factory.mktemp('newer')}/jobs.db")
    connection = apsw.Connection(found.url.removeprefix("sqlite:///"))
    connection.execute("PRAGMA user_version = 999; INSERT INTO migrations (version, needs) VALUES (999, 999)")
    connection.close()
    return found


@pytest.mark.parametrize("name", EVERY)
def test_help_says_what_each_option_is_for(nowhere: Desk, name: str) -> None:
    said = " ".join(nowhere.says(*name.split(), "--help").split())
    assert f"Usage: postlude {name}" in said
    assert EVERY[name].help.strip()
    for parameter in EVERY[name].params:
        assert (parameter.help or "").strip(), parameter.name
        assert parameter.param_type_name == "argument" or max(parameter.opts, key=len) in said


@pytest.mark.parametrize("name", EVERY)
def test_an_option_that_there_is_not(nowhere: Desk, name: str) -> None:
    words = OF_APP.get(name, ()) if name == "enqueue" else ()
    assert "No such option: --nonsense" in nowhere.refuses(*name.split(), *words, "--nonsense", code=2)


@pytest.mark.parametrize("name", [name for name, given in ON_STORE.items() if given and name != "jobs tail"])
def test_what_it_cannot_do_without(somewhere: Desk, name: str) -> None:
    said = somewhere.refuses(*name.split(), "--url", somewhere.url, code=2)
    assert any(words in said for words in ("Missing argument", "Say which jobs", "Expected")), said


def test_a_command_that_there_is_not(nowhere: Desk) -> None:
    assert "No such command 'stats'" in nowhere.refuses("stats", code=2)
    assert "No such command 'lst'" in nowhere.refuses("jobs", "lst", code=2)


# -- stores


@pytest.mark.parametrize("json", [(), ("--json",)], ids=["people", "json"])
@pytest.mark.parametrize("name", ON_STORE)
def test_a_store_that_is_not_there(nowhere: Desk, folder: Path, name: str, json: tuple[str, ...]) -> None:
    said = nowhere.refuses(*name.split(), *ON_STORE[name], *json, "--url", nowhere.url, code=5)
    assert said.startswith(f"There is no store at {folder}/none.db.")
    assert list(folder.iterdir()) == [], "none is made"


@pytest.mark.parametrize("name", OF_APP)
def test_one_that_the_application_has_not_made_yet(nowhere: Desk, folder: Path, name: str) -> None:
    said = nowhere.refuses(*name.split(), *OF_APP[name], code=5)
    assert f"There is no store at {folder}/none.db." in said
    assert list(folder.iterdir()) == [], "none is made"


@pytest.mark.parametrize("name", sorted({*NEEDING_A_STORE} - {"backup"}))  # a copy is a copy
def test_a_store_of_a_newer_release(newer: Desk, folder: Path, name: str) -> None:
    words = OF_APP[name] if name in OF_APP else (*ON_STORE[name], "--url", newer.url)
    assert "999" in newer.refuses(*name.split(), *words, code=5)


@pytest.mark.parametrize("name", NEEDING_A_STORE)
def test_a_database_that_does_not_answer(folder: Path, name: str) -> None:
    gone = Desk("postgresql://shop:hunter2@127.0.0.1:1/shop", None)
    words = OF_APP[name] if name in OF_APP else (*ON_STORE[name], "--url", gone.url)
    done = gone.run(*name.split(), *words)
    assert (done.exit_code, done.stdout) == (1 if name == "backup" else 5, ""), done.stderr
    assert "hunter2" not in done.stderr
    assert "127.0.0.1:1" in done.stderr or name == "backup"
    assert "Traceback" not in done.stderr


# -- who reads it


def test_a_reader_that_has_enough_is_no_mistake(desk: Desk) -> None:
    """Nor for people; `test_running.py` has the same of what programs read."""
    desk.on_store(lambda store: store.insert([queued() for _ in range(900)]))  # more than a pipe holds
    line = f"set -o pipefail; {COMMAND} jobs list --limit 900 --url {desk.url} | head -c 1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "j", "")


@pytest.mark.parametrize(("columns", "environment"), [(30, {}), (200, {"NO_COLOR": "1"})], ids=["narrow", "wide"])
def test_a_terminal_shows_every_column(desk: Desk, columns: int, environment: dict[str, str]) -> None:
    job = queued("shop.send")
    desk.on_store(lambda store: store.insert([job]))
    said = on_terminal(columns, [COMMAND, "jobs", "list", "--url", desk.url], environment)
    for heading in ("job", "state", "task", "queue", "added", "took"):
        assert heading in said
    assert "queued" in said
    assert str(job.id) in said, "it is there to be copied"
    assert ("\x1b[36m" in said) is not bool(environment), "cyan"


def on_terminal(columns: int, command: list[str], environment: dict[str, str]) -> str:
    """What a command writes to a terminal of that width."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    env |= {"TERM": "xterm-256color", **environment}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        found = b""
        with contextlib.suppress(OSError):  # as Linux says it, when nobody has the other end any more
            while part := os.read(ours, 4096):
                found += part
        os.close(ours)
        assert process.wait(30) == 0
    return found.decode()
