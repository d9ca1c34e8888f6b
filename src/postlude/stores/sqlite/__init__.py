"""The SQLite driver: one file on one host, written by any number of its processes."""

from postlude.stores.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]
