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

    def confirmed(self, silent: Collection[int], after: float) -> set[int]:
        """Those whose lock was free at an earlier look, so many seconds ago or more, and at every one since.

        Nobody waits for the second look here: whoever rescues looks again anyway, and all looks of a process count.
        """
        now = time.monotonic()
        self._since = {worker: self._since.get(worker, now) for worker in silent}
        return {worker for worker, since in self._since.items() if now - since >= after}
