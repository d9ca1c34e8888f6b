"""What happened, said once: the engine emits, logs and metrics subscribe."""

# Not with annotations as text, as in `job.py`.

import traceback
from collections import Counter
from collections.abc import Callable
from contextvars import Context
from typing import Any, NamedTuple, ParamSpec, TypeVar
from uuid import UUID

from postlude.job import Failure, Outcome

T = TypeVar("T", bound=tuple[Any, ...])
P = ParamSpec("P")
R = TypeVar("R")


class AttemptFailed(NamedTuple):
    """A task raised."""

    job_id: UUID
    task: str
    attempt: int
    failure: Failure
    again_in: float | None = None
    """Seconds until its job is tried again; None: it has failed."""
    origin: str | None = None
    """JSON: the request that added the job, as `NewJob.origin`."""
    error: BaseException | None = None
    """The exception itself, in the process in which it was raised."""


class AttemptEnded(NamedTuple):
    """An attempt has come to its end in this process; said only where somebody looks at each attempt.

    That is where `Postlude.on_event`, `metrics` or `instrument` was called: nobody else pays for it.
    """

    job_id: UUID
    task: str
    attempt: int
    outcome: str
    """`succeeded`, `failed`, `snoozed`, `cancelled`, or `interrupted`: given back, since its process stops."""
    waited: float | None
    """Seconds from the moment at which it was due to its start; None: nobody has noted that moment, since it came
    behind another job of its chain, or was not stored."""
    ran: float
    """Seconds from its start to its end."""
    stored: bool = True
    """Whether its call is: an ephemeral one is not."""
    origin: str | None = None
    """As in `AttemptFailed`."""


class AttemptInterrupted(NamedTuple):
    """An attempt ended because its process did; `again` says whether its job runs once more by itself."""

    job_id: UUID
    task: str
    interruptions: int
    again: bool
    reason: str
    origin: str | None = None
    """As in `AttemptFailed`."""
    attempt: int | None = None
    """Which attempt at its job it was; the first is 1."""


class AttemptSlow(NamedTuple):
    """An attempt without a timeout has run for this long; said once for each."""

    job_id: UUID
    task: str
    seconds: float
    attempt: int | None = None
    """Which attempt at its job it is; the first is 1."""
    origin: str | None = None
    """As in `AttemptFailed`."""


class AttemptGoesOn(NamedTuple):
    """An attempt was told to end this many seconds ago, and goes on: it caught its cancellation. Said once for each."""

    job_id: UUID
    task: str
    seconds: float
    attempt: int | None = None
    """Which attempt at its job it is; the first is 1."""
    origin: str | None = None
    """As in `AttemptFailed`."""


class ThreadAbandoned(NamedTuple):
    """A `def` task ran longer than its timeout, and goes on in its thread: what it comes to is not recorded.

    `replaced` says whether another thread took the place of its own; else there is one less from now on.
    """

    job_id: UUID
    task: str
    replaced: bool
    attempt: int | None = None
    """Which attempt at its job it is; the first is 1."""
    origin: str | None = None
    """As in `AttemptFailed`."""


class ThreadsExhausted(NamedTuple):
    """Every thread for `def` tasks is stuck in one of these, and no more are replaced: this process runs none now."""

    tasks: tuple[str, ...]


class WorkerEnded(NamedTuple):
    """The child of a server that runs its jobs has ended by itself; the next one is started after that many seconds."""

    how: str
    again_in: float


class AttemptUnstoppable(NamedTuple):
    """An attempt ran longer than its timeout in an executor that cannot end it; it keeps its slot until it ends."""

    job_id: UUID
    task: str
    executor: str
    attempt: int | None = None
    """Which attempt at its job it is; the first is 1."""
    origin: str | None = None
    """As in `AttemptFailed`."""


class OutcomeRefused(NamedTuple):
    """An attempt ended after its job had been given to another one; what it came to was not recorded."""

    job_id: UUID
    attempt: int | None = None
    """Which attempt at its job it was; the first is 1."""


class CallsDiscarded(NamedTuple):
    """Tasks that were added in a request and will not run, because the request raised."""

    tasks: tuple[str, ...]
    reason: str


class CallsLost(NamedTuple):
    """Calls without a row that will not run: their process stops, or what they waited for did not succeed or come."""

    tasks: tuple[str, ...]
    reason: str


class CallNotStored(NamedTuple):
    """A call runs in this process without being stored; said once for each place in the code."""

    task: str
    site: str
    reason: str


class ValueNotCarried(NamedTuple):
    """A context variable has a value that cannot be stored, and does not come along; said once for each variable."""

    variable: str
    reason: str


class CallsUnsaved(NamedTuple):
    """Calls run without having been stored because the store did not take them."""

    tasks: tuple[str, ...]
    reason: str


class EphemeralFailed(NamedTuple):
    """A call that was never stored raised."""

    task: str
    failure: Failure
    error: BaseException | None = None
    """The exception itself."""


class LoopBlocked(NamedTuple):
    """An `async def` task kept the event loop from everything else for this long."""

    task: str
    seconds: float


class StoreFailed(NamedTuple):
    """The store did not confirm a write, or could not be read; said once until it works again."""

    during: str
    reason: str


class StoreRecovered(NamedTuple):
    """The store works again."""

    during: str


class MomentsMissed(NamedTuple):
    """Nobody was there when a schedule came due; `jobs` were made for it afterwards."""

    schedule: str
    since: float
    """The first of the moments; seconds since the epoch."""
    jobs: int


class MomentSkipped(NamedTuple):
    """A schedule came due while the job of an earlier moment was unfinished, and made none."""

    schedule: str
    moment: float
    """Seconds since the epoch."""
    unfinished: UUID


