"""What moves jobs from one store to another, as protocols; the clauses go on from `callers.py`.

Moving
    44. **Held.** From `begin` on no job of the source is claimed by any process, none is staged, and no process opens
        the store any more; what runs goes on, and what it comes to is written. `reopen` takes that back, and
        `release` as long as the source was not shut. A release that does not know the move goes on to claim until then.
    45. **Shut.** `shut` does nothing and returns None while a job is staged or running. When it has returned a moment,
        nothing that was stored changes any more, whichever process tries, and of whichever release it is. To add a job
        raises `StoreMoved`. `shut` and `reopen` name their move, and touch nothing of another one.
    46. **What moves.** Every job that has not ended; of those that have, the ones that pruning would keep: those of a
        chain that goes on, and those that still hold a key after their success, with the chains that they are in. The
        rest is history. A chain is in one parcel, as a whole.
    47. **Once.** `receive` commits a parcel together with the place where the next one begins, and only if nobody has
        received one from the same place: however often a move is cut off and begun again, nothing arrives twice. When
        `take_back` has returned True nothing of any stage arrives any more, not even what was on its way.
    48. **As it was.** What has arrived is to the last column what it was, with its history, what it logged, its key and
        the ids that lead to it. Of a key that another job has come to hold meanwhile, one that has ended lets go.
    49. **Refused.** A parcel with the id of a job that is there already, or with a job that has not ended and whose key
        another one holds, raises `MoveRefused`, and nothing of it is written.
    50. **Around them.** Pauses, starts that a rate still counts, outboxes and schedules come along. Of a schedule that
        both stores have, the row counts that has come further; one with another spec stays: newer code declared it.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from postlude.errors import StoreError, StoreUnavailable
from postlude.job import JobState
from postlude.stores.contract import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

    from postlude.pauses import Pause
    from postlude.stores.moments import ScheduleRow


class StoreMoved(StoreUnavailable):
    """The jobs of this store were moved, or are being moved, to another one; `destination` says where that is."""

    def __init__(self, store: str, destination: str) -> None:
        self.destination: str = destination
        super().__init__(
            f"The jobs of {store} were moved to {destination}, or are on their way: nothing is added here any more. "
            "Set POSTLUDE_URL to where they are and start again. If the move was cut off, run the same `postlude move` "
            "again; before the first job has arrived, `postlude move --undo` opens the store again."
        )


PROBLEMS_SHOWN: Final = 10
"""Problems that an error's text names at most: whoever copied a file has as many as it has jobs."""


class MoveRefused(StoreError, RuntimeError):
    """Jobs cannot be moved as things are; `problems` names what stands in the way, each with its cure."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems: tuple[str, ...] = tuple(problems)
        more = ["There are more of them."] if len(self.problems) > PROBLEMS_SHOWN else []
        super().__init__("\n".join([*self.problems[:PROBLEMS_SHOWN], *more]))


class MoveElsewhere(MoveRefused):
    """Another process carries out the same move, and may well come to its end."""


class Stage(StrEnum):
    """The parts of a move, in their order."""

    AROUND = "around"
    """Pauses and starts: before the first job is there for somebody to claim."""
    JOBS = "jobs"
    SCHEDULES = "schedules"
    """After the jobs: whether a schedule fires may hang on whether its last job has ended."""
    HISTORY = "history"
    """Only where it is asked for."""


class PastAttempt(NamedTuple):
    """A line of a job's history, as it is stored."""

    number: int
    outcome: str
    started_at: float | None
    ended_at: float
    failure: str | None
    reason: str | None


class Logged(NamedTuple):
    """What one report has logged, as it is stored."""

    total_lines: int
    total_bytes: int
    lines: str


class KeyHeld(NamedTuple):
    """What is known of a job's key beside its text."""

    until: float | None
    replaceable: bool
    held: bool


class Whole(NamedTuple):
    """All that a store has of one job that nobody owns; texts are as they are stored."""

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
    failure: str | None
    reason: str | None
    progress: str | None
    origin: str | None
    policy: str | None
    chain: UUID | None
    after: UUID | None
    waiting: bool
    cancel_requested: bool
    cancelled_by: UUID | None
    queue: str
    rank: int
    expires_at: float | None
    partition: str | None
    key: str | None
    result: str | None
    saved: str | None
    alone: bool
    attempts: Sequence[PastAttempt] = ()
    logs: Sequence[Logged] = ()
    key_held: KeyHeld | None = None
    aliases: Sequence[UUID] = ()

    @property
    def columns(self) -> tuple[object, ...]:
        """What stands in the row of the job itself, from `id` to `alone`."""
        return self[:28]


class Parcel(NamedTuple):
    """Some jobs on their way."""

    jobs: Sequence[Whole]
    place: int | None
    """Where the next one begins; None: this is the last."""

    def counts(self) -> Counter[str]:
        """How much of each kind is in it, by the names that `Source.counts` has for them."""
        counts = Counter(str(job.state) for job in self.jobs)
        for job in self.jobs:
            counts["attempts"] += len(job.attempts)
            counts["logs"] += len(job.logs)
            counts["keys"] += job.key_held is not None
            counts["aliases"] += len(job.aliases)
        return counts


class Start(NamedTuple):
    """A start that a rate still counts."""

    task: str
    partition: str
    at: float
    id: int
    until: float


TAKEN_BACK: Final = -1
"""The place of the jobs of a move that was taken back."""


class Departure(NamedTuple):
    """What a source knows of its move."""

    move: UUID
    destination: str
    """For people: where to."""
    shut_at: float | None = None
    """When it was shut; seconds since the epoch. None: it is held, and what runs goes on."""


