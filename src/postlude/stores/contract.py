"""What Postlude asks of a store, as protocols and as numbered clauses that the conformance suite tests by number.

Writing
    1. **On disk.** When a write returns, it survives the death of every process and of the machine. When it raises
       `StoreUnavailable`, nothing may be assumed: it may have happened or not.
    2. **Whole.** The jobs of one `insert` are committed together or not at all. Writes that fail do not fail the other
       writes that shared their commit.
    3. **Withdrawn.** `withdraw` removes the named jobs if they are still staged under the named owner, and does not
       mind those that never arrived. It is how an insert that raised is undone. What their keys did to others stays; so
       does one that answers a call which is not named (clause 26): it becomes queued instead, as what comes behind it
       may have before. To insert again what was staged, and is not any more, changes nothing of it, and gives its own
       id as that of the job that answers.
    4. **Forward only.** `migrate` never undoes; a release works on the schema of the next one.

Claims
    5. **Fenced.** A claim is the pair of job id and claim id. `start`, `settle` and `report` change nothing for a claim
       that is no longer the job's, and return the ids of the jobs for which that was so.
    6. **One owner.** Two `claim` calls, in whichever processes, never return the same attempt.
    7. **Only what can run.** `claim` gives queued jobs that are due, that do not wait for another job, and whose task
       is among the names asked for: those with the smallest rank come first, then those due first, and for equal
       moments those committed first; each says since when. An expired one is cancelled instead, with those behind it.
    8. **Counted when recorded.** `claim` and `start` record the attempt as started and count it; a staged job that runs
       in its owner without `start` is not counted until it is settled.
    9. **Alone.** A job that was settled with `alone` is claimed only into an idle worker (`idle=True`), before all
       others and with nothing beside it. To a busy worker `claim` gives others as usual, and says that such a job is
       due (`Claimed.alone_waits`).

Settling
    10. **One commit.** `settle` writes the outcome, the line of history, the last progress, what was logged since the
        last report and what follows for the chain in one commit.
    11. **Advance.** When a job succeeds, the job whose `after` it is stops waiting, whatever `followers` says.
    12. **Behind.** When it is queued again with `Followers.QUEUE`, the jobs behind it that are still staged become
        queued, and wait. An ephemeral one among them fails instead, because its arguments lived only in a process that
        gave it away, and those behind that one are cancelled with it.
    13. **Cancelled with it.** When it fails for good or is cancelled, all jobs behind it, however far, are cancelled
        and carry its id in `cancelled_by`, whatever `followers` says.
    14. **Late.** A job inserted behind one that has succeeded, or that is not there, does not wait; behind one that has
        failed or was cancelled it is stored as cancelled by it, or by the one that had cancelled that. With the first
        that comes behind it, a job that was alone becomes the first of its chain.

By hand
    15. **Cancel.** A queued job is cancelled at once, and those behind it with it; a staged or running one gets
        `cancel_requested`, which `cancellations` tells its worker. If it would be queued again after that, it is
        cancelled instead. A finished one raises `IllegalTransition`.
    16. **Retry.** A failed or cancelled job becomes queued with its attempts and interruptions as they were counted,
        and exactly the jobs that its failure cancelled become queued behind it; an ephemeral one among those fails, as
        in clause 12. None of them expires any more: somebody wants them now. A job that its next interruption would set
       aside runs alone. The one that was asked for is due at once, or at the moment that is named; those behind it are
       when it has succeeded. To retry an ephemeral one raises
        `IllegalTransition`: its arguments are gone. So does one whose predecessor has not succeeded; ephemeral ones
        that have ended do not count, since they never will, and what comes behind them goes on without them.

Workers
    17. **Alive or dead.** A worker is alive while its process holds the proof of life it took in `enlist`; the proof
        falls with the process, however it dies, and with nothing else. It is taken before the worker can own a job.
        `silence` says for how long this process could not make sure that it is seen as alive.
    18. **Orphans.** `orphans` gives the claims of dead workers, staged jobs too, and own ones whose `claim` has raised.
    19. **Dismissed.** A worker's row goes when it owns no job any more.
    20. **Announced.** What a worker announced with `announce_stop` is read with its orphans, as `Claim.stopping`.

Servers
    22. **One speaks.** `speaks_for` is true in one of the processes that name the same server: the first that asks is
        the one until it ends, however it does, or closes its store; then the next that asks.

Limits
    23. **Never more.** With `limits`, no claim makes more jobs of a partition run than `max_running` says, and none
       makes more start than `rate` says in any stretch of that length, whichever processes claim. What runs counts
       until its claim has ended, and what has started counts even if it was given back. Jobs that were inserted without
       a partition, before their task had limits, get `""` when a claim with limits meets them, a portion at a time;
       what runs without one counts as if it had that.
    24. **In turn.** Of a lane with limits each partition gives one job before one gives a second, and each has its turn
       however many there are. `Claimed.held_back` says that a limit holds something back that is due, and
       `Claimed.again_at` when that may change by the passing of time alone.
    25. **Paused.** What is paused, a queue, a task or a partition of a task, is not claimed, from the moment on when
       `pause` returned until `resume` did. What runs goes on.

Keys
    26. **One holds it.** Among the jobs of a task at most one that has not ended has a key. A job whose key is held is
       not inserted: `insert` gives the holder in its place, the id that it had leads to the holder from then on, and
       what comes behind it comes behind the holder, and belongs to its chain. A holder that is queued and has expired
       is cancelled by that, as in clause 7, and answers nobody.
    27. **Held.** A job holds its key until it fails or is cancelled; after success until the moment that came with the
       key, or as long as it is kept.
    28. **Changed while it waits.** A job with `"replace"` gives its arguments, policy and terms to a holder that is
       replaceable and waits, with `"debounce"` its moment too; one that is staged becomes queued by that. That is new
       work: attempts and interruptions count from 0 again, and what was saved and reported is gone, while the history
       of the former attempts and what they logged stay. A replaceable holder that runs or has succeeded loses the key
       to it, as does one that is not replaceable and has succeeded; else the holder answers.
    29. **Taken meanwhile.** `retry` of a job whose key another one holds raises `KeyTaken`, with the id of that one.

Keeping
    30. **Deleted.** `delete` removes a job that has ended, with all that is known of it. One that has not, or whose
       chain goes on, raises `IllegalTransition`.
    31. **Pruned.** `prune` removes what has ended and was kept for its time, by the job's own policy or else by what is
       named, a portion at a time; never a job whose chain goes on, nor one that holds its key until a later moment.

Ends
    32. **Erased.** The arguments of a job whose policy has `keep_arguments` false are erased in the commit in which it
       ends, however it does: `ERASED` stands in their place. To retry it raises `IllegalTransition`. Where another job
       is retried that had cancelled it, it fails as an ephemeral one does in clause 16, and as one it does not count as
       a predecessor.
    33. **Result.** A job has a result from the commit on in which it succeeds, or none: that of the settlement.
    34. **Told.** `Settlement.then` is inserted in the same commit, and not at all if the settlement is refused. Of a
       job that fails without a settlement (clauses 12, 16 and 32) the store itself inserts what `failed.telling` gives.

Schedules
    35. **Put.** `put_schedules` adds the rows that are missing. One that is there with the same spec keeps its moment;
        one with another spec takes the spec and the moment that are given, unless that moment is not later than the
        row's `last_moment`: such a row stays as it is, and its name is returned.
    36. **One job a moment.** `fire` compares the row's spec and next moment with those it was given, moves the row on
        and inserts the jobs, all in one commit. When either differs, nothing happens and it returns False. The row's
        `last_job` is the last of the jobs, or the one that answers in its place.
    37. **Kept.** A row stays until `remove_schedule` is given its name; the jobs that it made stay even then.
        `schedules` sees every commit that was confirmed before, and waits for no writer.

Reports
    38. **What is there stays.** A `Report` changes what it has: no progress and no saved state in it leave those of the
        job as they are. Progress is that of one attempt, and is gone with the next `claim`. A report that is handed in
        before the settlement of its claim is written before it.
    39. **The newest lines.** The lines of reports and settlements are kept in the order in which they were written,
        over all attempts. `logs` gives the newest of them: at most `MAX_LINES`, and `MAX_BYTES` by `LogLine.size`.
    40. **Handed on.** What was saved last is in every later claim of the job (`Claim.saved`), however the attempt that
        saved it ended, and in its record.

Leases
    51. **Given up.** A worker whose process lives, but could not be heard for so long that the others took it for dead,
        is told: what it gave to `enlist` is called. From the moment on at which that may be so, `claim` gives it
        nothing, and `sure_of` is false. What it owned goes to others as in clause 18. Without leases it never is.

Time
    52. **One clock.** Where several machines share a store, its clock is that of all: what `open` is given is called
        with the seconds by which it is ahead of the machine's, at the opening and whenever that has changed. Every
        moment that comes in as a parameter is read on it. A store of one machine never calls it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from postlude.stores.asking import AskedStore
from postlude.stores.callers import CallerStore
from postlude.stores.filter import Filter as Filter  # noqa: PLC0414 - part of the contract, and at hand without it
from postlude.stores.notifying import NotificationStore
from postlude.stores.reading import JobReader
from postlude.stores.watching import WatchStore

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from uuid import UUID

    from postlude.job import Claim, JobState, NewJob, Report, Settlement
    from postlude.limits import Limit
    from postlude.pauses import Pause
    from postlude.stores.entries import Sizes
    from postlude.stores.gate import GateStore
    from postlude.stores.moments import Firing, ScheduleRow
    from postlude.stores.searching import SearchStore
    from postlude.stores.seeing import SeeingStore


class Claimed(NamedTuple):
    """What `claim` took."""

    claims: list[Claim]
    alone_waits: bool = False
    """A job that must run alone is due: the worker should come to rest and ask again with `idle`."""
    again_at: float | None = None
    """When to ask again at the latest, whatever happens; None: nothing becomes free by the passing of time."""
    held_back: bool = False
    """A limit holds back what is due: ask again when something has ended."""


class Pruned(NamedTuple):
    """What one portion of pruning came to."""

    jobs: int
    """How many were removed."""
    place: int | None
    """Where the next portion begins; None: there is nothing more that could be old enough."""


class Description(NamedTuple):
    """What the store says of itself when the application starts."""

    location: str
    """Where it is, for people, without any password."""
    sync_seconds: float
    """How long the disk took to confirm a small write, measured when the store was opened."""
    warnings: tuple[str, ...]
    """What is wrong with the place, each with its cure."""


class JobStore(Protocol):
    """What changes jobs, and what workers ask. All may be called from any event loop.

    What workers do is done for many jobs at a time; what a person asks for, by hand, for one.
    """

    async def insert(self, jobs: Sequence[NewJob]) -> Mapping[UUID, UUID]:
        """Commit new jobs (clauses 1, 2, 14); returns which were answered by another, and by which (clause 26)."""
        ...

    async def withdraw(self, jobs: Sequence[NewJob]) -> None:
        """Remove jobs whose `insert` was not confirmed (clause 3)."""
        ...

    async def claim(
        self,
        *,
        owner: int,
        tasks: Collection[str],
        limit: int,
        now: float,
        idle: bool,
        limits: Mapping[str, Limit] = ...,
        queues: Mapping[str, int | None] = ...,
    ) -> Claimed:
        """Take up to `limit` due jobs (clauses 6 to 9, 23 to 25); with 0 it only looks, and waits for no writer.

        `idle`: the worker runs nothing else just now. `limits`: of those tasks that have some. `queues`: clause 53.
        """
        ...

    async def start(self, claims: Sequence[Claim], *, now: float) -> frozenset[UUID]:
        """Record staged attempts as running; returns the refused (clauses 5, 8)."""
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> frozenset[UUID]:
        """End claims; returns the refused (clauses 5, 10 to 13, 32 to 34)."""
        ...

    async def report(self, claims: Mapping[Claim, Report]) -> frozenset[UUID]:
        """Note what running attempts have to say; returns the refused (clauses 5, 38 to 40)."""
        ...

    async def cancellations(self, owner: int) -> frozenset[UUID]:
        """The staged and running jobs of this worker that somebody asked to cancel (clause 15)."""
        ...

    async def cancel(self, job_id: UUID, *, reason: str, now: float) -> JobState:
        """Cancel or ask to; returns the state in which the job is now (clause 15)."""
        ...

    async def retry(self, job_id: UUID, *, now: float, run_at: float | None = None) -> None:
        """Queue an ended job again, due at `run_at`, or now (clauses 16, 29)."""
        ...

    async def delete(self, job_id: UUID) -> None:
        """Remove a job that has ended (clause 30)."""
        ...

    async def prune(
        self, keep: Mapping[JobState, float], *, shortest: float, now: float, place: int, limit: int
    ) -> Pruned:
        """Look at up to `limit` jobs from `place` on and remove the old ones (clause 31).

        `keep`: seconds after their end for which jobs are kept that do not say it themselves, by how they ended.
        `shortest`: no job is kept for less; what was added since then need not be looked at.
        """
        ...

    async def orphans(self, *, limit: int) -> list[Claim]:
        """Claims that nobody else ends (clause 18); an own one as if it were staged, since nothing of it has begun."""
        ...

    async def waiting_tasks(self, queues: Collection[str] = ()) -> Mapping[str, float]:
        """The names of all tasks that have queued jobs, whether anybody knows them or not.

        Each with the moment when its first can be claimed: infinity if all wait for jobs, are paused or elsewhere.
        """
        ...


class PauseStore(Protocol):
    """The operations on what is paused."""

    async def pause(self, pause: Pause) -> None:
        """From now on it is not claimed (clause 25). What is paused already gets the new reason."""
        ...

    async def resume(self, pause: Pause) -> bool:
        """From now on it is claimed again; returns whether it was paused. Only kind, name and partition count."""
        ...

    async def pauses(self) -> Sequence[Pause]:
        """What is paused, in no particular order."""
        ...


class WorkerStore(AskedStore, Protocol):
    """The operations on workers."""

    async def enlist(self, given_up: Callable[[], None] = ...) -> int:
        """Take the proof of life, then write the worker's row; returns the worker's id (clause 17).

        `given_up`: called on any thread, and is to return at once, when others have taken it for dead (clause 51).
        """
        ...

    def silence(self) -> float:
        """Seconds since the proof was last made sure of; 0 where it needs nothing but the process. In any thread."""
        ...

    def sure_of(self, owner: int) -> bool:
        """Whether nobody can have given up this worker, as far as is known here (clause 51). In any thread."""
        ...

    async def announce_stop(self, owner: int) -> None:
        """Note that the worker is stopping, so that what it leaves behind was not interrupted (clause 20)."""
        ...

    async def dismiss(self, owner: int) -> None:
        """Remove the worker's row unless it still owns jobs, and give up its proof of life (clause 19)."""
        ...

    async def bury(self) -> int:
        """Remove the rows of dead workers that own no job any more; returns how many (clause 19)."""
        ...

    async def speaks_for(self, server: str) -> bool:
        """Whether this process is the one that says what has to be said once for each server (clause 22)."""
        ...


