"""Each attempt, shown from its beginning to its end to those who want to see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postlude.events import Begun
from postlude.executors.contract import CannotStart
from postlude.job import Failed

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from postlude.clock import Clock
    from postlude.job import Outcome
    from postlude.running.admitted import Admitted
    from postlude.telling import Events


def observed(
    events: Events, clock: Clock, attempt: Admitted, context: Context, ended: Callable[[Outcome], None]
) -> Callable[[Outcome], None]:
    """Show an attempt that is about to begin to the observers.

    Args:
        events: has the observers.
        clock: what time it is.
        attempt: which.
        context: in which it will run.
        ended: told what it came to.

    Returns:
        What is to be told in the place of `ended`.
    """
    begun = _begun(attempt, context)
    told = [told for observer in events.observers if (told := events.guarded(observer, begun)) is not None]

    def end(outcome: Outcome) -> None:
        if told and (not isinstance(outcome, Failed) or not isinstance(outcome.error, CannotStart)):
            call, ran = attempt.call, clock.elapsed() - attempt.began
            counted = events.masked(attempt.counted(outcome), call.definition.name, call)
            for each in told:
                events.guarded(each, counted, ran)
        ended(outcome)

    return end


def _begun(attempt: Admitted, context: Context) -> Begun:
    call, claim, at = attempt.call, attempt.call.claim, attempt.started_at or 0.0
    begun = Begun(call.id, call.definition.name, 1, at, carried=call.carried, context=context)
    if claim is None:
        return begun
    return begun._replace(
        attempt=attempt.number,
        waited=claim.waited(at),
        stored=not call.ephemeral,
        origin=claim.origin,
    )
