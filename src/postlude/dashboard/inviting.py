"""The link that is printed on a terminal when a server starts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from postlude.dashboard.tokens import LINK_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

_SERVERS: Final = {"uvicorn", "fastapi"}
"""Commands that say in the same words where they listen."""


def invitation(path: str, token: str) -> str:
    """What is written on the terminal.

    Args:
        path: where the dashboard is mounted.
        token: of a link.
    """
    link = f"{address(sys.argv)}{path.rstrip('/')}/sign-in?token={token}"
    return f"\n  Dashboard: {link}\n  (works once, within {LINK_SECONDS / 60:.0f} minutes)\n\n"


def address(argv: Sequence[str]) -> str:
    """Where the server of this command line is reached from here; empty if that cannot be told.

    An application is not told by its server where that listens.
    """
    program = Path(argv[0] if argv else "")
    command = program.parent.name if program.name == "__main__.py" else program.name
    if command not in _SERVERS or _value(argv, "--uds") or _value(argv, "--fd"):
        return ""
    host = _value(argv, "--host") or "127.0.0.1"
    return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{_value(argv, '--port') or '8000'}"  # noqa: S104 - not bound here


def _value(argv: Sequence[str], option: str) -> str | None:
    for place, word in enumerate(argv):
        name, equals, value = word.partition("=")
        if name == option:
            return value if equals else next(iter(argv[place + 1 :]), None)
    return None
