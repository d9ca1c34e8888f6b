"""A PostgreSQL server of the benchmark's own, and what it has spent."""

from __future__ import annotations

import asyncio
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg

from tests.stores.places import server as server_of_tests

if TYPE_CHECKING:
    from collections.abc import Iterator

WANTED = "POSTLUDE_POSTGRES"
"""The environment's name for the URL of another server to measure on; what it spends is not known then."""


class Spent(NamedTuple):
    """What the server has done since it was started."""

    cpu: float
    """Seconds, of all its processes."""
    wal: int
    """Bytes."""
    commits: int

    def since(self, earlier: Spent) -> Spent:
        return Spent(self.cpu - earlier.cpu, self.wal - earlier.wal, self.commits - earlier.commits)


class Server:
    """One that runs."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def ask(self, query: str, *values: object) -> Any:  # noqa: ANN401 - whatever the query gives
        """The first column of the first row."""
        return self.ask_in(self.dsn, query, *values)

    def ask_in(self, dsn: str, query: str, *values: object) -> Any:  # noqa: ANN401
        """The same in one of its databases."""
        return asyncio.run(self._ask(dsn, query, *values))

    async def _ask(self, dsn: str, query: str, *values: object) -> Any:  # noqa: ANN401
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(query, *values)
        finally:
            await connection.close()

    def spent(self) -> Spent:
        wal = self.ask("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
        commits = self.ask("SELECT sum(xact_commit) FROM pg_stat_database")
        return Spent(self._cpu(), int(wal), int(commits))

    def version(self) -> str:
        return str(self.ask("SHOW server_version"))

    def _cpu(self) -> float:
        """Of the first process of the server, of those that it has, and of those that have ended."""
        postmaster = _first_line(Path(self.ask("SHOW data_directory")) / "postmaster.pid")
        ticks = 0
        for folder in Path("/proc").iterdir():
            fields = _stat(folder)
            if folder.name == postmaster:
                ticks += sum(map(int, fields[11:15]))
            elif fields and fields[1] == postmaster:
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def _first_line(file: Path) -> str:
    return file.read_text("ascii").partition("\n")[0].strip()


def _stat(folder: Path) -> list[str]:
    """The fields of a process behind its name; none of what is no process, or has just ended."""
    if not folder.name.isdigit():
        return []
    try:
        return (folder / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return []


@contextmanager
def postgres(folder: Path) -> Iterator[Server]:
    """The server that the environment names, or one of its own on the disk under test."""
    wanted = os.environ.get(WANTED)
    if wanted:
        yield Server(wanted)
        return
    kept, tempfile.tempdir = tempfile.tempdir, str(folder)
    folder.chmod(0o755)  # the server runs as somebody else where this is root
    try:
        with server_of_tests() as dsn:
            yield Server(dsn)
    finally:
        tempfile.tempdir = kept
