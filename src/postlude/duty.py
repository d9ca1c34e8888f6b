"""What a process is there for that serves no requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Duty(NamedTuple):
    """What a worker was told that has a process to itself."""

    queues: Mapping[str, int | None] = {}
    """The queues that it claims from, and how many of each may run here at once; None: as many as there are slots.
    Empty: every queue."""
    server: str | None = None
    """The server whose child it is, by the name under which its lines of the start are said once; None: it is none."""
