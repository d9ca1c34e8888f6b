"""The statements on an outbox: those that a caller's connection writes with, and those that take from it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

# Read when the module is: some are wanted on an event loop, which must not wait for a disk.
_SQL: Final = {path.stem: path.read_text("utf-8") for path in (Path(__file__).parent / "sql" / "outbox").glob("*.sql")}


def sql(name: str) -> str:
    """The text of one of them."""
    return _SQL[name]
