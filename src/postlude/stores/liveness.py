"""Which workers are alive, told by locks of the operating system alone: held is alive, free is dead.

The proof of life of a worker is a POSIX record lock on one byte of a side file, at the offset that is the worker's id.
The kernel drops it when the process ends, however it ends. Three traps of these locks shape this file:

- They belong to the process and not to the descriptor: a process can always lock what it has locked itself. So its own
  ids are known here and never looked at.
- *All* locks of a process on a file fall when it closes *any* descriptor of that file. So there is one descriptor for
  each file in the process, however many stores use it, and it stays open while the process holds a lock.
- A forked child has the descriptor and none of the locks. It goes on with the inherited descriptor, and what its parent
  holds is not its own. An `exec` closes the descriptor, and with it the locks fall.

The bytes from `_SERVERS` on are of servers: the process that holds one speaks for that server.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from typing import TYPE_CHECKING

from postlude.ids import new_token

if TYPE_CHECKING:
    from pathlib import Path


_SERVERS = 1 << 62
"""The offsets below it are ids of workers."""


def new_worker_id() -> int:
    """A random number of 62 bits, never 0: it is also an offset, and has to fit a signed 64-bit one with room."""
    return (new_token() >> 1) or 1


class _SideFile:
    """The one descriptor of a side file in this process."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.users = 0
        self.held: set[tuple[int, int]] = set()

    def holds(self, worker: int) -> bool:
        # With the process's own number, because a forked child inherits this set but not the locks.
        return (os.getpid(), worker) in self.held

    def holds_any(self) -> bool:
        return any(pid == os.getpid() for pid, _ in self.held)


_files: dict[tuple[int, int], _SideFile] = {}
_guard = threading.Lock()


def _after_fork_in_child() -> None:
    # Another thread of the parent may have held it at the moment of the fork; that thread does not exist here.
    global _guard  # noqa: PLW0603 - a lock that may be locked for ever can only be replaced
    _guard = threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)


class Liveness:
    """Takes, gives up and looks at proofs of life in one side file."""

    def __init__(self, path: Path) -> None:
        """Opens the side file, or shares it with whoever has it open in this process."""
        with _guard:
            self._key, self._file = _shared(path)
            self._file.users += 1
        self._closed = False
        self._servers: set[int] = set()

    @property
    def key(self) -> tuple[int, int]:
        """The device and the number of the side file."""
        return self._key

    def close(self) -> None:
        """Let go of the side file; a proof of life that is held keeps its descriptor open until the process ends."""
        with _guard:
            if self._closed:
                return
            self._closed = True
            for server in self._servers:
                self._release(server)
            self._file.users -= 1
            if self._file.users == 0 and not self._file.holds_any():
                del _files[self._key]
                os.close(self._file.descriptor)

    def renew(self, path: Path) -> None:
        """Go over to the side file that the path leads to now, with all proofs of life of this process."""
        with _guard:
            key, file = _shared(path)
            if file is self._file:
                return
            for process, worker in self._file.held:
                # A server's byte stays behind: whoever may have taken it on the new file has spoken there.
                if process == os.getpid() and worker < _SERVERS:
                    _lock(file, worker)
                    file.held.add((process, worker))
            # The old one stays open with its locks: a process that has not noticed yet still looks there.
            self._file.users -= 1
            file.users += 1
            self._key, self._file = key, file

    def workers(self) -> list[int]:
        """The workers of this process."""
        with _guard:
            return [worker for process, worker in self._file.held if process == os.getpid() and worker < _SERVERS]

    def hold(self, worker: int) -> None:
        """Take the proof of life."""
        with _guard:
            _lock(self._file, worker)
            self._file.held.add((os.getpid(), worker))

    def give_up(self, worker: int) -> None:
        """Let the proof of life fall, as if the process had ended."""
        with _guard:
            self._release(worker)

    def is_dead(self, worker: int) -> bool:
        """Whether the process that held this proof of life is gone."""
        with _guard:
            if self._file.holds(worker):
                return False
            try:
                _lock(self._file, worker)
            except (BlockingIOError, PermissionError):
                return False
            _unlock(self._file, worker)
            return True

    def speaks_for(self, server: str) -> bool:
        """Whether this process speaks for the server, which it does from now on if no other one does."""
        byte = _SERVERS | int.from_bytes(hashlib.blake2b(server.encode(), digest_size=7).digest(), "big")
        with _guard:
            if not self._file.holds(byte):
                try:
                    _lock(self._file, byte)
                except (BlockingIOError, PermissionError):
                    return False
                self._file.held.add((os.getpid(), byte))
                self._servers.add(byte)
            return True

    def _release(self, byte: int) -> None:
        if self._file.holds(byte):
            self._file.held.discard((os.getpid(), byte))
            _unlock(self._file, byte)


def _shared(path: Path) -> tuple[tuple[int, int], _SideFile]:
    try:
        # Looked up by what the path leads to before it is opened: closing a second descriptor would drop the locks.
        status = path.stat()
    except FileNotFoundError:
        pass
    else:
        key = (status.st_dev, status.st_ino)
        if key in _files:
            return key, _files[key]
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    status = os.fstat(descriptor)
    key = (status.st_dev, status.st_ino)
    return key, _files.setdefault(key, _SideFile(descriptor))


def _lock(file: _SideFile, worker: int) -> None:
    fcntl.lockf(file.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, worker)


def _unlock(file: _SideFile, worker: int) -> None:
    fcntl.lockf(file.descriptor, fcntl.LOCK_UN, 1, worker)
