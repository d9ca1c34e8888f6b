"""The slots of one process: who may begin, who waits in line, and who is told when one is free."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from postlude.clock import Clock
    from postlude.running.admitted import Admitted
    from postlude.running.line import Line, Lines
    from postlude.running.settling import Settling
    from postlude.tasks import ExecutorName


class Slots:
    """Gives each a slot, at once or when it is its turn.

    Args:
        lines: the slots of each executor, and those who wait for one.
        settling: while it is behind, nobody gets a slot who has a row, but one that must run alone.
        clock: what time it is.
        begin: called with each that has waited, when it has its slot.
        at_rest: whether nothing runs.
    """

    def __init__(
        self,
        lines: Lines,
        settling: Settling,
        clock: Clock,
        *,
        begin: Callable[[Admitted], None],
        at_rest: Callable[[], bool],
    ) -> None:
        self._lines = lines
        self._settling = settling
        settling.caught_up = self._caught_up
        self._clock = clock
        self._begin = begin
        self._at_rest = at_rest
        self._alone: UUID | None = None
        self._held = False
        self._closed = False
        self._some_wait = False
        """Whether somebody may be in a line: nearly always nobody is when a slot becomes free."""
        self.wanted: bool = False
        """Whether somebody waits for a slot, or for rest, to claim from the queue."""
        self.freed: Callable[[], None] = lambda: None
        """Called once after `wanted` was set, when a slot is free that no call here waits for."""

    @property
    def held(self) -> bool:
        """While this is true nothing starts: the process comes to rest for a job that must run alone."""
        return self._held

    @held.setter
    def held(self, held: bool) -> None:
        # A process that stops begins nothing from the queue, and what still comes here must not wait for ever.
        self._held = held and not self._closed
        self.let_in()

    def free(self, executor: ExecutorName) -> int:
        """How many more calls would start at once."""
        line = self._lines[executor]
        if self._blocked or self.closed(executor):
            return 0
        return min(self._settling.room, line.free if line.outage is None else min(1, line.free))

    def closed(self, executor: ExecutorName) -> bool:
        """Whether it takes no work for now, whatever slots are free."""
        return _takes_none(self._lines[executor])

    @property
    def _blocked(self) -> bool:
        return self._held or self._alone is not None

    def take(self, attempt: Admitted, *, alone: bool = False) -> bool:
        """Take a slot; False: there is none for now, and it waits in line.

        Args:
            attempt: for which.
            alone: until `end_alone` nobody else gets one.
        """
        line = attempt.line
        if alone:
            self._alone = attempt.call.id
        elif self._blocked or not line.free or _takes_none(line) or self._waits_for_writing(attempt):
            line.wait(attempt, self._clock.elapsed())
            self._some_wait = True
            return False
        line.free -= 1
        return True

    def end_alone(self, job_id: UUID) -> None:
        """If it is this one that runs alone, others may run beside it, or after it."""
        if self._alone is not None and self._alone == job_id:
            self._alone = None

    def leave(self, line: Line) -> None:
        """A slot is free: the next in line takes it, or whoever fetches work from the queue."""
        line.free += 1
        self.let_in()
        if self.wanted and not self._settling.behind and ((line.free and not line.waiting) or self._at_rest()):
            self._offer()

    def let_in(self) -> None:
        """Give slots to those who wait, as far as there are any."""
        while self._some_wait and not self._blocked:
            attempt = self._lines.next(stored=not self._settling.behind)
            if attempt is None:
                self._some_wait = any(line.waiting for line in self._lines.values())
                return
            self._begin(attempt)

    def _waits_for_writing(self, attempt: Admitted) -> bool:
        # What has no row waits for no store: with FastAPI alone it would not, either.
        return self._settling.behind and attempt.call.claim is not None

    def _caught_up(self) -> None:
        self.let_in()
        if self.wanted:
            self._offer()

    def _offer(self) -> None:
        self.wanted = False
        self.freed()

    def close(self) -> list[Admitted]:
        """Hold up nobody any more, and take everybody out of the lines."""
        self._closed = True
        waiting = self._lines.take_all()
        self.held = False
        return waiting


def _takes_none(line: Line) -> bool:
    return line.outage is not None and not line.outage.lets_in
