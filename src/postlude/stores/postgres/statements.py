"""The SQL of the driver, read from the files beside it when it is first needed."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent.parent / "sql" / "postgres"

_PARTS: Final = {
    "RECORD": "parts/record",
    "CLAIM": "parts/claim",
    "LOOK_BESIDE": "parts/look_beside",
    "KEPT_ARGUMENTS": "parts/kept_arguments",
    "NEW_COLUMNS": "parts/new_columns",
}
"""Texts that several statements share, by the word that stands for them."""


@cache
def sql(name: str, schema: str) -> str:
    """The text of one statement for the tables of a schema; a word in capitals in it may stand for a shared part."""
    text = (FOLDER / f"{name}.sql").read_text("utf-8")
    for word, part in _PARTS.items():
        if word in text:
            text = text.replace(word, sql(part, schema).rstrip("\n"))
    return text.replace("{schema}", f'"{schema}"')  # which may be a word of SQL, like user
