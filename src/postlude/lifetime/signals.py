"""The first signal that ends the process, heard beside whoever handles it already."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


class SignalWatch:
    """Calls `heard` at the first SIGTERM or SIGINT, then the handler that was there.

    The server hears the same signal, but tells the application only when all open responses have ended: by then the
    grace may be over. Handlers are chained, never replaced: after `stop` what was there is there again.
    """

    def __init__(self, heard: Callable[[], None]) -> None:
        self._heard = heard
        self._listening = False
        self._before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def start(self) -> None:
        """Begin to listen. Does nothing outside the main thread, where Python allows no handlers."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._listening = True
        for number in {signal.SIGTERM, signal.SIGINT} - self._before.keys():
            before = signal.getsignal(number)
            # None: somebody set it in C. To ignore a signal is a decision to respect.
            if before is not None and before is not signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self._handle)

    def stop(self) -> None:
        """Put the handlers back that were there; where somebody has chained on to ours, it only passes on."""
        self._listening = False
        for number, before in tuple(self._before.items()):
            if signal.getsignal(number) == self._handle:
                signal.signal(number, before)
                del self._before[number]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        before = self._before.get(number)
        try:
            if self._listening:
                self._heard()
        finally:
            # Whatever happens here, the server hears of it too: else the process could not be ended.
            if callable(before):
                before(number, frame)
            elif before is signal.SIG_DFL:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