class Arrived(NamedTuple):
    """How far a stage has come at the destination."""

    place: int | None
    """Where the next parcel begins, 0 at first; None: everything has arrived; or `TAKEN_BACK`."""
    counts: Mapping[str, int]
    """How many rows of each kind were written, as the database counted them."""


class Source(Protocol):
    """What a store does whose jobs are moved away."""

    async def departure(self) -> Departure | None:
        """The move that has begun and was not taken back; None: there is none."""
        ...

    async def living(self) -> Sequence[str]:
        """A line for each worker that is alive: its host and process."""
        ...

    async def unfinished(self) -> int:
        """How many jobs are staged or running."""
        ...

    async def begin(self, departure: Departure, *, now: float) -> None:
        """Hold everything back (clause 44).

        Raises:
            MoveRefused: another move has begun.
        """
        ...

    async def shut(self, move: UUID, *, now: float) -> float | None:
        """Let nothing change any more; returns since when, None while something is staged or running (clause 45).

        Raises:
            MoveRefused: that move has not begun here, or was taken back.
        """
        ...

    async def reopen(self, move: UUID) -> None:
        """Take `begin` and `shut` of that move back; nothing happens if it is not the one that has begun."""
        ...

    async def release(self, move: UUID) -> bool:
        """Take `begin` of that move back unless it was shut; returns whether it has (clause 44)."""
        ...

    async def parcel(self, *, history: bool, place: int, limit: int, now: float) -> Parcel:
        """The jobs from `place` on: about `limit`, more where chains are long (clause 46).

        `now`: the moment at which it is judged whether a key is still held.
        """
        ...

    async def counts(self, *, history: bool, now: float) -> Mapping[str, int]:
        """How many rows of each kind are to move: jobs by their state, `attempts`, `logs`, `keys` and `aliases`."""
        ...

    async def starts(self, *, now: float) -> Sequence[Start]:
        """Those that a rate still counts."""
        ...


class Destination(Protocol):
    """What a store does to which jobs are moved."""

    async def expect(self, move: UUID) -> None:
        """Remember a move that is about to begin."""
        ...

    async def take_back(self, move: UUID) -> bool:
        """Receive no job of this move any more; False if some have arrived, or it is not known here (clause 47)."""
        ...

    async def arrived(self, move: UUID) -> Mapping[Stage, Arrived]:
        """How far each stage has come; empty if the move is not known here."""
        ...

    async def conflicts(self, parcel: Parcel, *, now: float) -> Sequence[str]:
        """What stands in the way of a parcel, each with its cure, without writing anything (clause 49)."""
        ...

    async def receive(self, move: UUID, stage: Stage, place: int, parcel: Parcel, *, now: float) -> None:
        """Write a parcel that begins at `place` (clauses 47 to 49).

        Raises:
            MoveRefused: something stands in the way; or somebody else carries out the same move.
        """
        ...

    async def receive_around(self, move: UUID, pauses: Sequence[Pause], starts: Sequence[Start]) -> None:
        """Write what holds jobs back; once (clauses 47 and 50)."""
        ...

    async def receive_schedules(self, move: UUID, rows: Sequence[ScheduleRow]) -> None:
        """Write how far schedules have come; once (clauses 47 and 50)."""
        ...


class StoreWithSource(Store, Protocol):
    """A store that jobs can be moved away from."""

    @property
    def source(self) -> Source:
        """What does that; while the store is open."""
        ...


class StoreWithDestination(Store, Protocol):
    """A store that jobs can be moved to."""

    @property
    def destination(self) -> Destination:
        """What does that; while the store is open."""
        ...


# What both ends decide and say, in the same words on every store


def check_place(place: int | None, jobs: int | None, begins: int) -> None:
    """See to it that a stage has come to where a parcel begins.

    Args:
        place: to where the stage has come.
        jobs: to where `Stage.JOBS` has come: for the whole move that says whether it was taken back.
        begins: the parcel's own place.

    Raises:
        MoveRefused: the move was taken back, or somebody else has come further.
    """
    if jobs == TAKEN_BACK:
        raise unknown_move()
    if place != begins:
        raise somebody_else()


def unknown_move() -> MoveRefused:
    """The move was not begun here, or was taken back."""
    return MoveRefused(["This store knows nothing of the move any more: run the command again."])


def somebody_else() -> MoveElsewhere:
    """A parcel came from another place than the next one."""
    return MoveElsewhere(
        ["Another process carries out the same move: let it end, or end it, and run the command again."]
    )


def there_already(job_id: UUID) -> str:
    """A job, or a call that another one answers, is at the destination under the same id."""
    return (
        f"Job {job_id} is at the destination already, and not from this move: its store was copied, or its jobs were "
        "moved there before by other means. Take an empty namespace or another database, or delete the jobs there."
    )


def key_held_there(job: Whole, holder: UUID) -> str:
    """A job that has not ended has a key that another one holds at the destination."""
    return (
        f"Job {job.id} has the key {job.key!r} of {job.task}, which job {holder} holds at the destination. Cancel one "
        "of the two with jobs.cancel(), or wait for the end of the one there, and run the command again."
    )


def still_holds(state: JobState, until: float | None, now: float) -> bool:
    """Whether a job in that state holds its key (clause 27)."""
    return not state.finished or (state is JobState.SUCCEEDED and (until is None or until > now))


def takes_over(job: Whole, now: float) -> bool:
    """Whether a job that arrives holds its key there, if nobody else does."""
    return job.key_held is not None and job.key_held.held and still_holds(job.state, job.key_held.until, now)