class ClockSetBack(NamedTuple):
    """A schedule was moved on beyond what the system's clock shows; said once for each."""

    schedule: str
    last_moment: float
    next_at: float
    """When it comes again; seconds since the epoch, like `last_moment`."""


class ExecutorFailed(NamedTuple):
    """An executor takes no work, and its jobs go back to the queue; said once until it works again."""

    executor: str
    reason: str


class ExecutorRecovered(NamedTuple):
    """The executor takes work again."""

    executor: str


class ServiceFailed(NamedTuple):
    """A background service raised; it goes on at its next turn."""

    service: str
    failure: Failure


class WorkerReplaced(NamedTuple):
    """This process was given up for dead by others, and goes on as another worker."""

    old: int
    new: int


class StopDelayed(NamedTuple):
    """These attempts were still running when the grace was over."""

    tasks: tuple[str, ...]


Event = (
    AttemptEnded
    | AttemptFailed
    | AttemptInterrupted
    | AttemptSlow
    | AttemptGoesOn
    | ThreadAbandoned
    | ThreadsExhausted
    | AttemptUnstoppable
    | WorkerEnded
    | OutcomeRefused
    | CallsDiscarded
    | CallsLost
    | CallNotStored
    | ValueNotCarried
    | CallsUnsaved
    | EphemeralFailed
    | LoopBlocked
    | StoreFailed
    | StoreRecovered
    | MomentsMissed
    | MomentSkipped
    | ClockSetBack
    | ExecutorFailed
    | ExecutorRecovered
    | ServiceFailed
    | WorkerReplaced
    | StopDelayed
)


class Begun(NamedTuple):
    """An attempt that is about to begin, for whoever looks at it until its end."""

    job_id: UUID
    task: str
    attempt: int
    at: float
    """When; seconds since the epoch."""
    context: Context
    """In which the task is about to run; nothing else does. What is set there the task sees."""
    waited: float | None = None
    """As in `AttemptEnded`."""
    stored: bool = False
    """Whether its call is."""
    origin: str | None = None
    """As in `AttemptFailed`."""
    carried: str | None = None
    """JSON: what came along with a call that was added in this process; see `carry.py`."""


Told = Callable[[Outcome, float], None]
"""Told what an attempt came to, and the seconds that it ran. Not told of one that could not begin after all."""
Observer = Callable[[Begun], Told]
"""Looks at each attempt from its beginning to its end, on the event loop."""


Mask = Callable[[str, str | None], Callable[[str], str]]
"""Gives what masks a text of a job, for the name of its task, and the arguments of its call as they are stored."""


class Events:
    """Where events are emitted and heard.

    Args:
        mask: gives what masks the texts of events and outcomes; None: they stay as they are.
    """

    def __init__(self, mask: Mask | None = None) -> None:
        self._mask = mask
        self._subscribers: list[Callable[[Event], object]] = []
        self.observers: tuple[Observer, ...] = ()
        """Those who look at each attempt. Most often there are none, and then an attempt costs nothing more."""
        self.counts: Counter[str] = Counter()
        """How many events of each kind there were in this process, by the name of their class.

        `SubscriberFailed` counts how often telling a subscriber, or an observer, raised.
        """

    def subscribe(self, subscriber: Callable[[Event], object]) -> Callable[[], None]:
        """Hear every event, in the thread that emits it; the returned function ends that."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def observe(self, observer: Observer) -> None:
        """Look at each attempt that begins from now on; once, however often the same observer asks."""
        if observer not in self.observers:
            self.observers = (*self.observers, observer)

    def subscribe_to_attempts(self, subscriber: Callable[[Event], object]) -> None:
        """Hear every event, and `AttemptEnded` among them."""
        self.subscribe(subscriber)
        self.observe(self._say_its_end)

    def _say_its_end(self, begun: Begun) -> Told:
        def told(outcome: Outcome, ran: float) -> None:
            kind = type(outcome).__name__.lower()
            self.emit(
                AttemptEnded(
                    begun.job_id, begun.task, begun.attempt, kind, begun.waited, ran, begun.stored, begun.origin
                )
            )

        return told

    def emit(self, event: Event, arguments: str | None = None) -> None:
        """Count it, and tell every subscriber. One that raises keeps nobody else, and no job, from going on.

        What they are told is masked as a page would show it, but for an exception itself.

        Args:
            event: what happened.
            arguments: of the job that it is about, as they are stored: its texts may repeat their secrets.
        """
        self.counts[type(event).__name__] += 1
        event = self.masked(event, getattr(event, "task", ""), arguments)
        for subscriber in tuple(self._subscribers):
            self.guarded(subscriber, event)

    def masked(self, told: T, task: str, arguments: str | None) -> T:
        """An event or an outcome whose reason and failure are masked, for those who look from outside."""
        if self._mask is None or not (hasattr(told, "reason") or hasattr(told, "failure")):
            return told
        found = self.guarded(lambda mask: _masked(told, mask(task, arguments)), self._mask)
        return _masked(told, _unreadable) if found is None else found

    def guarded(self, told: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
        """What `told` returns; None if it raised, which harms nobody."""
        try:
            return told(*args, **kwargs)
        except Exception:  # noqa: BLE001 - it may be the log itself that fails: what is left is stderr
            self.counts["SubscriberFailed"] += 1
            traceback.print_exc()
            return None


def _masked(told: T, mask: Callable[[str], str]) -> T:
    changed: dict[str, Any] = {}
    for name in ("reason", "failure", "message", "traceback"):
        found = getattr(told, name, None)
        if found is not None:
            changed[name] = _masked(found, mask) if isinstance(found, Failure) else mask(found)
    masked: T = told._replace(**changed)  # type: ignore[attr-defined]  # a named tuple of any class
    return masked


def _unreadable(_: str) -> str:
    return "[what was said here could not be masked]"
