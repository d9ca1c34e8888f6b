"""A copy of a store, for safe keeping."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw

from postlude.errors import PostludeError, StoreLocationError
from postlude.stores.examining import path_of
from postlude.stores.sqlite.copying import CopyDamaged, copy_file
from postlude.stores.urls import is_postgres

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from postlude.settings import Settings


class NotCopied(PostludeError):
    """There is no copy; the message says why, and what to do."""


def copy_store(settings: Settings, target: Path, told: Callable[[int, int], None], *, replace: bool) -> int:
    """Copy the file in which jobs are kept, while applications use it; returns how many jobs are in the copy.

    Args:
        settings: where the jobs are.
        target: of the copy.
        told: called with how much of it is there, and with how much there is.
        replace: whether to put it in the place of what is there.

    Raises:
        NotCopied: it could not be made, or what keeps the jobs is no file.
        StoreLocationError: there is no store.
    """
    if is_postgres(settings.url):
        message = (
            "Jobs are kept in PostgreSQL, which makes copies itself, together with the rest of its database: run "
            f"pg_dump --format=custom --schema={settings.schema or 'postlude'} --file={target}, or rely on its own "
            "backups (pg_basebackup and the archive of its log)."
        )
        raise NotCopied(message)
    path = path_of(settings.url)
    target = target.absolute()
    if not path.exists():
        message = f"There is no store at {path}."
        raise StoreLocationError(message)
    if target.is_dir():
        message = f"{target} is a folder: name the file, such as {target / path.name}."
        raise NotCopied(message)
    if target.exists():
        if target.samefile(path):
            message = f"{target} is the store itself: name another file."
            raise NotCopied(message)
        if not replace:
            message = f"{target} is there already: name another file, or replace it with --force."
            raise NotCopied(message)
    try:
        return copy_file(path, target, told)
    except (apsw.Error, OSError) as error:
        message = f"{path} could not be copied to {target}: {error}. Nothing is left of the copy."
        raise NotCopied(message) from error
    except CopyDamaged as error:
        message = (
            f"The copy of {path} is damaged ({error}), so most likely the store is: nothing is left of the copy. Look "
            "at the disk, and restore an older one."
        )
        raise NotCopied(message) from error
