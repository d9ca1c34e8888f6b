"""Which workers of this machine are dead, told at once by locks of its operating system.

The database's lock falls also when a connection is cut, and then only a second look tells who is on his way back. The
system's lock (`stores.liveness`) falls with the process and with nothing else. So where both are free, and it is known
that the process took the very lock that is looked at, nobody has to wait. It is known by the name of the side file: its
place in the file system as the kernel knows it, and that kernel's one run. Who cannot take such a lock, or see that of
another, is judged by the database's alone.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from postlude.stores.liveness import Liveness

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
"""A number that Linux draws whenever it starts; other systems have none."""


class Nearby:
    """The side file of this user on this machine.

    Args:
        folder: where it is; made when it is missing.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.file: str | None = None
        """What this kernel alone calls it; None: there is none, and nothing is known of others."""
        self._liveness: Liveness | None = None
        with suppress(OSError):
            self._open(folder or Path(tempfile.gettempdir(), f"postlude-{os.geteuid()}"))

    def _open(self, folder: Path) -> None:
        boot = _BOOT.read_text().strip()
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if status.st_uid != os.geteuid() or not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o022:
            return  # others could put into it what they like
        self._liveness = Liveness(folder / "alive")
        device, number = self._liveness.key
        self.file = f"{boot} {device} {number}"

    def hold(self, worker: int) -> str | None:
        """Take the lock of a worker of this process; returns the file's name."""
        if self._liveness is None:
            return None
        try:
            self._liveness.hold(worker)
        except OSError:
            return None  # a file system without locks
        return self.file

    def give_up(self, worker: int) -> None:
        """Let go of it."""
        if self._liveness is not None:
            self._liveness.give_up(worker)

    def is_dead(self, worker: int, file: str | None) -> bool:
        """Whether a worker that took its lock on this file is known to be dead."""
        return self._liveness is not None and file is not None and file == self.file and self._liveness.is_dead(worker)

    def close(self) -> None:
        """Let go of the file."""
        if self._liveness is not None:
            self._liveness.close()
