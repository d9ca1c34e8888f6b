"""Reports that are on their way: what a claim has to say is written before its end, or it would be refused."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from postlude.job import Settlement


class Reports:
    """Each goes by a connection of its own, and an end by another one. On the bridge's loop."""

    def __init__(self) -> None:
        self._under_way: set[tuple[frozenset[UUID], asyncio.Event]] = set()

    @contextmanager
    def of(self, jobs: frozenset[UUID]) -> Iterator[None]:
        """A report of these is on its way as long as the block lasts."""
        report = jobs, asyncio.Event()
        self._under_way.add(report)
        try:
            yield
        finally:
            self._under_way.discard(report)
            report[1].set()

    async def before(self, payloads: Sequence[Sequence[Settlement]]) -> None:
        """Return when those have ended that have to be written before these settlements."""
        if self._under_way:
            ending = {settlement.job_id for payload in payloads for settlement in payload}
            for jobs, ended in tuple(self._under_way):
                if not jobs.isdisjoint(ending):
                    await ended.wait()
