"""The vocabulary of jobs: states and their transitions, what is stored of a job, and what an attempt came to.

Values and pure functions only. This is the one place that names the state a job moves *to*: the table `TRANSITIONS`,
and the constructors of `Settlement` that are built on it.
"""

# Not with annotations as text: to make a NamedTuple Python compiles each of those, a third of the work of this module.

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Literal, NamedTuple
from uuid import UUID

from postlude.errors import IllegalTransition
from postlude.loglines import LogLine


class JobState(StrEnum):
    """Where a job is in its life."""

    STAGED = "staged"
    """Committed; the request that added it is still open, or it runs in the process that took that request."""
    QUEUED = "queued"
    """Waiting for a worker, for its moment, for another try, or for the job before it in its chain."""
    RUNNING = "running"
    """Claimed by a worker and recorded as started."""
    SUCCEEDED = "succeeded"
    """The task returned."""
    FAILED = "failed"
    """The task raised, or was interrupted too often or where it must not run twice."""
    CANCELLED = "cancelled"
    """Ended without success because somebody asked, or because the job before it in its chain did not succeed."""

    @property
    def finished(self) -> bool:
        """Whether the job has ended; only a retry by hand moves it on."""
        return self in FINISHED


ENDS: Final = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
"""The states in which a job has ended, in the order in which anything is said of each."""
FINISHED = frozenset(ENDS)
UNFINISHED = frozenset(JobState) - FINISHED


class Event(StrEnum):
    """What can happen to a job."""

    START = "start"
    """An attempt is recorded as started: claimed from the queue, or a staged one that runs on."""
    RELEASE = "release"
    """The process that owns it does not run it now: no slot is free, or it stops. An attempt is given back."""
    SUCCEED = "succeed"
    FAIL = "fail"
    """The attempt failed, for good."""
    POSTPONE = "postpone"
    """The attempt failed with attempts left, or asked to be run later."""
    CANCEL = "cancel"
    """Ended by request, by expiry, or because the job before it did not succeed."""
    RESCUE = "rescue"
    """Its owner is gone; it runs again."""
    SET_ASIDE = "set aside"
    """Its owner is gone; it must not, or not once more, run again by itself."""
    RETRY = "retry"
    """A person wants it run again."""


_S = JobState
TRANSITIONS: dict[tuple[JobState, Event], JobState] = {
    (_S.STAGED, Event.START): _S.RUNNING,
    (_S.STAGED, Event.RELEASE): _S.QUEUED,
    (_S.STAGED, Event.SUCCEED): _S.SUCCEEDED,
    (_S.STAGED, Event.FAIL): _S.FAILED,
    (_S.STAGED, Event.POSTPONE): _S.QUEUED,
    (_S.STAGED, Event.CANCEL): _S.CANCELLED,
    (_S.STAGED, Event.RESCUE): _S.QUEUED,
    (_S.STAGED, Event.SET_ASIDE): _S.FAILED,
    (_S.QUEUED, Event.START): _S.RUNNING,
    (_S.QUEUED, Event.CANCEL): _S.CANCELLED,
    (_S.RUNNING, Event.RELEASE): _S.QUEUED,
    (_S.RUNNING, Event.SUCCEED): _S.SUCCEEDED,
    (_S.RUNNING, Event.FAIL): _S.FAILED,
    (_S.RUNNING, Event.POSTPONE): _S.QUEUED,
    (_S.RUNNING, Event.CANCEL): _S.CANCELLED,
    (_S.RUNNING, Event.RESCUE): _S.QUEUED,
    (_S.RUNNING, Event.SET_ASIDE): _S.FAILED,
    (_S.FAILED, Event.RETRY): _S.QUEUED,
    (_S.CANCELLED, Event.RETRY): _S.QUEUED,
}
"""Every legal move. A pair that is not here is an `IllegalTransition`."""


