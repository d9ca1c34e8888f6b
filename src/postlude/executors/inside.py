"""What must not happen where modules are only loaded, and the application is not to start.

In a child of `executor="process"`, which runs tasks and is no second copy of the application, and in the process of a
worker, which starts the application later.
"""

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


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """While a worker that has a process to itself imports its application, which it starts later, once."""
    global _loading  # noqa: PLW0603 - as above
    before, _loading = _loading, True
    try:
        yield
    finally:
        _loading = before


def refuse_to_open() -> None:
    """Nothing, unless the store is to be opened by a module that is only loaded. A running task may.

    Raises:
        StartedInChild: it is: each child would add the jobs of an unguarded script once more.
    """
    if _loading:
        raise StartedInChild


def refuse_to_start() -> None:
    """Nothing, unless an application is to start in a child, or by a module that is only loaded.

    Raises:
        StartedInChild: it is: a server, and a worker with it.
    """
    if _is_child or _loading:
        raise StartedInChild
