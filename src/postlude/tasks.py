"""Which functions are tasks, and how they want to be run: `@task`.

A function needs no decorator: one that a worker can import again by `module:qualname`, and that belongs to the
application, is a task as it is. `@task` gives it a lasting name and a policy.
"""

from __future__ import annotations

import functools
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar, overload

from postlude.codec import Codec
from postlude.codec.results import Results
from postlude.codec.signatures import inspected
from postlude.dependencies import names_for_callers, plan_of
from postlude.durations import seconds_of
from postlude.errors import TaskDeclarationError
from postlude.policy import Policy
from postlude.retention import EXPECTED, Retention, retention_of
from postlude.retries import RetryPolicy, declared_retries, kept
from postlude.terms import NO_TERMS, Declared, TaskTerms, queues, task_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from postlude.dependencies import Plan
    from postlude.durations import Duration
    from postlude.errors import NotStorable
    from postlude.failed import FailedJob
    from postlude.job import Claim, Terms, WhenTaken
    from postlude.policy import WhenInterrupted
    from postlude.retries import Backoff, Kinds
    from postlude.terms import Asked

F = TypeVar("F", bound="Callable[..., Any]")
OnFailure: TypeAlias = "Callable[[FailedJob], Any]"
ExecutorName: TypeAlias = str
"""`"loop"`, `"thread"`, `"process"`, or what `durable.executors.register` was given."""

DECLARATION = "__postlude_task__"
"""The attribute that `@task` leaves on a function. The function itself is returned unchanged."""


class Declaration(NamedTuple):
    """What `@task` was given; None stands for the application's default."""

    name: str | None
    formerly: tuple[str, ...]
    executor: ExecutorName | None
    interrupted: WhenInterrupted | None
    max_interruptions: int | None
    retry: RetryPolicy | None = None
    timeout: float | None = None
    terms: TaskTerms = NO_TERMS
    retention: Retention | None = None
    remote: bool = False
    on_failure: OnFailure | None = None
    keep_arguments: bool = True


UNDECLARED = Declaration(None, (), None, None, None)

declared: dict[str, Callable[..., Any]] = {}
"""Names given by `@task(name=, formerly=)` in this process: importing a module makes its tasks known."""


