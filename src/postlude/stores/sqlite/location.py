"""The place of the file: found or made, looked at, and refused with the cure named when no store can be kept there."""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import NoReturn, TypeAlias

from postlude.errors import NotAPostludeStore, StoreLocationError
from postlude.stores import filesystem

DEFAULT_FOLDER = ".postlude"
APPLICATION_ID = 0x506F_7374
""""Post" in ASCII, in the field of the file's header that SQLite has for this purpose."""

_CURE = "or set POSTLUDE_URL to another place, such as sqlite:////var/lib/myapp/jobs.db"
_MAGIC = b"SQLite format 3\x00"
_SYNC_SAMPLES, _SYNC_BUDGET = 5, 0.015

Key: TypeAlias = tuple[int, int]
"""A file, under whatever name: its device and its inode."""

_guard = threading.Lock()
"""Held while a file is made or its header read by hand: to close a descriptor drops the locks that SQLite has on the
same file in this process, so nobody may open it meanwhile, and nobody looks at a file that is open."""
_open_files: dict[Key, int] = {}
_inherited: set[Key] = set()
"""What was open at the fork that made this process: SQLite believes here that it has locks, which it has not."""


def prepare(path: Path) -> tuple[str, ...]:
    """Make the folder and the file if they are missing, and refuse what cannot work; returns warnings.

    Raises:
        StoreLocationError: no store can be kept there.
        NotAPostludeStore: something else is there.
    """
    folder = path.parent
    try:
        is_there = folder.is_dir()
    except PermissionError:
        _refuse(path, f"a folder above {folder} may not be entered by this process", "Allow that")
    if not is_there:
        _make_folder(folder, path)
    warnings = warnings_at(path)
    if path.is_dir():
        _refuse(path, "that is a folder", "Add the name of the file to the URL")
    if not os.access(folder, os.W_OK | os.X_OK):
        _refuse(path, f"the folder {folder} is not writable for this process", "Allow that")
    with _guard:
        if _made(path):
            sync_folder(folder)
        else:
            _look_at_file(path)
    return warnings


def warnings_at(path: Path) -> tuple[str, ...]:
    """What `judge` says of the file system that the path is on now."""
    return judge(path, filesystem.mount_under(path.parent))


def opened(path: Path) -> Key:
    """Note that this process is about to open the file, until `closed` is called with what this returns.

    Raises:
        StoreLocationError: it was open at the fork that made this process.
        NotAPostludeStore: something else is there by now.
    """
    with _guard:
        status = path.stat()
        key = status.st_dev, status.st_ino
        if key in _inherited:
            _refuse(
                path,
                "it was opened before the fork that made this process, and could not be closed in time",
                "Fork before the store is opened, start this process with the method 'spawn'",
            )
        # At each opening, because the file may be another one than that which `prepare` has seen: whatever is noted as
        # open is ours, and `_look_at_file` relies on that.
        _look_at_file(path)
        _open_files[key] = _open_files.get(key, 0) + 1
    return key


def closed(key: Key) -> None:
    """Take back what `opened` noted."""
    with _guard:
        _open_files[key] -= 1
        if not _open_files[key]:
            del _open_files[key]


def key_of(path: Path) -> Key | None:
    """The file that the path leads to now; None if there is none."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


def inherit() -> None:
    """In a child that was just forked: what is open is its parent's."""
    global _guard  # noqa: PLW0603 - a lock that may be locked for ever can only be replaced
    _inherited.update(_open_files)
    _open_files.clear()
    _guard = threading.Lock()


def sync_folder(folder: Path) -> None:
    """Wait until the names of new files are on disk: a file without a name is lost."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def measure_sync(folder: Path) -> float:
    """Seconds that the disk takes to confirm a small write: the median of a few, in a file that is removed again."""
    samples: list[float] = []
    # Linux has fdatasync, which is what SQLite calls there; macOS does not.
    sync = getattr(os, "fdatasync", os.fsync)
    with tempfile.TemporaryFile(dir=folder, prefix=".postlude-sync-", buffering=0) as file:
        while len(samples) < _SYNC_SAMPLES and sum(samples) < _SYNC_BUDGET:
            file.write(bytes(4096))
            begin = time.perf_counter()
            sync(file.fileno())
            samples.append(time.perf_counter() - begin)
    return statistics.median(samples)


def _make_folder(folder: Path, path: Path) -> None:
    if folder.name != DEFAULT_FOLDER or not folder.parent.is_dir():
        _refuse(path, f"the folder {folder} does not exist", _remedy_of_missing(path))
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        # The jobs of a developer's machine do not belong into anybody's history.
        (folder / ".gitignore").write_text("*\n", "utf-8")
        sync_folder(folder.parent)
    except OSError as error:
        _refuse(path, f"the folder {folder} cannot be made ({error.strerror})", f"Make {folder.parent} writable")


def _remedy_of_missing(path: Path) -> str:
    """Create the folder, or add the slash: with three of them a path begins at the current folder."""
    try:
        absolute = Path("/") / path.relative_to(Path.cwd())
    except (OSError, ValueError):
        return "Create it"
    if absolute == path or not absolute.parent.is_dir():
        return "Create it"
    return f"If {absolute} is meant, write sqlite:///{absolute} with four slashes; else create the folder"


def judge(path: Path, mount: filesystem.Mount | None) -> tuple[str, ...]:
    """Warn of a file system that forgets, and refuse one whose locks do not hold.

    Raises:
        StoreLocationError: it is a network file system.
    """
    if mount is not None and mount.kind in filesystem.NETWORK:
        _refuse(
            path,
            f"{mount.point} is a network file system ({mount.kind}), where SQLite's locks do not hold",
            "Use a folder on a disk of this host",
        )
    return filesystem.forgets(mount, f"The store {path}", "its jobs are")


def _made(path: Path) -> bool:
    # By hand and not by SQLite, so that it is private from its first moment; SQLite gives the files beside it the same
    # mode. The umask can only take rights away, and these are few.
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    except OSError as error:
        _refuse(path, f"the file cannot be made ({error.strerror})", f"Make {path.parent} writable")
    os.close(descriptor)
    return True


def _look_at_file(path: Path) -> None:
    """Tell by the header whether it is ours, so that a foreign database is not even opened."""
    if not os.access(path, os.R_OK | os.W_OK):
        _refuse(path, "the file is not readable and writable for this process", "Allow that")
    status = path.stat()
    if (status.st_dev, status.st_ino) in _open_files:
        return
    with path.open("rb") as file:
        header = file.read(100)
    is_database = header.startswith(_MAGIC)
    if not header or (not is_database and Path(f"{path}-journal").exists()):
        # Nothing in it, or a power cut came while it was made: SQLite goes back to nothing by the journal beside it.
        return
    if not is_database:
        raise _foreign(path, "not a database at all")
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise _foreign(path, "an SQLite database of some other application")


def _foreign(path: Path, what: str) -> NotAPostludeStore:
    cure = "Give the store a file of its own: set POSTLUDE_URL, as in sqlite:///.postlude/jobs.db."
    return NotAPostludeStore(f"{path} is {what}. It was left untouched. {cure}")


def _refuse(path: Path, reason: str, remedy: str) -> NoReturn:
    message = f"The store cannot be kept at {path}: {reason}. {remedy}, {_CURE}."
    raise StoreLocationError(message)