def transition(state: JobState, event: Event, *, job_id: UUID | None = None) -> JobState:
    """The state that `event` leads to from `state`.

    Raises:
        IllegalTransition: the event cannot happen to a job in that state.
    """
    target = TRANSITIONS.get((state, event))
    if target is None:
        raise IllegalTransition(state.value, event.value, job_id=job_id)
    return target


WhenTaken = Literal["return", "replace", "debounce"]

DEFAULT_QUEUE: Final = "default"


class Key(NamedTuple):
    """What one job at a time may be, among the jobs of its task."""

    value: str
    on_conflict: WhenTaken = "return"
    """What becomes of a job whose key is taken: the holder answers as it is ("return"); or, while it waits, with the
    arguments of this one ("replace"), and with its moment too ("debounce")."""
    until: float | None = None
    """How long the job holds the key after it has succeeded; None: as long as it is kept."""

    @property
    def replaceable(self) -> bool:
        """Whether the job itself may be changed while it waits."""
        return self.on_conflict != "return"


class Terms(NamedTuple):
    """When, and after whom, a worker may take a job, beside its moment."""

    queue: str = DEFAULT_QUEUE
    rank: int = 0
    """Minus the priority: of the jobs that are due, the smallest rank comes first."""
    expires_at: float | None = None
    """No attempt starts from then on: the job is cancelled instead."""
    partition: str | None = None
    """What its task's limits count together, "" if that is the whole task; None: it has none."""
    key: Key | None = None


DEFAULT_TERMS: Final = Terms()


ERASED: Final = ""
"""What stands in the place of arguments that were erased; None says that they never were there."""


class NewJob(NamedTuple):
    """What is committed when a job is added."""

    id: UUID
    task: str
    """The name under which a worker finds the function."""
    arguments: str | None
    """JSON written by the codec; None for an ephemeral call, whose arguments never leave the process."""
    state: JobState
    """STAGED with an owner and a claim, or QUEUED with neither."""
    created_at: float
    """Seconds since the epoch, as all times here."""
    run_at: float
    policy: str | None = None
    """`Policy.dumps()`."""
    origin: str | None = None
    """JSON: the request that added the job (`request_id`, `route`, `traceparent`), or the `schedule` and `moment`; and
    what is carried (`carry`)."""
    chain: UUID | None = None
    """The first job of the request, when this one belongs to a chain of several."""
    after: UUID | None = None
    """The job before it in the chain, which has to succeed first."""
    owner: int | None = None
    """The worker that runs it when its request is over."""
    claim: int | None = None
    terms: Terms = DEFAULT_TERMS


class Claim(NamedTuple):
    """Ownership of a job for one attempt, with all that the attempt needs.

    The pair of `job_id` and `id` is unique to the attempt: a write that names another pair is refused by the store.
    """

    id: int
    job_id: UUID
    task: str
    arguments: str | None
    state: JobState
    """STAGED or RUNNING."""
    attempt: int
    """Attempts recorded as started, this one included if `state` is RUNNING."""
    interruptions: int
    policy: str | None
    origin: str | None
    chain: UUID | None
    after: UUID | None
    created_at: float
    started_at: float | None
    owner: int
    """The worker that holds the claim."""
    stopping: bool = False
    """Its worker had announced its stop: if it is gone now, that was no interruption."""
    run_at: float = 0.0
    """When it is due, of a staged job and of an orphan; one that was claimed from the queue is."""
    saved: str | None = None
    """JSON: the state that an attempt before this one has saved."""
    due_at: float = 0.0
    """Since when it was due, of one that was claimed from the queue."""

    def waited(self, started_at: float) -> float | None:
        """Seconds for which it was due until then; None: it came behind another job, whose end nobody has noted."""
        if self.after is not None:
            return None
        return max(0.0, started_at - (self.due_at or self.run_at or self.created_at))


class Failure(NamedTuple):
    """What an attempt raised."""

    type: str
    """The exception's class, with its module unless that is `builtins`."""
    message: str
    traceback: str


# Outcomes: what an attempt came to.


class Succeeded(NamedTuple):
    """The task returned."""

    result: str | None = None
    """What it returned, as `codec/results.py` writes it; None: nothing."""


