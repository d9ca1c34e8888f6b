"""What the database and the way to it raise, as errors of Postlude that say what to do."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import asyncpg

from postlude.errors import PostludeError, StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMES_BACK: Final = (
    OSError,
    TimeoutError,
    asyncio.TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,  # the connection was closed under an operation, most often
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,  # the server stops, starts or was told to end the connection
    asyncpg.InsufficientResourcesError,  # no connection left, the disk is full
    asyncpg.ReadOnlySQLTransactionError,  # a standby, or a primary that was one until now
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.PostgresSystemError,
)
AGAIN: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""What another try of the same transaction may not meet."""


@contextmanager
def translated(shown: str) -> Iterator[None]:
    """Raise what the block raises in the words of Postlude.

    Args:
        shown: the address of the database, without a password.

    Raises:
        StoreUnavailable: it may work again by itself; a write may have happened or not.
        StoreError: somebody has to do something.
    """
    try:
        yield
    except PostludeError:
        raise
    except asyncpg.InsufficientPrivilegeError as error:
        message = (
            f"{shown}: {error}. Grant the role what it needs on the schema (docs/postgresql.md has the lines), or let "
            "POSTLUDE_URL name another role."
        )
        raise StoreError(message) from error
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.UndefinedColumnError) as error:
        message = f"{shown}: {error}. The schema is missing or older than this release: run `postlude migrate`."
        raise StoreError(message) from error
    except _COMES_BACK as error:
        message = f"{shown} did not answer as it should: {type(error).__name__}: {error}"
        raise StoreUnavailable(message) from error
    except asyncpg.PostgresError as error:
        message = f"{shown}: {type(error).__name__}: {error}"
        raise StoreError(message) from error


def is_of_one(error: BaseException) -> bool:
    """Whether an error may be the fault of one of several payloads, and not of the database or the way there."""
    return not isinstance(error, StoreUnavailable) and isinstance(error, (PostludeError, asyncpg.PostgresError))
