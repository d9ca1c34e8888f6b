"""The slots of one executor, and the calls that have one or wait for one."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from postlude.context import CurrentJob, enter
from postlude.dependencies import Resolver
from postlude.elsewhere import Setup, perform_submitted, sent
from postlude.executors import (
    AroundExecutor,
    CompletedExecutor,
    Executors,
    FuturesExecutor,
    LoopExecutor,
    ProcessExecutor,
    ThreadExecutor,
    Work,
    completed,
)
from postlude.executors.contract import failed
from postlude.job import Cancelled, Failed, Failure, Interrupted, JobState, Snoozed
from postlude.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextvars import Context

    from postlude.calls import Call
    from postlude.carry import Carry
    from postlude.context import Save
    from postlude.dependencies import Overrides
    from postlude.executors import Executor, Running
    from postlude.job import Outcome, Report, Settlement
    from postlude.registry import Registry
    from postlude.settings import Concurrency, Settings
    from postlude.tasks import ExecutorName

    Ended = Callable[[Outcome | None], None]
    """Told what a call came to; None if that is not known to be on disk, or the call had no row and did not run."""


NOT_AGAIN: Final = Failure("Snooze", "it asked to be run again later, and a call that is not stored is run once", "")

GIVEN_BACK: Final = Interrupted("it was given back, for another process or for later")


class Places(NamedTuple):
    """Where attempts run, and how many at once."""

    threads: ThreadExecutor
    """Runs `def` tasks; shared, as it may serve several loops."""
    concurrency: Concurrency
    resolver: Resolver
    """Gives tasks what they depend on."""
    processes: ProcessExecutor
    executors: Executors
    """What the application has registered."""
    made_here: dict[str, FuturesExecutor]
    """Of those, the ones that were needed."""
    setup: str
    overrides: Callable[[], Overrides]
    carry: Carry | None = None
    """Gives them the context variables that came along; None: there are none."""

    @classmethod
    def of(
        cls, settings: Settings, registry: Registry, overrides: Callable[[], Overrides], carry: Carry | None
    ) -> Self:
        """The places of an application; see `made`."""
        root = None if registry.root is None else str(registry.root)
        setup = Setup(root, settings.allow, settings.tasks, () if carry is None else carry.places())
        return cls.made(settings.concurrency, overrides, setup, registry.executors, carry)

    @classmethod
    def made(
        cls,
        concurrency: Concurrency,
        overrides: Callable[[], Overrides],
        setup: Setup = Setup(),  # noqa: B008 - it does not change
        executors: Executors | None = None,
        carry: Carry | None = None,
    ) -> Self:
        """Places of their own, with so many slots.

        Args:
            concurrency: the slots.
            overrides: gives the application's `dependency_overrides`.
            setup: what other processes have to know of the application.
            executors: what it has registered; None: nothing.
            carry: the context variables that come along.
        """
        # A thread for every attempt there may be: one that closes its session must not wait for one that wants one.
        for_dependencies = ThreadExecutor(concurrency.loop + concurrency.threads)
        text = setup.dumps()
        return cls(
            ThreadExecutor(concurrency.threads),
            concurrency,
            Resolver(for_dependencies, overrides),
            ProcessExecutor(concurrency.most_processes, text),
            Executors() if executors is None else executors,
            {},
            text,
            overrides,
            carry,
        )

    def line(self, name: ExecutorName) -> Line:
        """The slots of an executor outside the loop.

        Raises:
            KeyError: there is no such executor.
        """
        if name == "thread":
            return Line(self.threads, self.concurrency.threads)
        if name == "process":
            return Line(self.processes, self.concurrency.most_processes, elsewhere=True)
        registered = self.executors[name]
        executor = self.made_here.get(name)
        if executor is None:
            executor = FuturesExecutor(name, registered, self.setup, perform_submitted)
            executor = self.made_here.setdefault(name, executor)
        return Line(executor, registered.slots, elsewhere=True)

    def placed(self, attempt: Attempt, job: CurrentJob, context: Context) -> tuple[Executor, Work]:
        """Where an attempt runs, and what runs there.

        Args:
            attempt: that is about to begin.
            job: what the task sees of it.
            context: in which it runs.
        """
        call, executor = attempt.call, attempt.line.executor
        definition = call.definition
        results = None if call.claim is None else definition.results
        work = Work(definition.name, definition.function, call.args, call.kwargs, context, results=results)
        if attempt.line.elsewhere:
            work = work._replace(sent=sent(call, job, self.overrides() if definition.plan is not None else {}))
        elif definition.plan is not None:
            complete = self.resolver.complete(definition.plan)
            if isinstance(executor, LoopExecutor):
                work = completed(work, complete)
            else:
                executor = CompletedExecutor(executor, complete)
        if call.around is not None:
            executor = AroundExecutor(executor, call.around)
        return executor, work

    def close(self) -> None:
        """Let the threads and processes end when they have nothing left to do; waits for none of them."""
        self.threads.close()
        self.resolver.threads.close()
        self.processes.close()
        for executor in self.made_here.values():
            executor.close()


class Attempt:
    """A call that has a slot."""

    __slots__ = (
        "abandoned",
        "began",
        "behind",
        "call",
        "cancelled_because",
        "could_end",
        "ended",
        "given_back",
        "job",
        "line",
        "running",
        "said_slow",
        "started_at",
        "timed_out",
        "timeout",
    )

    def __init__(self, line: Line, call: Call, ended: Ended | None, behind: Sequence[Call]) -> None:
        self.line: Line = line
        self.call: Call = call
        self.ended: Ended | None = ended
        self.behind: Sequence[Call] = behind
        """The calls that wait for it in this process."""
        self.began: float = 0.0
        """On the clock that never goes backwards."""
        self.started_at: float | None = None
        self.running: Running | None = None
        self.job: CurrentJob | None = None
        """What the task sees of it; None before it has begun."""
        self.cancelled_because: str | None = None
        self.given_back: bool = False
        """Cancelled because the process stops: its job goes back to the queue."""
        self.could_end: bool = True
        """Whether it was something that ends when it is told to, when it was told."""
        self.timeout: float | None = None
        """Seconds that it may run; None: as long as it takes."""
        self.said_slow: bool = False
        """Whether it was named in a warning, as one that runs for long."""
        self.timed_out: float | None = None
        """The seconds after which it was told to end; whatever it comes to after that, it has failed."""
        self.abandoned: bool = False
        """It did not end when it was told to, and its slot was given away."""

    def open_job(self, context: Context, carry: Carry | None, reported: Callable[[], None], save: Save) -> CurrentJob:
        """Let the task see its job, and what came along with it, in its context.

        Args:
            context: the context that it runs in.
            carry: which variables come along.
            reported: called, in any thread, when it has something to report.
            save: writes the state that it saves.
        """
        call, claim = self.call, self.call.claim
        if claim is None:
            self.job = CurrentJob(call.id, call.definition.name, 1, None, None)
        else:
            number = claim.attempt + (claim.state is JobState.STAGED)
            self.job = CurrentJob(
                call.id, call.definition.name, number, claim.origin, reported, saved=claim.saved, save=save
            )
        context.run(enter, self.job)
        if carry is not None:
            carry.restore(context, call)
        return self.job

    def counted(self, outcome: Outcome) -> Outcome:
        """What it came to, seen together with what it was told while it ran."""
        if self.timed_out is not None:
            return failed(TimeoutError(f"it ran longer than its timeout of {self.timed_out:g} s"))
        if self.given_back and (isinstance(outcome, Cancelled) or (isinstance(outcome, Failed) and self.could_end)):
            # Whatever it made of the cancellation, it was told to stop: that is no failure of its own.
            return Interrupted("its process stopped while it ran")
        if isinstance(outcome, Cancelled) and self.cancelled_because is not None:
            return Cancelled(self.cancelled_because)
        if isinstance(outcome, Snoozed) and self.call.ephemeral:
            return Failed(NOT_AGAIN)
        return outcome

    def close_job(self) -> None:
        """Nobody hears of its progress any more."""
        # The job leads back to the attempt, and the context in which that ran to the job: without this the garbage
        # collector would have to find them, after each request.
        job, self.job = self.job, None
        if job is not None:
            job.close()

    def cancel(self, reason: str) -> None:
        """Ask it to end; the first reason counts."""
        if self.cancelled_because is None:
            self.cancelled_because = reason
            self.could_end = self.can_end
            if self.job is not None:
                self.job.ask_to_cancel()
            if self.running is not None:
                self.running.cancel()

    def hear(self) -> Report | None:
        """What it has to report; None: nothing."""
        return None if self.job is None else self.job.hear()

    def not_taken(self, report: Report) -> None:
        """What it had to report has not reached the store."""
        if self.job is not None:
            self.job.not_taken(report)

    def with_report(self, settlement: Settlement) -> Settlement:
        """The settlement with what there is to report beside it."""
        report = self.hear()
        return settlement if report is None else settlement._replace(progress=report.progress, lines=report.lines)

    def tell(self, outcome: Outcome | None, confirmed: bool = True) -> None:  # noqa: FBT001, FBT002 - called back
        """Tell whoever waits what it came to; None where that is not what is on disk."""
        if self.ended is not None:
            self.ended(outcome if confirmed else None)

    @property
    def held(self) -> bool:
        """Whether it has begun, and must not begin again by itself."""
        claim = self.call.claim
        return claim is not None and self.running is not None and Policy.loads(claim.policy).interrupted == "hold"

    @property
    def can_end(self) -> bool:
        """Whether it ends when it is told to."""
        return self.running is None or self.running.stoppable

    @property
    def movable(self) -> bool:
        """Whether another process could run it, and everything that waits for it here."""
        return self.call.claim is not None and not any(call.ephemeral for call in (self.call, *self.behind))


class Line:
    """The slots of one executor, and the calls that wait for one of them."""

    __slots__ = ("elsewhere", "executor", "free", "waiting")

    def __init__(self, executor: Executor, slots: int, *, elsewhere: bool = False) -> None:
        self.executor: Executor = executor
        self.elsewhere: bool = elsewhere
        """Whether attempts run in other processes, or may: they are given text, and resolve what they depend on."""
        self.free: int = slots
        self.waiting: deque[tuple[Attempt, float]] = deque()

    def wait(self, attempt: Attempt, since: float) -> None:
        """Put an attempt at the end of the line."""
        self.waiting.append((attempt, since))

    def next(self) -> Attempt | None:
        """The first in line, with a slot; None if there is neither."""
        if not self.waiting or not self.free:
            return None
        self.free -= 1
        return self.waiting.popleft()[0]

    def take_overdue(self, before: float) -> list[Attempt]:
        """Take those out of the line that wait since before that moment and that another process could run as well."""
        overdue, kept = [], deque[tuple[Attempt, float]]()
        for attempt, since in self.waiting:
            if since <= before and attempt.movable:
                overdue.append(attempt)
            else:
                kept.append((attempt, since))
        self.waiting = kept
        return overdue

    def take_all(self) -> list[Attempt]:
        """Take everybody out of the line."""
        attempts = [attempt for attempt, _ in self.waiting]
        self.waiting.clear()
        return attempts


class Lines(dict[str, Line]):
    """The lines of the executors by name; that of one besides those that are given is made when it is first needed."""

    def __init__(self, places: Places, given: dict[str, Line]) -> None:
        super().__init__(given)
        self._places = places

    def __missing__(self, name: ExecutorName) -> Line:
        line = self[name] = self._places.line(name)
        return line

    def next(self) -> Attempt | None:
        """The first of a line with a slot in it, with that slot; None if there is no such line."""
        for line in self.values():
            if line.waiting and line.free:
                return line.next()
        return None

    def take_overdue(self, before: float) -> list[Attempt]:
        """See `Line.take_overdue`; out of all lines."""
        return [attempt for line in self.values() for attempt in line.take_overdue(before)]

    def take_all(self) -> list[Attempt]:
        """Take everybody out of all lines."""
        return [attempt for line in self.values() for attempt in line.take_all()]