class ScheduleStore(Protocol):
    """The operations on schedules."""

    async def schedules(self) -> Sequence[ScheduleRow]:
        """All rows, in the order of their names (clause 37)."""
        ...

    async def put_schedules(self, rows: Sequence[ScheduleRow]) -> frozenset[str]:
        """Make these schedules known, by name, task, spec and next moment; returns the refused (clause 35)."""
        ...

    async def fire(self, firing: Firing) -> bool:
        """Move a schedule on, and make the jobs of its moments; returns whether this call did it (clause 36)."""
        ...

    async def remove_schedule(self, name: str) -> bool:
        """Remove a row; returns whether it was there (clause 37)."""
        ...


class Store(
    JobStore, JobReader, WatchStore, NotificationStore, PauseStore, ScheduleStore, WorkerStore, CallerStore, Protocol
):
    """Everything that the engine asks of persistence."""

    @property
    def searching(self) -> SearchStore:
        """How jobs are looked for page by page."""
        ...

    @property
    def seeing(self) -> SeeingStore:
        """What processes write down of themselves, and what is asked of queues and limits."""
        ...

    @property
    def commit_sizes(self) -> Sizes:
        """How many commits of this process were shared by how many operations each, since the store was opened."""
        ...

    @property
    def gate(self) -> GateStore:
        """Who may come in, and what they did."""
        ...

    async def open(self, ahead: Callable[[float], None] = ...) -> Description:
        """Find or make the place, migrate it, and be ready; `ahead` is called on any thread (clause 52).

        Raises:
            StoreLocationError: the place cannot be used.
            NotAPostludeStore: something else is there.
            SchemaTooNew: a later release has changed it beyond this one.
        """
        ...

    async def close(self) -> None:
        """Finish the writes under way and let go of everything. Idempotent."""
        ...