@overload
def task(function: F, /) -> F: ...
@overload
def task(
    *,
    name: str | None = None,
    formerly: str | Iterable[str] = (),
    executor: ExecutorName | None = None,
    interrupted: WhenInterrupted | None = None,
    max_interruptions: int | None = None,
    retries: int | RetryPolicy | None = None,
    backoff: Backoff | None = None,
    retry_on: Kinds | None = None,
    timeout: Duration | None = None,
    queue: str | None = None,
    priority: int | None = None,
    key: str | Callable[..., object] | None = None,
    on_conflict: WhenTaken | None = None,
    key_period: Duration | None = None,
    max_running: int | None = None,
    rate: str | None = None,
    partition_by: Callable[..., object] | None = None,
    retention: Duration | Retention | None = None,
    remote: bool = False,
    on_failure: OnFailure | None = None,
    keep_arguments: bool = True,
) -> Callable[[F], F]: ...
def task(  # noqa: PLR0913 - the options of a task
    function: F | None = None,
    /,
    *,
    name: str | None = None,
    formerly: str | Iterable[str] = (),
    executor: ExecutorName | None = None,
    interrupted: WhenInterrupted | None = None,
    max_interruptions: int | None = None,
    retries: int | RetryPolicy | None = None,
    backoff: Backoff | None = None,
    retry_on: Kinds | None = None,
    timeout: Duration | None = None,
    queue: str | None = None,
    priority: int | None = None,
    key: str | Callable[..., object] | None = None,
    on_conflict: WhenTaken | None = None,
    key_period: Duration | None = None,
    max_running: int | None = None,
    rate: str | None = None,
    partition_by: Callable[..., object] | None = None,
    retention: Duration | Retention | None = None,
    remote: bool = False,
    on_failure: OnFailure | None = None,
    keep_arguments: bool = True,
) -> F | Callable[[F], F]:
    """Say how a function is to be run in the background; it is returned as it is, and callable as ever.

    Args:
        function: the function, when the decorator is written without parentheses.
        name: the name kept with its jobs instead of `module:qualname`, so that the function can be moved and renamed.
        formerly: names under which jobs of this function were stored before.
        executor: `"loop"`, `"thread"`, `"process"`, or a name given to `durable.executors.register`. By default
            `async def` runs on the event loop and `def` in a thread; either can run in a process of its own.
        interrupted: `"rerun"` (the application's default) runs a job again whose process died in mid-run; `"hold"` sets
            it aside for a person, for work that must not be done twice.
        max_interruptions: how many interruptions set a job aside even with `"rerun"`; 3 by default.
        retries: how often a job is tried again when the function raises: a number, `True` for 14 (about six hours), or
            a `RetryPolicy`. Default: 0, since a function written for FastAPI was not written to run twice.
        backoff: the wait before each of them: `Exponential(...)`, seconds or a `timedelta`, a list of those, or a
            function of the number of the retry and the exception. Default: 10 s, doubling up to an hour, +-10 %.
        retry_on: the exceptions to try again after. Default: every `Exception` but `TypeError` and validation errors,
            which have to be named.
        timeout: seconds, or a `timedelta`, that an attempt may take; then it has failed with `TimeoutError`, which is
            retried as any other. A coroutine is cancelled, a process killed; a thread cannot be stopped: it is left
            alone, another takes its place, and what it returns is not recorded. Default: none, and a warning after five
            minutes.
        queue: the queue in which its jobs wait; a queue can be paused, or left to other processes. Default: "default".
        priority: from -100 to 100; of the jobs that are due, those with the largest come first. Default: 0.
        key: text, or a function of some of the task's arguments, by their names, that gives text, a number or a UUID
            (or None for no key): at most one job of the task at a time has a key.
        on_conflict: what becomes of a call whose key is taken. `"return"` (the default): the job that has it answers.
            `"replace"`: that job, while it waits, gets the arguments of this call. `"debounce"`: and its moment too, so
            that with a `delay` the job runs when no call has come for so long.
        key_period: seconds, or a `timedelta`, from the call on, for which a job that has succeeded holds its key.
            Default: as long as it is kept.
        max_running: how many attempts may run at once, in all processes together.
        rate: how many may start, as "100/min", "5/s" or "10/30s": never more in any stretch of that length, in all
            processes together.
        partition_by: a function of some of the task's arguments, by their names, that says what `max_running` and
            `rate` count together, such as the customer; a partition can be paused.
        retention: how long its jobs are kept after their end: seconds, a `timedelta`, or
            `Retention(succeeded=, failed=, cancelled=)`. Default: as the application says.
        remote: the function is a stub, for code that lives elsewhere: other processes run it, under the same name.
        on_failure: a task that is called with a `FailedJob` when a job has failed for good: its last try raised, or it
            was set aside. It is a job of its own, committed together with the failure. Not for a cancelled job.
        keep_arguments: False erases the arguments from the store when the job ends; it cannot be retried by hand then.

    Raises:
        TaskDeclarationError: the options contradict each other or the function, or the name is taken.
    """
    retry, problems = declared_retries(retries, backoff, retry_on)
    formerly = (formerly,) if isinstance(formerly, str) else tuple(formerly)
    limit = None if timeout is None else seconds_of(timeout)
    if timeout is not None and not limit:
        problems = [*problems, f"timeout must be seconds, more than 0, or a timedelta, got {timeout!r}"]
    kept = None if retention is None else retention_of(retention)
    if retention is not None and kept is None:
        problems = [*problems, f"retention must be {EXPECTED}, got {retention!r}"]
    given = Declared(queue, priority, key, on_conflict, key_period, max_running, rate, partition_by)

    def declare(function: F) -> F:
        terms, wrong = task_terms(functools.partial(names_for_callers, function), given)
        declaration = Declaration(
            name,
            formerly,
            executor,
            interrupted,
            max_interruptions,
            retry,
            limit,
            terms,
            kept,
            remote,
            on_failure,
            keep_arguments,
        )
        _check(function, declaration, [*problems, *wrong])
        plan = plan_of(function)
        if plan is not None:
            plan.check(importing=True)
        setattr(function, DECLARATION, declaration)
        queues.add(terms.queue)
        for known_as in (declaration.name, *declaration.formerly):
            if known_as is not None:
                _announce(known_as, function)
        return function

    return declare if function is None else declare(function)


def _check(function: Callable[..., Any], declaration: Declaration, found: Sequence[str]) -> None:
    label = getattr(function, "__qualname__", repr(function))
    problems = [*found]
    if declaration.executor == "loop" and not is_async(function):
        problems.append(
            "executor='loop' needs an `async def` function: a `def` would block the loop. Leave executor out"
        )
    if declaration.executor == "thread" and is_async(function):
        problems.append("executor='thread' needs a `def` function: an `async def` runs on the loop. Leave executor out")
    executor = declaration.executor
    if executor is not None and (not isinstance(executor, str) or not executor.isidentifier()):
        problems.append(f"executor must be 'loop', 'thread', 'process' or a registered name, got {executor!r}")
    if declaration.interrupted not in {None, "rerun", "hold"}:
        problems.append(f"interrupted must be 'rerun' or 'hold', got {declaration.interrupted!r}")
    most = declaration.max_interruptions
    if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
        problems.append(f"max_interruptions must be a whole number, 1 or more, got {most!r}")
    problems += [
        f"a name must be a non-empty string, got {name!r}"
        for name in (declaration.name, *declaration.formerly)
        if name is not None and (not isinstance(name, str) or not name.strip())
    ]
    problems += _problems_of_the_end(function, declaration)
    if problems:
        message = f"@task on {label}: " + "; ".join(problems) + "."
        raise TaskDeclarationError(message)


