"""A look at the place where jobs are kept, before anything is opened, made or migrated there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from postlude.stores import postgres_at
from postlude.stores.sqlite.examining import examine_file
from postlude.stores.urls import PREFIX, is_postgres

if TYPE_CHECKING:
    from postlude.clock import Clock
    from postlude.findings import Place
    from postlude.settings import Settings


async def examine(settings: Settings, clock: Clock) -> Place:
    """What is wrong with the place that the settings name.

    Raises:
        SettingsError: the driver is not installed.
    """
    s = settings
    if not is_postgres(s.url):
        return examine_file(path_of(s.url))
    location = postgres_at(s.url, direct_url=s.direct_url, namespace=s.namespace, schema=s.schema, password=s.password)
    from postlude.stores.postgres.examining import examine_database  # noqa: PLC0415 - it needs asyncpg

    return await examine_database(location, clock, migrates=s.migrate != "never")


def path_of(url: str) -> Path:
    """The file that a URL of SQLite names."""
    return Path(url.removeprefix(PREFIX)).absolute()
