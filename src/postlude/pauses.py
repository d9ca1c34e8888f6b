"""What is paused: a queue, a task, one partition of a task, or everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Pause(NamedTuple):
    """What must not be started for now."""

    kind: Literal["queue", "task", "partition", "all", "store"]
    """Of what; `"all"` is everything, because somebody wants it, and `"store"` because its jobs are being moved."""
    name: str
    """Of the queue or the task; empty where everything is paused."""
    partition: str = ""
    """Of that task, where `kind` says so."""
    reason: str | None = None
    since: float = 0.0
    """Seconds since the epoch."""


class Pauses:
    """All that is paused at a moment."""

    def __init__(self, pauses: Iterable[Pause] = ()) -> None:
        self.all: tuple[Pause, ...] = tuple(pauses)
        self._queues = {each.name for each in self.all if each.kind == "queue"}
        self._tasks = {each.name for each in self.all if each.kind == "task"}
        self._partitions = {(each.name, each.partition) for each in self.all if each.kind == "partition"}
        self._everything = any(each.kind in {"all", "store"} for each in self.all)

    def cover_queue(self, queue: str) -> bool:
        """Whether all jobs of a queue are held back."""
        return self._everything or queue in self._queues

    def cover(self, queue: str, task: str, partition: str | None = None) -> bool:
        """Whether a job with these is held back; without a partition, whether all jobs of the task there are."""
        named = queue in self._queues or task in self._tasks or (task, partition) in self._partitions
        return named or self._everything
