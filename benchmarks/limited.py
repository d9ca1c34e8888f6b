"""A task with limits."""

from __future__ import annotations

from benchmarks import chores
from postlude import task


@task(max_running=4, rate="1000/s", partition_by=lambda email: email)
async def count_limited(email: str, message: str = "") -> None:  # noqa: ARG001
    """As `chores.count_async`, with limits that hold back nothing: what is measured is to look."""
    chores.ran += 1
