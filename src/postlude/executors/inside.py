"""What must not happen in a child of `executor="process"`: it runs tasks, and is no second copy of the application."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from postlude.errors import StartedInChild

if TYPE_CHECKING:
    from collections.abc import Iterator

_is_child = False
_loading = False


def enter_child() -> None:
    """This process is a child, from now on."""
    global _is_child  # noqa: PLW0603 - a fact about the process
    _is_child = True


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """While the application's modules are loaded. What they do at import was done where the application runs."""
    global _loading  # noqa: PLW0603 - as above
    before, _loading = _loading, _is_child
    try:
        yield
    finally:
        _loading = before


def refuse_to_open() -> None:
    """Nothing, unless the store is to be opened by a module that a child is loading. A running task may.

    Raises:
        StartedInChild: it is: each child would add the jobs of an unguarded script once more.
    """
    if _loading:
        raise StartedInChild


def refuse_to_start() -> None:
    """Nothing, unless an application is to start in a child.

    Raises:
        StartedInChild: it is: a server, and a worker with it.
    """
    if _is_child:
        raise StartedInChild
