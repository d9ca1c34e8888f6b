"""`postlude migrate`: what is missing, what would be done, or what was."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from postlude.errors import PostludeError, SettingsError
from postlude.settings import read_settings
from postlude.stores import migrating

if TYPE_CHECKING:
    from postlude.stores.migrating import Lacking


def bring_up_to_date(url: str | None, schema: str | None, *, dry_run: bool, sql: bool) -> int:
    """Carry out what is missing, or only say it; returns the exit code.

    Args:
        url: None: as the environment says.
        schema: None: as the environment says.
        dry_run: change nothing.
        sql: change nothing, and print nothing but SQL.
    """
    look = dry_run or sql
    try:
        work = migrating.lacking if look else migrating.migrate
        s = read_settings({"url": url, "schema": schema})
        found = asyncio.run(work(s.url, direct_url=s.direct_url, schema=s.schema, password=s.password))
    except PostludeError as error:
        sys.stderr.write(f"{error}\n")
        return 2 if isinstance(error, SettingsError) else 1
    sys.stdout.write(found.script if sql else f"{_told(found, look=look)}\n")
    return 0


def _told(found: Lacking, *, look: bool) -> str:
    if found.found > found.known:
        return (
            f"{found.location}: at migration {found.found}, of a later release; this one knows {found.known}, and "
            "works with it."
        )
    if not found.script:
        return f"{found.location}: up to date, at migration {found.found}."
    before = f"at migration {found.found}" if found.found else "no tables"
    then = f"migration {found.known} is to come" if look else f"now at migration {found.known}"
    return f"{found.location}: {before}; {then}."
