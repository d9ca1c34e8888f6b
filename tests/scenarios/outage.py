"""Ways to take the disk away from a running server, and to give it back."""

import errno
import os
import resource
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.scenarios.server import Server

FILE_LIMIT: Final = 4096
"""Bytes: less than any write of the store needs, and more than the tasks of a test note."""


class Outage(ABC):
    """A disk that can be full."""

    path: Path
    """Where the store is to be."""

    @abstractmethod
    def begin(self, server: Server) -> None: ...

    @abstractmethod
    def end(self, server: Server) -> None: ...


class FilesLimited(Outage):
    """The process may not let a file grow any more: as with a quota, for any user."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "jobs.db"

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
        self.path = disk / "jobs.db"
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
