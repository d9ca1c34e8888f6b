"""The tasks of a request that are committed together with what its session writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from postlude.callers import caller_of
from postlude.callers.alchemy import OfAsyncSession, OfSession
from postlude.callers.commits import AtCommit
from postlude.calls import Call
from postlude.errors import CallError, PostludeError
from postlude.transactions import carried_out

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from postlude.callers.contract import BlockingCaller
    from postlude.job import NewJob
    from postlude.transactions import Transactions

Bound: TypeAlias = AtCommit[Call]
"""The calls that one request adds within one session."""


LEFT: Final = "no commit of the session came after they were added: an endpoint that commits itself adds tasks before"
"""Why calls come to nothing that were added behind the last commit."""


class RolledBack(PostludeError):
    """The transaction that calls were added within came to nothing. Given as a reason, never raised."""

    def __init__(self) -> None:
        super().__init__("the transaction that they were added within was rolled back")


async def bind(
    transactions: Transactions,
    session: object,
    queue: Callable[[Sequence[Call]], Sequence[NewJob]],
    discard: Callable[[Sequence[Call], BaseException], None],
    lose: Callable[[Sequence[Call]], None],
) -> Bound:
    """The calls of a request that are committed with what a session writes.

    Args:
        transactions: of the process.
        session: of SQLAlchemy or SQLModel.
        queue: gives the rows of calls.
        discard: told of calls that were rolled back, and that this is why.
        lose: told of calls after which no commit came.

    Raises:
        CallError: with this one none can be added; the message says why.
    """
    caller = session_of(session)
    way = await transactions.way(caller)

    def write(through: BlockingCaller, calls: Sequence[Call]) -> None:
        carried_out(way.add(_in_order(calls, queue(calls))), through)

    return Bound(
        caller.session,
        write=write,
        committed=transactions.hears(way),
        dropped=lambda calls: discard(calls, RolledBack()),
        left=lose,
    )


def _in_order(calls: Sequence[Call], jobs: Sequence[NewJob]) -> list[NewJob]:
    """The jobs of these calls, each that is ordered behind the one before it."""
    ordered = [job.id for call, job in zip(calls, jobs, strict=True) if call.options.ordered]
    if len(ordered) < 2:  # noqa: PLR2004 - a chain
        return list(jobs)
    before = dict(zip(ordered[1:], ordered, strict=False))
    first = ordered[0]
    return [
        job._replace(chain=first, after=before.get(job.id)) if job.id == first or job.id in before else job
        for job in jobs
    ]


def session_of(session: object) -> OfSession | OfAsyncSession:
    """What speaks with a session.

    Raises:
        CallError: it is none of SQLAlchemy's or SQLModel's.
    """
    try:
        found = caller_of(session)
    except CallError:
        found = None
    if isinstance(found, OfSession | OfAsyncSession):
        return found
    message = (
        "Within: expected a dependency that gives a Session or an AsyncSession of SQLAlchemy or SQLModel, which tell "
        f"of their commits; it gave {session!r}. Write `await durable.options(within=...).enqueue(...)` with any other "
        "connection."
    )
    raise CallError(message)
