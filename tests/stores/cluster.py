"""A PostgreSQL that a test may stop, kill, start again, and replace by its standby."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from tests.stores.places import AS, _copied, _run, binaries


class Cluster:
    """One server, with its data and its socket in a folder."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self.programs = programs
        self.data = folder / "data"

    @property
    def socket(self) -> str:
        return str(self.folder / ".s.PGSQL.5432")

    @property
    def listens(self) -> str:
        """The addresses at which it is to be had beside its socket."""
        return ""

    @property
    def dsn(self) -> str:
        return f"postgresql://postlude@/postgres?host={self.folder}"

    def start(self) -> None:
        options = (
            f"-c listen_addresses='{self.listens}' -c unix_socket_directories={self.folder} -c max_connections=100"
        )
        deadline = time.monotonic() + 30
        while True:
            # After a SIGKILL its children need a moment to notice.
            with suppress(AssertionError):
                self._do("pg_ctl", "-D", self.data, "-w", "-l", self.folder / "log", "-o", options, "start")
                return
            assert time.monotonic() < deadline, (self.folder / "log").read_text()

    def stop(self, mode: Literal["fast", "immediate"]) -> None:
        self._do("pg_ctl", "-D", self.data, "-w", "-m", mode, "stop")

    def kill(self) -> None:
        """End it as hard as a machine can end, all its processes: a backend outlives its postmaster by a commit."""
        postmaster = (self.data / "postmaster.pid").read_text().split()[0]
        for pid in (postmaster, *self.ask("SELECT pid FROM pg_stat_activity").split()):
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    def crash(self) -> None:
        """Kill one of its processes, so that it ends all others and begins anew; its postmaster stays."""
        writer = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'"
        killed = self.ask(writer)
        os.kill(int(killed), signal.SIGKILL)
        deadline = time.monotonic() + 30
        while True:
            with suppress(subprocess.CalledProcessError):
                if self.ask(writer) not in {killed, ""}:
                    return
            assert time.monotonic() < deadline, (self.folder / "log").read_text()

    def ask(self, sql: str) -> str:
        command = [str(self.programs / "psql"), "-d", self.dsn, "-Atc", sql]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def standby(self, folder: Path) -> "Cluster":
        """One that follows, and without which nothing is acknowledged from now on."""
        folder.mkdir()
        if AS is not None:
            shutil.chown(folder, AS)
        standby = Cluster(folder, self.programs)
        self._do("pg_basebackup", "-d", self.dsn, "-D", standby.data, "-R", "-X", "stream", "--checkpoint=fast")
        standby.start()
        self.ask("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.ask("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 30
        while self.ask("SELECT sync_state FROM pg_stat_replication") != "sync":
            assert time.monotonic() < deadline, "the standby does not follow"
        return standby

    def follow(self) -> None:
        """Start as a standby, of nobody; only after it was stopped."""
        (self.data / "standby.signal").touch()
        self.start()

    def promote(self) -> None:
        self._do("pg_ctl", "-D", self.data, "-w", "promote")

    def _do(self, program: str, *arguments: object) -> None:
        _run(self.programs / program, *arguments)


@contextmanager
def cluster(kind: type[Cluster] = Cluster) -> Iterator[Cluster]:
    """One of its own; it and its standbys end with the block."""
    with tempfile.TemporaryDirectory(prefix="postlude-cluster-") as name:
        folder, programs = Path(name), binaries()
        folder.chmod(0o755)
        if AS is not None:
            programs = _copied(programs, folder / "install")
        first = folder / "first"
        first.mkdir()
        if AS is not None:
            shutil.chown(folder, AS)
            shutil.chown(first, AS)
        made = kind(first, programs)
        _run(programs / "initdb", "-D", made.data, "-U", "postlude", "--auth=trust", "--no-sync", "-E", "UTF8")
        made.start()
        try:
            yield made
        finally:
            for pid in folder.glob("*/data/postmaster.pid"):
                with suppress(AssertionError):
                    kind(pid.parents[1], programs).stop("immediate")
