"""What asyncio leaves to its users: to ask for the running loop where there may be none, and to keep a task."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

_kept: set[asyncio.Task[Any]] = set()
"""A loop holds its tasks weakly: one that nobody waits for would be collected as garbage while it waits."""


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread; None where there is none."""
    return asyncio._get_running_loop()  # noqa: SLF001 - the documented one raises where there is none


def in_background(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task on the running loop that goes on to its end, whether somebody waits for it or not."""
    task = asyncio.get_running_loop().create_task(work)
    _kept.add(task)
    task.add_done_callback(_kept.discard)
    return task
