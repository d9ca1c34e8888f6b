"""One call of a task, from `add_task` to its end in this process, and the calls of one request in order."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypedDict, get_args

from pydantic import SecretStr

from postlude.callers import caller_of
from postlude.codec import MAX_ARGUMENTS
from postlude.durations import seconds_of
from postlude.errors import CallError
from postlude.given import no_option
from postlude.job import DEFAULT_TERMS
from postlude.retries import retries_of_call
from postlude.terms import NOTHING, Asked, asked_terms

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Mapping, Sequence
    from typing import Unpack
    from uuid import UUID

    from postlude.callers.contract import Caller, Executes
    from postlude.definition import TaskDefinition
    from postlude.durations import Duration
    from postlude.errors import NotStorable
    from postlude.executors.around import Around
    from postlude.job import Claim, NewJob, Terms, WhenTaken
    from postlude.retries import RetryPolicy, Written

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
    asked: Asked = NOTHING
    """What it asks for beside its moment."""
    within: Caller | None = None
    """In whose transaction it is added; None: in one of its own."""

    def due(self, now: float) -> float:
        """When a call that is added now is due; seconds since the epoch."""
        return now + self.delay if self.run_at is None else max(now, self.run_at)

    @property
    def later(self) -> bool:
        """Whether it is to run at another time than at once."""
        return self.delay > 0 or self.run_at is not None

    def needed(self) -> str | None:
        """The option, if there is one, that only a stored call can have."""
        if self.later:
            return "delay or run_at"
        return "retries" if self.retries else "key" if self.asked.has_key else None

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


NO_OPTIONS: Final = CallOptions()
"""What a call asks for that asks for nothing."""

_IF_RAISED: Final[tuple[str, ...]] = get_args(WhenRaised)


class JobOptions(TypedDict, total=False):
    """What `options` takes for any job; None, like leaving one out, leaves it as it is."""

    delay: Duration | None
    run_at: datetime | None
    expires_after: Duration | None
    queue: str | None
    priority: int | None
    key: str | None
    on_conflict: WhenTaken | None
    key_period: Duration | None
    retries: int | RetryPolicy | None
    timeout: Duration | None


class EnqueueOptions(JobOptions, total=False):
    """What it takes for jobs that belong to no request."""

    within: Executes | None


class RequestOptions(JobOptions, total=False):
    """What it takes for the tasks of a request."""

    ordered: bool | None
    if_raised: WhenRaised | None


def with_options(options: CallOptions, **given: Unpack[RequestOptions]) -> CallOptions:
    """These options with those that are given in their place.

    Raises:
        CallError: they make no sense; the message names each one that does not.
    """
    return _with(options, given, RequestOptions.__optional_keys__)


def with_job_options(options: CallOptions, **given: Unpack[EnqueueOptions]) -> CallOptions:
    """The same for a job that belongs to no request.

    Raises:
        CallError: as above, and for what only a task of a request can have.
    """
    return _with(options, given, EnqueueOptions.__optional_keys__)


def _with(options: CallOptions, given: Mapping[str, Any], known: frozenset[str]) -> CallOptions:
    asked = {name: value for name, value in given.items() if value is not None}
    problems = [_unknown(name, known) for name in given if name not in known]
    changed = {**_order(asked, problems), **_when(asked.get("delay"), asked.get("run_at"), problems)}
    if "retries" in asked:
        changed["retries"], changed["backoff"], wrong = retries_of_call(asked["retries"])
        problems += wrong
    if "timeout" in asked:
        changed["timeout"] = seconds_of(asked["timeout"])
        if not changed["timeout"]:
            problems.append(f"timeout: expected seconds, more than 0, or a timedelta, got {asked['timeout']!r}")
    if "within" in asked and "within" in known:
        changed["within"] = caller_of(asked["within"])
    terms = {name: asked[name] for name in Asked._fields if name in asked}
    if terms:
        changed["asked"], wrong = asked_terms(terms, options.asked)
        problems += wrong
    new = options._replace(**changed)
    if not problems and new.asked.expires_after is not None and new.delay >= new.asked.expires_after:
        got = f"got expires_after={new.asked.expires_after:g} and delay={new.delay:g}"
        problems.append(
            f"expires_after must be longer than delay: the job expires before it is due, and never runs, {got}"
        )
    if problems:
        message = f"options: {'; '.join(problems)}."
        raise CallError(message)
    return new


def _unknown(name: str, known: frozenset[str]) -> str:
    if name in RequestOptions.__optional_keys__:
        why = f"{name} says how a task stands in its request, and a job that is enqueued belongs to none"
        return f"{why}: there are {', '.join(sorted(known))}"
    if name == "within":
        return (
            "within is of jobs that belong to no request: durable.options(within=...).enqueue(...). For the tasks of "
            "one, take Annotated[TransactionTasks, Within(...)] in place of BackgroundTasks"
        )
    return no_option(name, known)


def _order(asked: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    """Those that say how a task stands in its request."""
    if not isinstance(asked.get("ordered", True), bool):
        problems.append(f"ordered: expected True or False, got {asked['ordered']!r}")
    if asked.get("if_raised", "discard") not in _IF_RAISED:
        problems.append(f"if_raised: expected one of {', '.join(map(repr, _IF_RAISED))}, got {asked['if_raised']!r}")
    return {name: asked[name] for name in ("ordered", "if_raised") if name in asked}


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

    # Defaults live on the class: most calls keep nearly all of them.
    terms: Terms = DEFAULT_TERMS
    """When, and after whom, it may run, beside its moment."""
    claim: Claim | None = None
    """The ownership under which it is committed; None while it is not, and for a call that has no row."""
    answered: UUID | None = None
    """The job that has its key and answers in its place; None: there is none. If there is, it does not run."""
    carried: str | None = None
    """The context variables that come along, as a JSON object; None: none."""
    around: Around | None = None
    """Runs the attempt that it is given inside something, such as a span; None: the attempt runs as it is."""
    context: contextvars.Context | None = None
    """The context it runs in; None: a copy of the current one when it starts."""

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
        self.ephemeral: bool = text is None
        """Whether the call lives in this process only."""
        self.options: CallOptions = options
        self.policy_text: str | None = options.policy_text(definition)
        """The policy that is stored with it."""
        self.unstorable: NotStorable | None = unstorable
        """Why the call is ephemeral; None when it is stored."""

    def is_due(self, now: float) -> bool:
        """Whether it may run now; one without a row, that was to run later, never may."""
        if self.claim is None:
            return not self.options.later
        expires_at = self.terms.expires_at
        return self.claim.run_at <= now and (expires_at is None or now < expires_at)

    @property
    def needs_queue(self) -> bool:
        """Whether it has to be claimed like any other job: limits count it, or it may be changed while it waits."""
        return self.terms.partition is not None or self.replaceable

    @property
    def replaceable(self) -> bool:
        """Whether a call with the same key changes it as long as it waits."""
        key = self.terms.key
        return key is not None and key.replaceable

    @property
    def origin(self) -> str | None:
        """JSON: what has added it, as far as it is stored; see `NewJob.origin`."""
        return None if self.claim is None else self.claim.origin

    @property
    def readable(self) -> str | None:
        """The arguments as JSON, also of an ephemeral call: without those that JSON has no word for.

        None if they are larger than those of a stored call may be; they are looked at no further than that. It raises
        what looking at them does: they are the very objects.
        """
        if self.text is not None:
            return self.text
        parts, size = list[str](), 0
        for part in _AS_JSON.iterencode({"args": self.args, "kwargs": dict(self.kwargs)}):
            parts.append(part)
            size += len(part)
            if size > MAX_ARGUMENTS:
                return None
        return "".join(parts)


def _plainly(value: object) -> object:
    """What pydantic's secrets hide, which are what calls are ephemeral for; nothing of anything else."""
    return value.get_secret_value() if isinstance(value, SecretStr) else None


_AS_JSON: Final = json.JSONEncoder(default=_plainly, skipkeys=True)


class Chain:
    """The calls of one request: those committed so far, and where the next one is tied on."""

    origin: str | None = None
    """JSON about the request, stored with each job."""
    first: UUID | None = None
    """The first ordered job; its id is the chain's."""
    last: UUID | None = None
    """The ordered job that the next one comes after."""
    unconfirmed: Sequence[NewJob] = ()
    """Rows whose commit was cut off before it was confirmed."""
