"""Bringing the schema of a store up to date without opening it, or only saying what that would take."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from postlude.stores import check, postgres_at
from postlude.stores.sqlite.lacking import lacking_in, migrate_file
from postlude.stores.urls import PREFIX, is_postgres

if TYPE_CHECKING:
    from postlude.settings import Password


class Lacking(NamedTuple):
    """How far a schema is behind this release."""

    location: str
    """Where it is, for people, without any password."""
    found: int
    """The migration that it is at; 0: there is none. Greater than `known`: a later release was there."""
    known: int
    """The last migration of this release."""
    script: str
    """SQL that carries out those that are missing; empty when none is."""


async def lacking(
    url: str, *, direct_url: str | None = None, schema: str | None = None, password: Password | None = None
) -> Lacking:
    """What is missing. Changes nothing.

    Raises:
        SettingsError: the URL names no store.
        StoreError: it cannot be looked at, or a later release has changed it beyond this one.
    """
    check(url, direct_url=direct_url, schema=schema, password=password)
    if not is_postgres(url):
        return Lacking(*lacking_in(url.removeprefix(PREFIX)))
    location = postgres_at(url, direct_url=direct_url, schema=schema, password=password)
    from postlude.stores.postgres.lacking import lacking_at  # noqa: PLC0415 - who keeps jobs in a file may not have it

    return Lacking(*await lacking_at(location))


async def migrate(
    url: str, *, direct_url: str | None = None, schema: str | None = None, password: Password | None = None
) -> Lacking:
    """Carry out what is missing; returns what was.

    Raises:
        SettingsError: the URL names no store.
        StoreError: it cannot be done; what was done before is whole, and the same again does the rest.
    """
    found = await lacking(url, direct_url=direct_url, schema=schema, password=password)
    if found.script and is_postgres(url):
        from postlude.stores.postgres.lacking import migrate_at  # noqa: PLC0415 - as above

        await migrate_at(postgres_at(url, direct_url=direct_url, schema=schema, password=password))
    elif found.script:
        await migrate_file(url.removeprefix(PREFIX))
    return found
