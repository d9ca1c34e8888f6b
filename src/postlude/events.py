"""What happened, said once, in values: the engine emits them, and logs and metrics hear of them by `telling.py`."""

# Not with annotations as text, as in `job.py`.

from collections.abc import Callable
from contextvars import Context
from typing import NamedTuple
from uuid import UUID

from postlude.job import Failure, Outcome


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


class ScheduleTaken(NamedTuple):
    """Other code has given the row of a schedule of this process its own line, or task; said once for each."""

    schedule: str
    spec: str
    """The line, or period, that it has now."""
    task: str
    """The name of the task that it is now for."""


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
    | ScheduleTaken
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
