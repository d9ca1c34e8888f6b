"""Where jobs are kept: the contract that every store fulfils, and one driver for each database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from postlude.errors import SettingsError
from postlude.settings import called
from postlude.stores.urls import PREFIX, is_postgres, problem_of, problem_of_direct

if TYPE_CHECKING:
    from postlude.settings import Migrate, Password, Settings
    from postlude.stores.contract import Store
    from postlude.stores.postgres.location import Location

__all__ = ["open_store", "store_of"]

_INSTEAD: Final = {
    "direct_url": "nothing stands before a file",
    "namespace": "give each application a file of its own",
    "schema": "give each application a file of its own",
    "password": "the rights of the file say who may open it",
    "migrate": "the file is migrated by whoever opens it",
}
"""What to do instead with a SQLite file, for each option that only PostgreSQL has."""


def open_store(
    url: str,
    *,
    direct_url: str | None = None,
    namespace: str | None = None,
    schema: str | None = None,
    password: Password | None = None,
    migrate: Migrate | None = None,
) -> Store:
    """The store that `url` names, not opened yet: nothing touches the disk or the network before `open()`.

    Args:
        url: `sqlite:///relative/path`, `sqlite:////absolute/path`, `postgresql://user@host:5432/database`.
        direct_url: see `Settings`; this one and the rest only with PostgreSQL.
        namespace: see `Settings`.
        schema: see `Settings`.
        password: see `Settings`.
        migrate: see `Settings`.

    Raises:
        SettingsError: the URL names no store, or one that does not have these options, or whose driver is not there.
    """
    check(url, direct_url=direct_url, namespace=namespace, schema=schema, password=password, migrate=migrate)
    if not is_postgres(url):
        from postlude.stores.sqlite import SQLiteStore  # noqa: PLC0415 - a module of tasks needs no driver

        return SQLiteStore(url.removeprefix(PREFIX))
    location = postgres_at(url, direct_url=direct_url, namespace=namespace, schema=schema, password=password)
    from postlude.stores.postgres import PostgresStore  # noqa: PLC0415 - who keeps jobs in a file need not have asyncpg

    return PostgresStore(location, migrates=migrate != "never")


def store_of(settings: Settings) -> Store:
    """The store of an application; see `open_store`."""
    s = settings
    return open_store(
        s.url,
        direct_url=s.direct_url,
        namespace=s.namespace,
        schema=s.schema,
        password=s.password,
        migrate=s.migrate,
    )


def check(url: str, **options: object) -> None:
    """Nothing, if `url` names a store that has the options which are given.

    Raises:
        SettingsError: naming everything that is wrong.
    """
    problem = problem_of(url)
    problems = [f"{called('url', url)}: {problem}"] if problem else []
    direct_url = options.get("direct_url")
    if is_postgres(url):
        problem = "" if direct_url is None else problem_of_direct(direct_url)
        problems += [f"{called('direct_url', direct_url)}: {problem}"] if problem else []
    else:
        problems += [
            f"{called(name, value)}: only PostgreSQL has it, and the store is a SQLite file: {_INSTEAD[name]}, and "
            "leave this out"
            for name, value in options.items()
            if value is not None
        ]
    if problems:
        raise SettingsError(problems)


def postgres_at(
    url: str,
    *,
    direct_url: str | None = None,
    namespace: str | None = None,
    schema: str | None = None,
    password: Password | None = None,
) -> Location:
    """The place in a PostgreSQL database.

    Raises:
        SettingsError: the driver is not installed.
    """
    try:
        from postlude.stores.postgres.location import Location, dsn_of  # noqa: PLC0415 - as above
    except ModuleNotFoundError as missing:
        if missing.name != "asyncpg":
            raise
        problem = "PostgreSQL is spoken to by asyncpg, which is not installed: pip install 'postlude[postgres]'"
        raise SettingsError([f"{called('url', url)}: {problem}"]) from None
    direct = None if direct_url is None else dsn_of(direct_url)
    return Location(dsn_of(url), schema or "postlude", namespace or "default", password, direct)
