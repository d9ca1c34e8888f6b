"""The command `postlude`. What it stands on is an extra, so nothing but the standard library is imported here."""

from __future__ import annotations

import sys
from importlib.util import find_spec

NEEDED = ("typer", "rich", "uvicorn")
"""What `postlude[standard]` installs and the command cannot do without."""


def main() -> None:
    """Run the command, or say in one line what is missing for it."""
    missing = [name for name in NEEDED if not _is_installed(name)]
    if missing:
        names = " and ".join(missing)
        sys.exit(f"The postlude command needs {names}, not found here. Run: pip install 'postlude[standard]'")
    from postlude.cli.commands import commands  # noqa: PLC0415 - only now is it known that this can be imported

    commands()


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
