"""The queues that are measured on one PostgreSQL server, each in a database of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from benchmarks.machine import ROOT, CannotRun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.servers import Server

PEERS = "POSTLUDE_PEERS"
"""The environment's name for the folder of a virtual environment with the peers; `install` makes one for the run."""
PACKAGES = ("pgqueuer[asyncpg]", "procrastinate", "psycopg[binary,pool]", "dbos", "uvloop")


class Player(NamedTuple):
    """One queue."""

    name: str
    module: str
    unfinished: str
    """A query: whether there is a job that has not ended."""
    slow: bool = False
    """Whether it gets less to do than the others, so that the run comes to an end."""


OURS = Player(
    "Postlude",
    "postlude_",
    "SELECT EXISTS (SELECT 1 FROM postlude.jobs WHERE state = 'queued' AND NOT waiting AND NOT alone) "
    "OR EXISTS (SELECT 1 FROM postlude.jobs WHERE state IN ('staged', 'running'))",
)
OTHERS = (
    Player(
        "PgQueuer (batch 100)",
        "pgqueuer_",
        "SELECT EXISTS (SELECT 1 FROM pgqueuer WHERE status IN ('queued', 'picked'))",
    ),
    Player(
        "Procrastinate (30 at a time)",
        "procrastinate_",
        "SELECT EXISTS (SELECT 1 FROM procrastinate_jobs WHERE status IN ('todo', 'doing'))",
        slow=True,
    ),
    Player(
        "DBOS",
        "dbos_",
        "SELECT EXISTS (SELECT 1 FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING'))",
        slow=True,
    ),
)


class Line(NamedTuple):
    """What a task has noted in the diary."""

    what: str
    at: float
    delay: float
    process: int


@dataclass(frozen=True)
class Place:
    """An empty database for one player."""

    player: Player
    server: Server
    dsn: str
    python: str
    diary: Path

    def play(self, role: str, *arguments: object, timeout: float = 300) -> dict[str, float]:
        """Let the player do something, to its end."""
        command = self._command(role, *arguments)
        done = subprocess.run(
            command, cwd=ROOT, env=_environment(), capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode:
            message = f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr.strip()}"
            raise CannotRun(message)
        played: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return played

    @contextmanager
    def workers(self, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
        """So many processes that run jobs, until the end of the block."""
        with self.diary.with_suffix(".log").open("ab") as log:
            started = [
                subprocess.Popen(
                    self._command("work", self.diary), cwd=ROOT, env=_environment(), stdout=log, stderr=log
                )
                for _ in range(count)
            ]
            try:
                yield started
            finally:
                for process in started:
                    process.send_signal(signal.SIGTERM)
                for process in started:
                    _end(process)

    def noted(self, what: str) -> list[Line]:
        """What the tasks have noted under this word."""
        text = self.diary.read_text("ascii") if self.diary.exists() else ""
        lines = [line.split() for line in text.splitlines()]
        return [Line(word, float(at), float(delay), int(pid)) for word, at, delay, pid in lines if word == what]

    def await_notes(self, what: str, count: int, within: float) -> list[Line] | None:
        """The first so many lines of this kind; None if they did not come in time."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            lines = self.noted(what)
            if len(lines) >= count:
                return lines[:count]
            time.sleep(0.005)
        return None

    def await_empty(self, within: float) -> float:
        """When the last job had ended, by the clock of the diary."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            if not self.server.ask_in(self.dsn, self.player.unfinished):
                return time.monotonic()
            time.sleep(0.02)
        message = f"{self.player.name} was not done after {within:g} s"
        raise CannotRun(message)

    def _command(self, role: str, *arguments: object) -> list[str]:
        return [self.python, "-m", f"benchmarks.peers.{self.player.module}", role, self.dsn, *map(str, arguments)]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def players(folder: Path) -> dict[Player, str]:
    """Postlude, and the peers that were asked for, each with the Python that has it."""
    wanted = os.environ.get(PEERS)
    if not wanted:
        return {OURS: sys.executable}
    home = _install(folder / "peers") if wanted == "install" else Path(wanted)
    python = home / "bin" / "python"
    if not python.exists():
        message = f"{PEERS}: expected `install` or a virtual environment with {', '.join(PACKAGES)}; got {wanted!r}"
        raise CannotRun(message)
    return {OURS: sys.executable} | dict.fromkeys(OTHERS, str(python))


def _install(home: Path) -> Path:
    for command in ([sys.executable, "-m", "venv", home], [home / "bin" / "pip", "install", "--quiet", *PACKAGES]):
        subprocess.run([*map(str, command)], check=True)
    return home


def place(player: Player, python: str, server: Server, folder: Path) -> Place:
    """A new database with the player's schema."""
    name = f"bench_{time.monotonic_ns()}"
    server.ask(f"CREATE DATABASE {name}")
    parts = urlsplit(server.dsn)
    dsn = urlunsplit(parts._replace(path=f"/{name}"))
    if not parts.netloc:
        dsn = dsn.replace("postgresql:", "postgresql://", 1)
    made = Place(player, server, dsn, python, folder / f"{name}.txt")
    made.play("install")
    return made