class Failed(NamedTuple):
    """The task raised."""

    failure: Failure
    error: BaseException | None = None
    """The exception itself, in the process in which it was raised."""


class Snoozed(NamedTuple):
    """The task asked to be run again later."""

    after: float
    """Seconds."""


class Cancelled(NamedTuple):
    """The attempt was ended on request."""

    reason: str


class Interrupted(NamedTuple):
    """The attempt ended because its process did."""

    reason: str
    begun: bool = False
    """Whether it is known to have begun, so that it counts even if the store has not heard of its start."""


Outcome = Succeeded | Failed | Snoozed | Cancelled | Interrupted


class Followers(StrEnum):
    """What a settlement does, in its own commit, to the jobs behind this one in its chain."""

    NONE = "none"
    """There are none, or nothing changes for them."""
    ADVANCE = "advance"
    """The next one no longer waits."""
    QUEUE = "queue"
    """Those still staged become queued, waiting behind this one."""
    CANCEL = "cancel"
    """All are cancelled, and remember whose failure it was."""


class Progress(NamedTuple):
    """How far an attempt has come."""

    done: float
    total: float | None = None
    note: str | None = None


class Report(NamedTuple):
    """What an attempt that runs has to say; None, or nothing, leaves what the store has."""

    progress: Progress | None = None
    saved: str | None = None
    """JSON: the state to give to the next attempt."""
    lines: Sequence[LogLine] = ()
    """What it has logged since the last report, oldest first."""


class Settlement(NamedTuple):
    """The one write that ends a claim. Made by `execution.decide`, applied by a store, fenced by the claim."""

    job_id: UUID
    claim: int
    state: JobState
    at: float
    attempt: int
    interruptions: int
    started_at: float | None
    run_at: float | None = None
    """When a queued job is due."""
    failure: Failure | None = None
    reason: str | None = None
    """Why it ended without success, for people."""
    outcome: str | None = None
    """What to write into the history of attempts; None for an attempt that leaves no trace there."""
    followers: Followers = Followers.NONE
    alone: bool = False
    """The next attempt must have no other attempt beside it in its process: one more interruption sets it aside."""
    progress: Progress | None = None
    """The last progress it made, where the store may not have it yet."""
    lines: Sequence[LogLine] = ()
    """What it has logged and the store does not have yet, oldest first."""
    result: str | None = None
    """What a job that has succeeded keeps of its result."""
    then: NewJob | None = None
    """The job that is told of its failure, inserted in the same commit."""


class Attempt(NamedTuple):
    """One past try at a job that did not succeed at once: a line of its history."""

    number: int
    outcome: str
    """`failed`, `cancelled` or `interrupted`."""
    started_at: float | None
    ended_at: float
    failure: Failure | None
    reason: str | None


class Record(NamedTuple):
    """A job as the store has it: the row behind the public `Job`."""

    id: UUID
    task: str
    state: JobState
    arguments: str | None
    attempt: int
    interruptions: int
    created_at: float
    run_at: float
    started_at: float | None
    finished_at: float | None
    failure: Failure | None
    reason: str | None
    progress: Progress | None
    origin: str | None
    policy: str | None
    chain: UUID | None
    after: UUID | None
    waiting: bool
    """Whether the job before it in its chain has yet to succeed."""
    cancel_requested: bool
    cancelled_by: UUID | None
    """The job whose failure cancelled this one."""
    queue: str
    priority: int
    expires_at: float | None
    partition: str | None
    key: str | None
    result: str | None
    """JSON, as `codec/results.py` writes it; None: the task returned None, or has not returned."""
    saved: str | None = None
    """JSON: the state that its last attempt has saved."""

    @property
    def ephemeral(self) -> bool:
        """Whether the call's arguments never left its process, so that no other process can run it."""
        return self.arguments is None

    @property
    def erased(self) -> bool:
        """Whether the arguments were erased when it ended, so that it cannot run again."""
        return self.arguments == ERASED
