"""A fork with the file open: the connections are closed before it, and each side opens its own when it needs one.

SQLite knows within a process, in a table in memory, which locks it has on a file. A forked child would inherit the
table and none of the locks: it would write without them, and the parent, if it closes last as far as it can see, would
remove the write-ahead log from under the child. Therefore nothing may be open at the moment of the fork.

A `DatabaseThread` passes a gate whenever it uses its connection. The thread that forks stops all of them, which waits
for the groups under way, and closes the connections; they are opened anew with the next call. If that takes too long,
or if it is such a thread itself that forks, the fork goes on, and the child may not open those files at all
(`location.inherit`).
`subprocess` does not come this way, unless it is given a `preexec_fn`: what it starts has no part in the memory of this
process.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from postlude.stores.sqlite import location

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE: Final = 6.0
"""Seconds that a fork waits for the groups under way: more than the longest of them waits for another process."""


class Gate:
    """What a `DatabaseThread` passes, with `with`, to use its connection."""

    def __init__(self, close: Callable[[], None], *, last: bool) -> None:
        """Known to every fork from here on.

        Args:
            close: closes the connection; nobody else uses it meanwhile.
            last: close it after those of others; the one that can write folds the write-ahead log into the file.
        """
        self.close = close
        self.last = last
        self._busy = threading.Lock()
        self._thread = 0
        with _turnstile:
            _gates.add(self)

    def __enter__(self) -> None:
        with _turnstile:  # so that a busy thread does not overtake a fork again and again
            self._busy.acquire()
        self._thread = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self._thread = 0
        self._busy.release()

    def stop(self, give_up_at: float) -> bool:
        """Whether the thread is out, and will not come in again before `go_on`."""
        if self._thread == threading.get_ident():
            return False
        return self._busy.acquire(timeout=max(0.0, give_up_at - time.perf_counter()))

    def go_on(self) -> None:
        """Let the thread in again."""
        self._busy.release()


_gates: WeakSet[Gate] = WeakSet()
_turnstile = threading.Lock()
"""Held from before a fork until after it: by whoever forks, and for a moment by each thread that goes in."""
_stopped: list[Gate] = []
_forking = 0
"""The thread that forks."""
_left_open: list[Gate] = []
"""In a child: what it must not close, which is to say not collect as garbage either."""


def _before() -> None:
    global _forking  # noqa: PLW0603 - there is one fork at a time in a process
    give_up_at = time.perf_counter() + PATIENCE
    if not _turnstile.acquire(timeout=PATIENCE):
        return
    _forking = threading.get_ident()
    for gate in sorted(_gates, key=lambda gate: gate.last):
        if gate.stop(give_up_at):
            _stopped.append(gate)
            gate.close()


def _after_in_parent() -> None:
    global _forking  # noqa: PLW0603
    if _forking != threading.get_ident():
        return
    _forking = 0
    while _stopped:
        _stopped.pop().go_on()
    _turnstile.release()


def _after_in_child() -> None:
    # The store's threads do not exist here, and whatever they held will never be released.
    global _forking, _turnstile, _gates
    _left_open.extend(gate for gate in _gates if gate not in _stopped)
    location.inherit()
    _stopped.clear()
    _forking, _turnstile, _gates = 0, threading.Lock(), WeakSet()


os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
