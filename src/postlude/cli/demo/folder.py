"""A fresh folder on a real disk, because what is kept in memory proves nothing."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MOUNTS: Final = Path("/proc/self/mountinfo")
"""Where Linux lists what is mounted; other systems have no such file, and keep no temporary files in memory."""
MEMORY: Final = frozenset({"tmpfs", "ramfs"})


class Folder:
    """Where one demonstration happens."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.in_memory = is_in_memory(path)
        self.kept = False
        """Whether it stays when the demonstration is over."""

    def lines(self, name: str) -> list[str]:
        """The complete lines of a file, none if it is not there yet."""
        try:
            text = (self.path / name).read_text("utf-8", errors="replace")
        except FileNotFoundError:
            return []
        return text[: text.rfind("\n") + 1].splitlines()


@contextmanager
def fresh_folder() -> Iterator[Folder]:
    """A new folder, removed afterwards unless it was marked as kept."""
    folder = Folder(Path(tempfile.mkdtemp(prefix="postlude-demo-", dir=_parent())))
    try:
        yield folder
    finally:
        if not folder.kept:
            rmtree(folder.path, ignore_errors=True)


def _parent() -> Path:
    """The usual place for temporary files, or another one if that is not on a disk."""
    usual = Path(tempfile.gettempdir())
    others = (Path("/var/tmp"), Path.cwd())  # noqa: S108 - mkdtemp makes a folder of its own there
    usable = (path for path in (usual, *others) if os.access(path, os.W_OK) and not is_in_memory(path))
    return next(usable, usual)


def is_in_memory(path: Path) -> bool:
    """Whether a folder is gone when the machine is switched off."""
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = [line.split() for line in MOUNTS.read_text("utf-8", errors="replace").splitlines()]
    except OSError:
        return False
    # The third field is the device; the kind of file system follows a lone hyphen.
    kinds = {fields[fields.index("-") + 1] for fields in mounts if "-" in fields[:-1] and fields[2] == number}
    return bool(kinds & MEMORY)
