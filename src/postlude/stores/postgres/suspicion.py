"""Since when the locks of others were found free: a connection that was cut comes back before the second look."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


class Suspicion:
    """What this process has seen, look after look."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}

    def confirmed(self, silent: Collection[int], after: float, asked: Collection[int] | None = None) -> set[int]:
        """Those whose lock was free at an earlier look, so many seconds ago or more, and at every one since.

        Nobody waits for the second look here: whoever rescues looks again anyway, and all looks of a process count.

        Args:
            silent: whose lock is free now.
            after: seconds.
            asked: of whom this look can say anything; None: of everybody there is.
        """
        now = time.monotonic()
        left_out = {} if asked is None else {one: since for one, since in self._since.items() if one not in asked}
        found = {worker: self._since.get(worker, now) for worker in silent}
        self._since = left_out | found
        return {worker for worker, since in found.items() if now - since >= after}
