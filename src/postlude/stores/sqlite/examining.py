"""A look at a file and the file system that it is on; nothing is written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import apsw

from postlude.errors import PostludeError
from postlude.findings import Finding, Looked, Place
from postlude.stores.sqlite import location
from postlude.stores.sqlite.connection import connect, disconnect
from postlude.stores.sqlite.departing import moved
from postlude.stores.sqlite.migrations import MIGRATIONS
from postlude.stores.sqlite.statements import sql

if TYPE_CHECKING:
    from pathlib import Path


def examine_file(path: Path) -> Place:
    """What is wrong with the place of a SQLite store."""
    file, usable = _look_at_place(path)
    looked = {"file": file}
    if not usable or not path.exists():
        return Place(looked, ready=False)
    try:
        key = location.opened(path)
        try:
            connection = connect(path, vfs=None, read_only=True)
            try:
                schema, ready = _look_at_schema(connection, path)
            finally:
                disconnect(connection)
        finally:
            location.closed(key)
    except (PostludeError, apsw.Error, OSError) as error:
        cure = "Make it readable and writable for this process, or set POSTLUDE_URL to another file."
        return Place(looked | {"schema": Looked(findings=[Finding(str(error), cure, serious=True)])}, ready=False)
    return Place(looked | {"schema": schema}, ready=ready)


def _look_at_place(path: Path) -> tuple[Looked, bool]:
    """What there is to say of it, and whether a store can be there at all."""
    try:
        folder = next(each for each in path.parents if each.is_dir())
    except PermissionError:
        what = f"a folder above {path.parent} may not be entered by this process"
        cure = "Allow that, or set POSTLUDE_URL to a file in another one."
        return Looked(findings=[Finding(what, cure, serious=True)]), False
    is_made = path.parent in {folder, folder / location.DEFAULT_FOLDER}
    if not is_made or not os.access(folder, os.W_OK | os.X_OK):
        what = (
            f"the folder {folder} is not writable for this process" if is_made else f"there is no folder {path.parent}"
        )
        cure = "Make it so, or set POSTLUDE_URL to a file in another one."
        return Looked(findings=[Finding(what, cure, serious=True)]), False
    try:
        warnings = location.warnings_at(folder / path.name)
    except PostludeError as error:
        return Looked(findings=[Finding(str(error), "", serious=True)]), False
    if warnings:  # each of which names its cure
        return Looked(findings=[Finding(warning, "", serious=True) for warning in warnings]), True
    if not path.exists():
        return Looked(f"{path} is not there yet: whoever opens it first makes it"), True
    return Looked(str(path)), True


def _look_at_schema(connection: apsw.Connection, path: Path) -> tuple[Looked, bool]:
    found, known = connection.pragma("user_version"), MIGRATIONS[-1].version
    if found > known and connection.execute(sql("needs")).get > known:
        cure = "Start the newer release again, or set POSTLUDE_URL to another store."
        what = f"{path} has schema {found}, and this release knows {known}: it cannot work there"
        return Looked(findings=[Finding(what, cure, serious=True)]), False
    if found < known:
        said = f"{found} of {known}: the next start of the application migrates it, and the release before works on it"
        return Looked(said), False
    error = moved(connection, path)
    if error is not None:
        return Looked(findings=[Finding(str(error), "", serious=True)]), False
    return Looked(f"{found}"), True
