"""From a call in the user's code to the rows that are committed for it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from postlude.calls import Call, CallOptions
from postlude.carry import Carry, with_carried
from postlude.errors import CallError, NotStorable
from postlude.events import CallNotStored
from postlude.ids import new_job_id, new_token
from postlude.job import Claim, JobState, NewJob
from postlude.terms import NO_TERMS, NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextvars import ContextVar

    from postlude.calls import Chain
    from postlude.clock import Clock
    from postlude.definition import TaskDefinition
    from postlude.job import Terms
    from postlude.registry import Registry
    from postlude.telling import Events

_LIBRARIES = ("postlude", "fastapi", "starlette", "anyio", "asyncio", "threading", "concurrent")


class Staging:
    """Turns calls into jobs.

    Args:
        registry: which functions are tasks.
        clock: when jobs are created.
        events: told of calls that cannot be stored.
        strict: whether such a call is an error.
        carry: the context variables that come along, or where they are.
    """

    def __init__(
        self,
        registry: Registry,
        clock: Clock,
        events: Events,
        *,
        strict: bool,
        carry: Sequence[ContextVar[Any] | str] = (),
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._events = events
        self._strict = strict
        self.carry: Carry | None = Carry(carry, events) if carry else None
        """The context variables that come along; None: there are none."""
        self._along: Callable[[Call], None] | None = None if self.carry is None else self.carry.add_to
        """Adds to a call what comes along with it; None: nothing does."""
        self._warned: set[tuple[str, str]] = set()

    def prepare(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], options: CallOptions
    ) -> Call:
        """The call with a snapshot of its arguments; ephemeral, and warned about once, if it cannot be stored.

        Raises:
            CallError: it could never have run.
            ArgumentsTooLarge: its arguments do not fit into a job.
            NotStorable: it cannot be stored, and `strict` is on or its options need it to be.
        """
        definition = self._registry.of(function)
        try:
            return self._stored(definition, args, kwargs, options)
        except NotStorable as error:
            needed = _needed(options, definition)
            if needed is not None:
                raise error.for_option(needed) from None
            if self._strict:
                raise
            self._warn(error)
            call = Call(definition, new_job_id(), args, kwargs, None, options, error)
            if self._along is not None:
                self._along(call)
            return call

    def prepare_stored(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], options: CallOptions
    ) -> Call:
        """The same, for a call that has to be stored.

        Raises:
            CallError: it could never have run.
            ArgumentsTooLarge: its arguments do not fit into a job.
            NotStorable: it cannot be stored.
        """
        return self._stored(self._registry.of(function), args, kwargs, options)

    def _stored(
        self, definition: TaskDefinition, args: tuple[Any, ...], kwargs: Mapping[str, Any], options: CallOptions
    ) -> Call:
        encoded = definition.codec.encode(args, kwargs)
        if definition.unstorable is not None:
            raise definition.unstorable.with_traceback(None)
        call = Call(definition, new_job_id(), encoded.args, encoded.kwargs, encoded.text, options, None)
        if definition.terms is not NO_TERMS or options.asked is not NOTHING:
            now = self._clock.now()
            call.terms = definition.terms_of(options.asked, encoded.args, encoded.kwargs, now)
            if call.terms.expires_at is not None and options.due(now) >= call.terms.expires_at:
                message = "options: the job expires (expires_after) before it is due (run_at), and never runs."
                raise CallError(message)
        if self._along is not None:
            self._along(call)
        return call

    def bring_along(self, add: Callable[[Call], None]) -> None:
        """From now on have this add to each call, too, what comes along with it."""
        before = self._along

        def along(call: Call) -> None:
            if before is not None:
                before(call)
            add(call)

        self._along = along

    def find_carried(self) -> None:
        """Find the context variables that come along.

        Raises:
            SettingsError: one cannot be found, or two have the same name.
        """
        if self.carry is not None:
            self.carry.variables()

    @staticmethod
    def needed_by(call: Call) -> str | None:
        """The option, if there is one, that only a stored call can have."""
        return _needed(call.options, call.definition)

    @staticmethod
    def needs_rows(chain: Chain, calls: Sequence[Call]) -> bool:
        """Whether `stage` would make any."""
        ordered_behind = chain.last is not None
        return any(call.text is not None or (ordered_behind and call.options.ordered) for call in calls)

    def stage(self, chain: Chain, calls: Sequence[Call], owner: int) -> list[NewJob]:
        """The rows of a request's calls, tied to what the request has committed before; each call gets its claim.

        An ephemeral call gets a row, without arguments, where stored ones stand before or behind it in order: its
        success is then what they wait for.
        """
        now = self._clock.now()
        ordered = [call for call in calls if call.options.ordered]
        has_stored = chain.last is not None or any(call.text is not None for call in ordered)
        in_chain = has_stored and len(ordered) + (chain.last is not None) > 1
        if in_chain and chain.first is None:
            chain.first = ordered[0].id
        jobs: list[NewJob] = []
        for call in calls:
            after = None
            if call.options.ordered and has_stored:
                after, chain.last = chain.last, call.id
                if chain.first is None:
                    chain.first = call.id
            elif call.ephemeral:
                continue
            call.claim = Claim(
                new_token(),
                call.id,
                call.definition.name,
                call.text,
                JobState.STAGED,
                0,
                0,
                call.policy_text,
                chain.origin if call.carried is None else with_carried(chain.origin, call.carried),
                chain.first if in_chain else None,
                after,
                now,
                None,
                owner,
                run_at=call.options.due(now),
            )
            jobs.append(_row(call.claim, call.terms))
        return jobs

    def queue(self, calls: Sequence[Call], origin: str | None = None) -> list[NewJob]:
        """The rows of calls that wait for no response: each may run at once, by whoever claims it."""
        now = self._clock.now()
        return [
            NewJob(
                id=call.id,
                task=call.definition.name,
                arguments=call.text,
                state=JobState.QUEUED,
                created_at=now,
                run_at=call.options.due(now),
                policy=call.policy_text,
                terms=call.terms,
                origin=origin if call.carried is None else with_carried(origin, call.carried),
            )
            for call in calls
        ]

    def _warn(self, error: NotStorable) -> None:
        site = _site()
        if (error.task, site) not in self._warned:
            self._warned.add((error.task, site))
            self._events.emit(CallNotStored(error.task, site, str(error)))


def _needed(options: CallOptions, definition: TaskDefinition) -> str | None:
    return options.needed() or definition.needed


def unstage(chain: Chain, calls: Sequence[Call], jobs: Sequence[NewJob]) -> None:
    """Make the chain what it was before these jobs were tied to it: what comes now comes after what is committed."""
    after = {job.id: job.after for job in jobs}
    while chain.last in after:
        chain.last = after[chain.last]
    if chain.first in after:
        chain.first = None
    chain.unconfirmed = ()
    for call in calls:
        call.claim = None


def _row(claim: Claim, terms: Terms) -> NewJob:
    return NewJob(
        claim.job_id,
        claim.task,
        claim.arguments,
        claim.state,
        claim.created_at,
        claim.run_at,
        claim.policy,
        claim.origin,
        claim.chain,
        claim.after,
        claim.owner,
        claim.id,
        terms,
    )


def _site() -> str:
    """Where in the user's code the call was added, as `file:line`."""
    frame = sys._getframe(1)  # noqa: SLF001 - the documented way to one frame; inspect.stack() reads every source file
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in _LIBRARIES:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
