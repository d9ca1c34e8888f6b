"""Jobs in PostgreSQL, for any number of machines."""

from postlude.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
