"""What the database and the way to it raise, as errors of Postlude that say what to do."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import asyncpg

from postlude.errors import PostludeError, StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMES_BACK: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,  # the connection was closed under an operation, most often
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,  # the server stops, starts or was told to end the connection
    asyncpg.InsufficientResourcesError,  # no connection left, the disk is full
    asyncpg.ReadOnlySQLTransactionError,  # a standby, or a primary that was one until now
    asyncpg.TransactionRollbackError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # the database lets nobody in just now; a lock was not free
    asyncpg.QueryCanceledError,
    asyncpg.PostgresSystemError,
)
_WITH_CURE: Final = (
    (asyncpg.InvalidCatalogNameError, "Create the database (createdb), or correct its name in POSTLUDE_URL."),
    (
        asyncpg.InvalidAuthorizationSpecificationError,
        "Correct the user and the password, in POSTLUDE_URL or POSTLUDE_PASSWORD, or add ?sslmode=require to the URL.",
    ),
    (
        asyncpg.InsufficientPrivilegeError,
        "Grant the role what it needs (docs/postgres.md has the lines), or let POSTLUDE_URL name another role.",
    ),
    (
        (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.UndefinedColumnError),
        "The schema is missing, or older than this release: run `postlude migrate`.",
    ),
    (
        asyncpg.ReadOnlySQLTransactionError,
        (
            "If that lasts, it is a standby, or made read-only: name all servers in POSTLUDE_URL, with "
            "target_session_attrs=read-write, or see to default_transaction_read_only."
        ),
    ),
    (
        asyncpg.TooManyConnectionsError,
        (
            "If that lasts, raise max_connections, or the limit of the role or the database, run fewer processes, or "
            "put a pooler between (docs/connections.md)."
        ),
    ),
    (
        OSError,  # TimeoutError too
        "If that lasts, see whether the server runs there, and whether host and port in POSTLUDE_URL are right.",
    ),
)
"""What lasts until somebody does something, and then works again without a restart."""
_OF_URL: Final = (
    asyncpg.ClientConfigurationError,
    asyncpg.UndefinedObjectError,  # what asyncpg does not know goes to the server, as a setting
    asyncpg.CantChangeRuntimeParamError,
)
AGAIN: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""What another try of the same transaction may not meet."""


@contextmanager
def translated(shown: str, *, reaching: bool = False) -> Iterator[None]:
    """Raise what the block raises in the words of Postlude.

    Args:
        shown: the address of the database, without a password.
        reaching: whether it only gets a connection: nothing that goes wrong there is the fault of what is to be done.

    Raises:
        StoreUnavailable: it may work again by itself; a write may have happened or not.
        StoreError: somebody has to do something.
    """
    try:
        yield
    except PostludeError:
        raise
    except _OF_URL as error:
        message = f"{shown}: {_line(error)}. If that stands in POSTLUDE_URL, correct it there."
        raise StoreError(message) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        for kinds, cure in _WITH_CURE:
            if isinstance(error, kinds):
                message = f"{shown}: {_line(error)}. {cure}"
                raise StoreUnavailable(message) from error
        if isinstance(error, _COMES_BACK):
            message = f"{shown} did not answer as it should: {_line(error)}"
            raise StoreUnavailable(message) from error
        message = f"{shown}: {_line(error)}"
        raise (StoreUnavailable if reaching else StoreError)(message) from error


def _line(error: BaseException) -> str:
    """What it says, in one line; its kind where it says nothing."""
    said = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def is_of_one(error: BaseException) -> bool:
    """Whether an error may be the fault of one of several payloads, and not of the database or the way there."""
    return not isinstance(error, StoreUnavailable) and isinstance(error, (PostludeError, asyncpg.PostgresError))
