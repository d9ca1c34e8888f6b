"""The tasks that the benchmarks run. They do nothing, or note that they did."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

ran = 0
_counting = threading.Lock()
delays: list[float] = []


async def nothing_async(email: str, message: str = "") -> None:
    """For the loop."""


def nothing_def(email: str, message: str = "") -> None:
    """For the threads."""


async def count_async(email: str, message: str = "") -> None:  # noqa: ARG001 - to be stored as well
    global ran  # noqa: PLW0603 - one number for one process
    ran += 1


def count_def(email: str, message: str = "") -> None:  # noqa: ARG001
    global ran  # noqa: PLW0603
    with _counting:
        ran += 1


async def tick() -> None:
    """For a schedule."""


async def note_delay(added: float) -> None:
    """Note how long ago it was added, by the clock of the same process."""
    delays.append(time.perf_counter() - added)


def note_delay_def(added: float) -> None:
    delays.append(time.perf_counter() - added)


async def pause(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def work(seconds: float, diary: str) -> None:
    """Note in a file when it began, by a clock that all processes of the machine share, and take its time."""
    with Path(diary).open("a", encoding="ascii") as file:  # noqa: ASYNC230 - one short line
        file.write(f"{time.monotonic()}\n")
    await asyncio.sleep(seconds)
