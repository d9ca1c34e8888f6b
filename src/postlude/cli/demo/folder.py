"""A fresh folder on a real disk, because what is kept in memory proves nothing."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING

from postlude.stores import filesystem

if TYPE_CHECKING:
    from collections.abc import Iterator


class Folder:
    """Where one demonstration happens."""

    def __init__(self, path: Path) -> None:
        self.path: Path = path
        self.in_memory: bool = is_in_memory(path)
        self.kept: bool = False
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
    mount = filesystem.mount_under(path)
    return mount is not None and mount.kind in filesystem.MEMORY
