"""Where the tables are: data sets, and uploads that wait for their report. In a folder, on S3, where fsspec leads."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal, NamedTuple
from uuid import UUID

from fsspec import AbstractFileSystem, url_to_fs  # type: ignore[import-untyped]
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]
from pydantic import BaseModel

from reports.question import Refused
from reports.settings import settings

Format = Literal["csv", "parquet"]
FORMATS: Mapping[str, Format] = {".csv": "csv", ".parquet": "parquet"}
UPLOADED_PARQUET = b"PAR1"


class Data(BaseModel):
    """The table that a report is about, as its job stores it: the same in every process, whatever is mounted where."""

    name: str
    """For people: that of the data set, or of the file that was sent."""
    format: Format
    version: str
    """Other content has another one: the digest of an upload, and what the file system knows a data set by."""
    uploaded: bool = False
    files: int = 1


class Files(NamedTuple):
    """What DuckDB opens."""

    paths: Sequence[str]
    format: Format
    filesystem: AbstractFileSystem | None = None
    """To be asked for them; None: they are local, and DuckDB reads them itself."""
    uploaded: bool = False
    """Somebody has sent them: what they come to when they are unpacked is looked at."""


@contextmanager
def reaching() -> Iterator[None]:
    """What the library of a storage elsewhere raises is an `OSError`: it may be back later, so it is tried again."""
    try:
        yield
    except Exception as error:
        if (
            isinstance(error, OSError | Refused) or type(error).__module__ == "builtins"
        ):  # the last are mistakes of ours
            raise
        raise OSError(str(error)) from error


class Folder:
    """One folder of one file system.

    Args:
        url: a path, or a URL that fsspec knows.
    """

    def __init__(self, url: str) -> None:
        found: tuple[AbstractFileSystem, str] = url_to_fs(url)
        self.fs, self.root = found

    def path(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{name}"

    def files(self, names: Sequence[str], form: Format) -> Files:
        paths = [self.path(name) for name in names]
        if isinstance(self.fs, LocalFileSystem):
            return Files(paths, form)
        return Files([self.fs.unstrip_protocol(path) for path in paths], form, self.fs)

    def list(self, below: str = "") -> Sequence[Mapping[str, Any]]:
        """What is in it, each with its `name` as it is seen from here."""
        folder = self.path(below).rstrip("/")
        try:
            found: list[dict[str, Any]] = self.fs.ls(folder, detail=True, refresh=True)
        except FileNotFoundError:
            return []
        prefix = f"{below}/" if below else ""
        named = ({**entry, "name": f"{prefix}{PurePosixPath(entry['name']).name}"} for entry in found)
        return sorted(named, key=lambda entry: str(entry["name"]))


# Data sets


def data_sets() -> Iterator[str]:
    """The names under which one may ask: of files, and of folders that hold the parts of one table."""
    for entry in Folder(settings().reports_data).list():
        name = entry["name"]
        if PurePosixPath(name).suffix in FORMATS or (entry["type"] == "directory" and _parts(name)):
            yield name


def _parts(name: str) -> Sequence[str]:
    """The names of the files of one data set."""
    if PurePosixPath(name).suffix in FORMATS:
        return [name]
    names = [entry["name"] for entry in Folder(settings().reports_data).list(name) if entry["type"] != "directory"]
    forms = [PurePosixPath(each).suffix for each in names]
    return names if len({*forms}) == 1 and forms[0] in FORMATS else []


@reaching()
def data_set(name: str) -> Data:
    """The data set of that name.

    Raises:
        Refused: there is none.
    """
    known = [*data_sets()]
    if name not in known:
        close = get_close_matches(name, known, 1)
        hint = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(known) or 'none'}."
        raise Refused(f"There is no data set {name!r}. {hint}")
    folder, parts = Folder(settings().reports_data), _parts(name)
    marks = "".join(str(folder.fs.ukey(folder.path(part))) for part in parts)
    version = hashlib.sha256(marks.encode()).hexdigest()
    form = FORMATS[PurePosixPath(parts[0]).suffix]
    return Data(name=name, format=form, version=version, files=len(parts))


@reaching()
def files_of(data: Data, job: UUID) -> Files:
    """Where the table is.

    Args:
        data: which.
        job: the report's, under whose id an upload waits.

    Raises:
        Refused: it is not there any more.
    """
    folder = Folder(settings().reports_storage if data.uploaded else settings().reports_data)
    names = [str(job)] if data.uploaded else _parts(data.name)
    if not names or not all(folder.fs.exists(folder.path(name)) for name in names):
        raise Refused(f"{data.name} is not there any more. Please {'send it again' if data.uploaded else 'ask again'}.")
    return folder.files(names, data.format)._replace(uploaded=data.uploaded)


# Uploads


@reaching()
def keep(job: UUID, file: IO[bytes]) -> None:
    """Have an upload wait for its report."""
    folder = Folder(settings().reports_storage)
    folder.fs.makedirs(folder.root, exist_ok=True)
    file.seek(0)
    try:
        with folder.fs.open(folder.path(str(job)), "wb") as kept:
            shutil.copyfileobj(file, kept, 1 << 20)
    except BaseException:
        remove(job)
        raise


@reaching()
def remove(job: UUID) -> None:
    """Remove the upload of a report, if it is still there."""
    folder = Folder(settings().reports_storage)
    with suppress(FileNotFoundError):
        folder.fs.rm(folder.path(str(job)))


def waiting_uploads(older_than: timedelta) -> Sequence[UUID]:
    """The ids of the reports of which an upload has been there for so long."""
    folder, found = Folder(settings().reports_storage), []
    for entry in folder.list():
        with suppress(ValueError):  # not ours
            job = UUID(str(entry["name"]))
            if datetime.now(UTC) - _came(folder, str(job)) >= older_than:
                found.append(job)
    return found


def _came(folder: Folder, name: str) -> datetime:
    moment: datetime = folder.fs.modified(folder.path(name))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def sent(name: str, file: IO[bytes]) -> Data:
    """What was sent to us, by its content and not by its name.

    Raises:
        Refused: it is no table that we read.
    """
    file.seek(0)
    head = file.read(4)
    if not head:
        raise Refused("The file is empty.")
    if head.startswith(b"PK\x03\x04"):
        raise Refused("This is a ZIP archive, or an Excel workbook. Save the sheet as CSV UTF-8, and send that.")
    if head.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zX")):
        raise Refused("This file is compressed. Unpack it, or send Parquet, which is small as it is.")
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    form: Format = "parquet" if head == UPLOADED_PARQUET else "csv"
    return Data(name=Path(name).name[:100] or "upload", format=form, version=digest.hexdigest(), uploaded=True)