def _problems_of_the_end(function: Callable[..., Any], declaration: Declaration) -> list[str]:
    """What is wrong with what shall happen when a job has ended."""
    problems: list[str] = []
    if not isinstance(declaration.keep_arguments, bool):
        problems.append(f"keep_arguments must be True or False, got {declaration.keep_arguments!r}")
    handler = declaration.on_failure
    if handler is None:
        return problems
    if not callable(handler):
        problems.append(f"on_failure must be a function that takes one FailedJob, got {handler!r}")
        return problems
    told: Callable[..., Any] | None = handler
    while told is not None:
        if told is function:
            problems.append(
                "on_failure leads back to the task itself, whose failures would follow one another for ever"
            )
            return problems
        told = getattr(told, DECLARATION, UNDECLARED).on_failure
    plan = plan_of(handler)
    signature = inspected(handler) if plan is None else plan.signature
    try:
        signature.bind(None)
    except TypeError as error:
        name = getattr(handler, "__qualname__", repr(handler))
        problems.append(f"on_failure={name} must take one positional argument, a FailedJob: {name}{signature}: {error}")
    return problems


def _announce(name: str, function: Callable[..., Any]) -> None:
    other = declared.get(name)
    if other is not None and default_name(other) != default_name(function):
        message = (
            f"Two tasks are named {name!r}: {default_name(other)} and {default_name(function)}. "
            "A name leads to one function: give one of them another name."
        )
        raise TaskDeclarationError(message)
    declared[name] = function


def is_async(function: object) -> bool:
    """Whether calling the function gives a coroutine: `async def`, also under `partial` and as `__call__`."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or (
        not inspect.isroutine(function) and inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004 - its kind is asked, not its presence
    )


def default_executor(function: object) -> ExecutorName:
    """Where a function runs that does not say where, and a call that no other process can be given."""
    return "loop" if is_async(function) else "thread"


def default_name(function: Callable[..., Any]) -> str:
    """`module:qualname`, with the name under which `__main__` can be imported."""
    module = getattr(function, "__module__", None) or type(function).__module__
    qualname = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{importable_name(module)}:{qualname}"


def importable_name(module: str) -> str:
    """The name that another process imports: `python main.py` runs as `__main__` what others know as `main`."""
    if module != "__main__":
        return module
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name).removesuffix(".__main__")
    file = getattr(main, "__file__", None)
    return Path(file).stem if file else module


class TaskDefinition:
    """A function as a task: its name, how its calls are written down, and how its jobs are treated."""

    __slots__ = (
        "codec",
        "executor",
        "function",
        "name",
        "plan",
        "policy",
        "policy_text",
        "remote",
        "results",
        "retry",
        "terms",
        "unstorable",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        declaration: Declaration,
        *,
        interrupted: WhenInterrupted,
        unstorable: NotStorable | None,
        on_failure: list[str | int | None] | None = None,
    ) -> None:
        self.function: Callable[..., Any] = function
        self.name: str = name
        self.plan: Plan | None = plan_of(function)
        """How the dependencies it asks for are resolved; None if there are none."""
        self.codec: Codec = Codec(function, name=name, binding=self.plan)
        self.executor: ExecutorName = declaration.executor or default_executor(function)
        self.results: Results = Results(function)
        self.policy: Policy = Policy(
            interrupted=declaration.interrupted or interrupted,
            max_interruptions=declaration.max_interruptions or Policy().max_interruptions,
            retries=0 if declaration.retry is None else declaration.retry.count,
            backoff=None if declaration.retry is None else declaration.retry.written(),
            timeout=declaration.timeout,
            retention=_written(declaration.retention),
            keep_arguments=declaration.keep_arguments,
            on_failure=on_failure,
        )
        self.terms: TaskTerms = declaration.terms
        self.remote: bool = declaration.remote
        """Whether other processes run it, and never this one."""
        self.retry: RetryPolicy | None = declaration.retry
        self.policy_text: str | None = self.policy.dumps()
        self.unstorable: NotStorable | None = unstorable
        """Why no call of this function can be stored; None if the arguments decide."""

    @property
    def needed(self) -> str | None:
        """The option, if there is one, that only a stored call can have."""
        return "remote" if self.remote else self.terms.needed

    def terms_of(self, asked: Asked, args: Sequence[Any], kwargs: Mapping[str, Any], now: float) -> Terms:
        """The terms of a call with these arguments.

        Raises:
            CallError: a function of the task gave something for them that is no key or no partition.
        """
        return self.terms.terms(asked, functools.partial(self._named, args, kwargs), now)

    def _named(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.plan is None:
            bound = inspect.signature(self.function).bind_partial(*args, **kwargs)
        else:
            bound = self.plan.bind(tuple(args), kwargs)
        bound.apply_defaults()
        return bound.arguments

    def retries_of(self, claim: Claim) -> RetryPolicy:
        """Whether and when a job is tried again: by what was stored with it, and by what the task declares now."""
        policy = Policy.loads(claim.policy)
        return kept(policy.retries, policy.backoff, self.retry)


def _written(retention: Retention | None) -> float | list[float] | None:
    """How it is stored: one number where one counts for every end."""
    if retention is None:
        return None
    seconds = list(retention.seconds().values())
    return seconds[0] if len(set(seconds)) == 1 else seconds
