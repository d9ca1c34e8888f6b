"""The SQL of the driver, read from the files beside it when it is first needed."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")

FOLDER = Path(__file__).parent.parent / "sql" / "sqlite"
LARGEST_PORTION = 128
"""Rows of one statement at most. Beyond that a longer text is no faster, and SQLite limits the parameters to 32,766."""

_PARTS = {"RECORD": "parts/record", "KEPT_ARGUMENTS": "parts/kept_arguments", "TO_MOVE": "parts/to_move"}
"""The columns of a record; what is left of the arguments of a job that ends; and whether a job is to move."""


@cache
def sql(name: str) -> str:
    """The text of one statement; a word in capitals in it may stand for a part that several share."""
    text = (FOLDER / f"{name}.sql").read_text("utf-8")
    for word, part in _PARTS.items():
        if word in text:
            text = text.replace(word, sql(part))
    return text


@cache
def sql_for(name: str, count: int) -> str:
    """The statement with what stands in braces repeated `count` times, separated by commas."""
    return re.sub(r"\{(.*?)\}", lambda braces: ", ".join([braces[1]] * count), sql(name), flags=re.DOTALL)


def portions(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut into pieces whose lengths are powers of two, so that few texts of a statement are ever prepared."""
    start, total = 0, len(items)
    while start < total:
        size = min(1 << (total - start).bit_length() - 1, LARGEST_PORTION)
        yield items[start : start + size]
        start += size
