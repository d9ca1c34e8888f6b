"""Ways to take the disk away from a running server, and to give it back."""

import errno
import os
import resource
import subprocess
import sys
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.scenarios.server import Server
from tests.stores.places import binaries

FILE_LIMIT: Final = 4096
"""Bytes: less than any write of the store needs, and more than the tasks of a test note."""


class Outage(ABC):
    """A disk that can be full, or a database that can be gone."""

    url: str
    """Where the store is to be."""

    @abstractmethod
    def begin(self, server: Server) -> None: ...

    @abstractmethod
    def end(self, server: Server) -> None: ...


class FilesLimited(Outage):
    """The process may not let a file grow any more: as with a quota, for any user."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'jobs.db'}"

    def begin(self, server: Server) -> None:
        self._limit(server, FILE_LIMIT)

    def end(self, server: Server) -> None:
        if server.alive:  # the limit goes with the process
            self._limit(server, resource.RLIM_INFINITY)

    @staticmethod
    def _limit(server: Server, size: int) -> None:
        _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, hard))


class DiskFull(Outage):
    """A small file system with something else on it that takes all the room there is."""

    def __init__(self, disk: Path) -> None:
        self.url = f"sqlite:///{disk / 'jobs.db'}"
        self._ballast = disk / "ballast"

    def begin(self, server: Server) -> None:
        descriptor = os.open(self._ballast, os.O_WRONLY | os.O_CREAT)
        try:
            while True:
                os.write(descriptor, bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        finally:
            os.close(descriptor)

    def end(self, server: Server) -> None:
        self._ballast.unlink()


class DatabaseGone(Outage):
    """A database of its own that lets nobody in any more, and ends the connections that there are.

    Args:
        server: the URL of another one on the same server.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._name = f"db_{uuid.uuid4().hex}"
        self._say(f"CREATE DATABASE {self._name}")
        self.url = server.replace("/postgres?", f"/{self._name}?")

    def begin(self, server: Server) -> None:
        self._say(f"ALTER DATABASE {self._name} WITH ALLOW_CONNECTIONS false")
        self._say(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self._name}'")

    def end(self, server: Server) -> None:
        self._say(f"ALTER DATABASE {self._name} WITH ALLOW_CONNECTIONS true")

    def _say(self, statement: str) -> None:
        command = [str(binaries() / "psql"), "-d", self._server, "-qc", statement]
        subprocess.run(command, check=True, capture_output=True)


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A file system in memory, mounted there; skips the test where that is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
