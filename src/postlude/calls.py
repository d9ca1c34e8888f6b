"""One call of a task, from `add_task` to its end in this process, and the calls of one request in order."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

from postlude.durations import seconds_of
from postlude.errors import CallError
from postlude.retries import retries_of_call

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from uuid import UUID

    from postlude.durations import Duration
    from postlude.errors import NotStorable
    from postlude.job import Claim, NewJob
    from postlude.retries import RetryPolicy, Written
    from postlude.tasks import TaskDefinition

WhenRaised = Literal["discard", "keep", "only"]


class CallOptions(NamedTuple):
    """What one call asks for, beside what its task declares."""

    ordered: bool = True
    """Whether the call waits for the one before it, and those after it wait for it."""
    if_raised: WhenRaised = "discard"
    """What happens when the endpoint raises: discard the call, keep it, or run it only then."""
    delay: float = 0.0
    """Seconds from now until it is due."""
    run_at: float | None = None
    """When it is due, in place of a delay; seconds since the epoch."""
    retries: int | None = None
    """How often it is tried again; None: as its task says."""
    backoff: Written = None
    """The waits before that, as they are stored; None: as its task says."""
    timeout: float | None = None
    """Seconds that an attempt may take; None: as its task says."""

    def due(self, now: float) -> float:
        """When a call that is added now is due; seconds since the epoch."""
        return now + self.delay if self.run_at is None else max(now, self.run_at)

    @property
    def later(self) -> bool:
        """Whether it is to run at another time than at once."""
        return self.delay > 0 or self.run_at is not None

    def needed(self) -> str | None:
        """The option, if there is one, that only a stored call can have."""
        return "delay or run_at" if self.later else "retries" if self.retries else None

    def policy_text(self, task: TaskDefinition) -> str | None:
        """The policy of the call as it is stored: its task's, with what the call asks for in its place."""
        if self.retries is None and self.timeout is None:
            return task.policy_text
        policy = task.policy
        if self.retries is not None:
            backoff = policy.backoff if self.backoff is None else self.backoff
            policy = replace(policy, retries=self.retries, backoff=backoff)
        if self.timeout is not None:
            policy = replace(policy, timeout=self.timeout)
        return policy.dumps()


_IF_RAISED: Final[tuple[str, ...]] = get_args(WhenRaised)


def with_options(
    options: CallOptions,
    *,
    ordered: bool | None = None,
    if_raised: WhenRaised | None = None,
    delay: Duration | None = None,
    run_at: datetime | None = None,
    retries: int | RetryPolicy | None = None,
    timeout: Duration | None = None,
) -> CallOptions:
    """These options with those that are given (not None) in their place.

    Raises:
        CallError: they make no sense; the message names each one that does not.
    """
    problems: list[str] = []
    given: dict[str, Any] = {}
    if ordered is not None:
        given["ordered"] = ordered
    if if_raised is not None:
        given["if_raised"] = if_raised
        if if_raised not in _IF_RAISED:
            problems.append(f"if_raised: expected one of {', '.join(map(repr, _IF_RAISED))}, got {if_raised!r}")
    given |= _when(delay, run_at, problems)
    if retries is not None:
        given["retries"], given["backoff"], wrong = retries_of_call(retries)
        problems += wrong
    if timeout is not None:
        given["timeout"] = seconds_of(timeout)
        if not given["timeout"]:
            problems.append(f"timeout: expected seconds, more than 0, or a timedelta, got {timeout!r}")
    if problems:
        message = f"options: {'; '.join(problems)}."
        raise CallError(message)
    return options._replace(**given)


def _when(delay: object, run_at: object, problems: list[str]) -> dict[str, Any]:
    if delay is not None and run_at is not None:
        problems.append("delay and run_at both say when: give one of them")
    elif delay is not None:
        seconds = seconds_of(delay)
        if seconds is None:
            problems.append(f"delay: expected seconds, 0 or more, or a timedelta, got {delay!r}")
        return {"delay": seconds, "run_at": None}
    elif run_at is not None:
        return {"delay": 0.0, "run_at": _moment(run_at, problems)}
    return {}


def _moment(value: object, problems: list[str]) -> float | None:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.timestamp()
    expected = "a datetime with a zone, such as datetime.now(UTC) + timedelta(hours=1)"
    problems.append(f"run_at: expected {expected}, got {value!r}")
    return None


class Call:
    """A call that was added and has not ended yet.

    The arguments are the snapshot taken when it was added: the decoded copy for a call that is stored, the very objects
    for an ephemeral one.
    """

    __slots__ = (
        "args",
        "around",
        "claim",
        "context",
        "definition",
        "id",
        "kwargs",
        "options",
        "policy_text",
        "text",
        "unstorable",
    )

    def __init__(
        self,
        definition: TaskDefinition,
        job_id: UUID,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        text: str | None,
        options: CallOptions,
        unstorable: NotStorable | None,
    ) -> None:
        self.definition: TaskDefinition = definition
        self.id: UUID = job_id
        self.args: tuple[Any, ...] = args
        self.kwargs: Mapping[str, Any] = kwargs
        self.text: str | None = text
        """The arguments as JSON; None for an ephemeral call."""
        self.options: CallOptions = options
        self.policy_text: str | None = options.policy_text(definition)
        """The policy that is stored with it."""
        self.unstorable: NotStorable | None = unstorable
        """Why the call is ephemeral; None when it is stored."""
        self.claim: Claim | None = None
        """The ownership under which it is committed; None while it is not, and for a call that has no row."""
        self.around: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]] | None = None
        """Runs the attempt that it is given inside something, such as a span; None: the attempt runs as it is."""
        self.context: contextvars.Context | None = None
        """The context it runs in; None: a copy of the current one when it starts."""

    def is_due(self, now: float) -> bool:
        """Whether it may run now; one without a row, that was to run later, never may."""
        if self.claim is None:
            return not self.options.later
        return self.claim.run_at <= now

    @property
    def ephemeral(self) -> bool:
        """Whether the call lives in this process only."""
        return self.text is None


class Chain:
    """The calls of one request: those committed so far, and where the next one is tied on."""

    __slots__ = ("first", "last", "origin", "unconfirmed")

    def __init__(self) -> None:
        self.origin: str | None = None
        """JSON about the request, stored with each job."""
        self.first: UUID | None = None
        """The first ordered job; its id is the chain's."""
        self.last: UUID | None = None
        """The ordered job that the next one comes after."""
        self.unconfirmed: Sequence[NewJob] = ()
        """Rows whose commit was cut off before it was confirmed."""
