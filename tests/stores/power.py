"""A disk that forgets: records what SQLite does to its files, and says what is left when the power is cut.

What was written is safe once the file was synced, and a file is found again once the folder was synced after it was
made. Of all the rest anything may be left: any of the writes, in any order, each of them in part.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import apsw
import pytest

from postlude.stores.sqlite import location

SECTOR = 512
"""What a disk writes whole or not at all."""


class Write(NamedTuple):
    name: str
    offset: int
    data: bytes


class Truncate(NamedTuple):
    name: str
    size: int


class Sync(NamedTuple):
    name: str


class Create(NamedTuple):
    name: str


class Delete(NamedTuple):
    name: str


class SyncFolder(NamedTuple):
    pass


class Promise(NamedTuple):
    """Something was confirmed to a caller: from here on it has to survive."""

    what: object


Event = Write | Truncate | Sync | Create | Delete | SyncFolder | Promise


class Recorder(apsw.VFS):
    """The ordinary way to the disk, with a log."""

    def __init__(self, name: str, *, drops_sync_of: str | None = None) -> None:
        self.name = name
        self.events: list[Event] = []
        self.drops_sync_of = drops_sync_of
        super().__init__(name, base="")

    def promise(self, what: object) -> None:
        self.events.append(Promise(what))

    def watch_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Also record what the store does without SQLite: making the file, and syncing its folder."""
        made, sync_folder = location._made, location.sync_folder

        def recorded_made(path: Path) -> bool:
            if is_new := made(path):
                self.events.append(Create(path.name))
            return is_new

        def recorded_sync(folder: Path) -> None:
            sync_folder(folder)
            self.events.append(SyncFolder())

        monkeypatch.setattr(location, "_made", recorded_made)
        monkeypatch.setattr(location, "sync_folder", recorded_sync)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> RecordedFile:  # noqa: N802
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        is_new = path is not None and not Path(path).exists()
        file = RecordedFile(self, name, flags, Path(path).name if path else None, is_new=is_new)
        if is_new and path:
            self.events.append(Create(Path(path).name))
        return file

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        super().xDelete(filename, syncdir)
        self.events.append(Delete(Path(filename).name))
        if syncdir:
            self.events.append(SyncFolder())


class RecordedFile(apsw.VFSFile):
    def __init__(
        self,
        recorder: Recorder,
        name: str | apsw.URIFilename | None,
        flags: list[int],
        label: str | None,
        *,
        is_new: bool,
    ) -> None:
        self.recorder = recorder
        self.label = label
        self.folder_unsynced = is_new
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        super().xWrite(data, offset)
        if self.label:
            self.recorder.events.append(Write(self.label, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        super().xTruncate(newsize)
        if self.label:
            self.recorder.events.append(Truncate(self.label, newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802
        if self.label and self.recorder.drops_sync_of == self.label.removeprefix("jobs.db"):
            return
        super().xSync(flags)
        if self.label:
            self.recorder.events.append(Sync(self.label))
            if self.folder_unsynced:
                # SQLite syncs the folder with the first sync of a journal or a log that it has made.
                self.recorder.events.append(SyncFolder())
                self.folder_unsynced = False


@dataclass
class File:
    safe: bytearray = field(default_factory=bytearray)
    unsafe: list[Write | Truncate] = field(default_factory=list)

    def survives(self, luck: random.Random | None) -> bytes:
        data = bytearray(self.safe)
        if luck is not None:
            for change in self.unsafe:
                for part in torn(change, luck) if luck.random() < 0.5 else ():
                    apply(data, part)
        return bytes(data)

    def sync(self) -> None:
        for change in self.unsafe:
            apply(self.safe, change)
        self.unsafe.clear()


def apply(data: bytearray, change: Write | Truncate) -> None:
    if isinstance(change, Truncate):
        del data[change.size :]
        return
    if len(data) < change.offset:
        data.extend(bytes(change.offset - len(data)))
    data[change.offset : change.offset + len(change.data)] = change.data


def torn(change: Write | Truncate, luck: random.Random) -> Iterator[Write | Truncate]:
    """Whole, or some of its sectors."""
    if isinstance(change, Truncate) or luck.random() < 0.5:
        yield change
        return
    start, end = change.offset, change.offset + len(change.data)
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        if luck.random() < 0.5:
            yield Write(change.name, start, change.data[start - change.offset : stop - change.offset])
        start = stop


class Disk:
    """What a recording has done to the files of the folder so far."""

    def __init__(self) -> None:
        self.found: dict[str, File] = {}
        """Under the names that are safe."""
        self.named: dict[str, File] = {}
        """As the running process sees it."""
        self.promised: list[object] = []

    def apply(self, event: Event) -> None:
        match event:
            case Create(name):
                self.named[name] = File()
            case Delete(name):
                self.named.pop(name, None)
            case SyncFolder():
                self.found = dict(self.named)
            case Promise(what):
                self.promised.append(what)
            case Sync(name):
                self.named[name].sync()
            case Write(name) | Truncate(name):
                self.named[name].unsafe.append(event)

    def after_power_cut(self, luck: random.Random | None) -> dict[str, bytes]:
        """What is found: only what is safe, or with some luck more."""
        files = dict(self.found)
        if luck is not None:
            for name in sorted(self.named.keys() | self.found.keys()):
                if luck.random() < 0.5:
                    files.pop(name, None)
                    if name in self.named:
                        files[name] = self.named[name]
        return {name: file.survives(luck) for name, file in files.items()}


def power_cuts(
    events: list[Event],
    *,
    seed: int,
    lucky: int,
    between: float,
    check: Callable[[dict[str, bytes], list[object]], None],
) -> int:
    """Cut the power before and after every sync, and at some moments in between; returns how often.

    Args:
        events: the recording.
        seed: of the luck.
        lucky: how many times at each moment something of the unsafe is left, besides the once that nothing is.
        between: with which probability at an event that is no sync.
        check: is given the files that are found, and what was promised.
    """
    luck = random.Random(seed)
    disk, cuts = Disk(), 0
    for number, event in enumerate(events):
        follows = events[number + 1] if number + 1 < len(events) else None
        disk.apply(event)
        at_sync = isinstance(event, Sync | SyncFolder) or isinstance(follows, Sync | SyncFolder)
        if at_sync or follows is None or luck.random() < between:
            for chance in [None, *[luck] * lucky]:
                check(disk.after_power_cut(chance), disk.promised)
                cuts += 1
    return cuts
