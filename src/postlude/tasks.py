"""Which functions are tasks, and how they want to be run: `@task`.

A function needs no decorator: one that a worker can import again by `module:qualname`, and that belongs to the
application, is a task as it is. `@task` gives it a lasting name and a policy.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar, get_args, overload

from postlude.codec.signatures import inspected
from postlude.dependencies import names_for_callers, plan_of
from postlude.durations import seconds_of
from postlude.errors import TaskDeclarationError
from postlude.given import is_whole, no_option
from postlude.policy import WhenInterrupted
from postlude.retention import EXPECTED, retention_of
from postlude.retries import declared_retries
from postlude.terms import NO_TERMS, TermOptions, queues, task_terms

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from postlude.durations import Duration
    from postlude.failed import FailedJob
    from postlude.retention import Retention
    from postlude.retries import Backoff, Kinds, RetryPolicy
    from postlude.terms import TaskTerms

F = TypeVar("F", bound="Callable[..., Any]")
OnFailure: TypeAlias = "Callable[[FailedJob], Any]"
ExecutorName: TypeAlias = str
"""`"loop"`, `"thread"`, `"process"`, or what `durable.executors.register` was given."""

DECLARATION = "__postlude_task__"
"""The attribute that `@task` leaves on a function. The function itself is returned unchanged."""


class TaskOptions(TermOptions, total=False):
    """What `@task` takes, described there; None, like leaving one out, stands for the default."""

    name: str | None
    formerly: str | Iterable[str] | None
    executor: ExecutorName | None
    interrupted: WhenInterrupted | None
    max_interruptions: int | None
    retries: int | RetryPolicy | None
    backoff: Backoff | None
    retry_on: Kinds | None
    timeout: Duration | None
    retention: Duration | Retention | None
    remote: bool | None
    on_failure: OnFailure | None
    keep_arguments: bool | None


class Declaration(NamedTuple):
    """What the options of a task come to; None stands for the application's default."""

    name: str | None = None
    formerly: tuple[str, ...] = ()
    executor: ExecutorName | None = None
    interrupted: WhenInterrupted | None = None
    max_interruptions: int | None = None
    retry: RetryPolicy | None = None
    timeout: float | None = None
    terms: TaskTerms = NO_TERMS
    retention: Retention | None = None
    remote: bool = False
    on_failure: OnFailure | None = None
    keep_arguments: bool = True


UNDECLARED: Final = Declaration()

declared: dict[str, Callable[..., Any]] = {}
"""Names given by `@task(name=, formerly=)` in this process: importing a module makes its tasks known."""

retentions: Final[set[float]] = set()
"""The shortest retention of each task of this process that declares one; seconds."""


@overload
def task(function: F, /) -> F: ...
@overload
def task(**options: Unpack[TaskOptions]) -> Callable[[F], F]: ...
def task(function: F | None = None, /, **options: Unpack[TaskOptions]) -> F | Callable[[F], F]:
    """Say how a function is to be run in the background; it is returned as it is, and callable as ever.

    Args:
        function: the function, when the decorator is written without parentheses.
        options: those that follow.
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

    def declare(function: F) -> F:
        declaration = _declaration(function, options)
        plan = plan_of(function)
        if plan is not None:
            plan.check(importing=True, apart=declaration.executor not in {None, "loop", "thread"})
        setattr(function, DECLARATION, declaration)
        queues.add(declaration.terms.queue)
        if declaration.retention is not None:
            retentions.add(min(declaration.retention.seconds().values()))
        for known_as in (declaration.name, *declaration.formerly):
            if known_as is not None:
                _announce(known_as, function)
        return function

    return declare if function is None else declare(function)


def _declaration(function: Callable[..., Any], options: TaskOptions) -> Declaration:
    """What the options of this function come to.

    Raises:
        TaskDeclarationError: they contradict each other or the function.
    """
    retry, problems = declared_retries(options.get("retries"), options.get("backoff"), options.get("retry_on"))
    terms, wrong = task_terms(functools.partial(names_for_callers, function), options)
    timeout, retention, most = options.get("timeout"), options.get("retention"), options.get("max_interruptions")
    limit = None if timeout is None else seconds_of(timeout)
    if timeout is not None and not limit:
        problems.append(f"timeout must be seconds, more than 0, or a timedelta, got {timeout!r}")
    kept_for = None if retention is None else retention_of(retention)
    if retention is not None and kept_for is None:
        problems.append(f"retention must be {EXPECTED}, got {retention!r}")
    if most is not None and not is_whole(most, 1):
        problems.append(f"max_interruptions must be a whole number, 1 or more, got {most!r}")
    if options.get("interrupted") not in (None, *get_args(WhenInterrupted)):
        problems.append(f"interrupted must be 'rerun' or 'hold', got {options.get('interrupted')!r}")
    formerly, misnamed = _names(options.get("name"), options.get("formerly"))
    known = TaskOptions.__optional_keys__
    unknown = [no_option(name, known) for name in options if name not in known]
    problems += [*wrong, *unknown, *misnamed, *_wrong_place(function, options.get("executor"))]
    problems += [
        f"{name} must be True or False, got {value!r}"
        for name, value in (("remote", options.get("remote")), ("keep_arguments", options.get("keep_arguments")))
        if not isinstance(value, bool | None)
    ]
    problems += _wrong_handler(function, options.get("on_failure"))
    if not callable(function):
        problems = ["it is no function; a name is given as @task(name=...)"]
    if problems:
        message = f"@task on {_label(function)}: " + "; ".join(problems) + "."
        raise TaskDeclarationError(message)
    return Declaration(
        name=options.get("name"),
        formerly=formerly,
        executor=options.get("executor"),
        interrupted=options.get("interrupted"),
        max_interruptions=most,
        retry=retry,
        timeout=limit,
        terms=terms,
        retention=kept_for,
        remote=options.get("remote") is True,
        on_failure=options.get("on_failure"),
        keep_arguments=options.get("keep_arguments") is not False,
    )


def _label(function: object) -> str:
    return str(getattr(function, "__qualname__", repr(function)))


def _names(name: object, formerly: object) -> tuple[tuple[str, ...], list[str]]:
    """The former names, and what is wrong with all of them."""
    former: tuple[Any, ...]
    if formerly is None or isinstance(formerly, str):
        former = () if formerly is None else (formerly,)
    elif isinstance(formerly, Iterable):
        former = tuple(formerly)
    else:
        return (), [f"formerly must be a name or several, as text, got {formerly!r}"]
    return former, [
        f"a name must be a non-empty string, got {each!r}"
        for each in (*(() if name is None else (name,)), *former)
        if not isinstance(each, str) or not each.strip()
    ]


def _wrong_place(function: Callable[..., Any], executor: object) -> list[str]:
    """What is wrong with where it shall run."""
    if executor is None:
        return []
    if not isinstance(executor, str) or not executor.isidentifier():
        return [f"executor must be 'loop', 'thread', 'process' or a registered name, got {executor!r}"]
    if executor == "loop" and not is_async(function):
        return ["executor='loop' needs an `async def` function: a `def` would block the loop. Leave executor out"]
    if executor == "thread" and is_async(function):
        return ["executor='thread' needs a `def` function: an `async def` runs on the loop. Leave executor out"]
    return []


def _wrong_handler(function: Callable[..., Any], handler: OnFailure | None) -> list[str]:
    """What is wrong with the task that is to be told of its failures."""
    if handler is None:
        return []
    if not callable(handler):
        return [f"on_failure must be a function that takes one FailedJob, got {handler!r}"]
    told: Callable[..., Any] | None = handler
    while told is not None:
        if told is function:
            return ["on_failure leads back to the task itself, whose failures would follow one another for ever"]
        told = getattr(told, DECLARATION, UNDECLARED).on_failure
    return _untellable(handler)


def _untellable(handler: OnFailure) -> list[str]:
    """Why a task cannot be told of failures."""
    name, plan = _label(handler), plan_of(handler)
    signature = inspected(handler) if plan is None else plan.signature
    try:
        signature.bind(None)
    except TypeError as error:
        return [f"on_failure={name} must take one positional argument, a FailedJob: {name}{signature}: {error}"]
    terms: TaskTerms = getattr(handler, DECLARATION, UNDECLARED).terms
    if terms.key is not None or terms.partition_by is not None:
        option = "key" if terms.key is not None else "partition_by"
        cure = "Leave it out there, or name a task without it that enqueues this one"
        return [f"on_failure={name} has {option}=, and each failure is told by a job of its own, without one. {cure}"]
    try:
        if plan is not None:
            plan.check(importing=True)
    except TaskDeclarationError as error:
        return [f"on_failure={name}: {str(error).rstrip('.')}"]
    return []


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


def shortest_retention() -> float | None:
    """The shortest time for which a task of this process keeps its jobs; None: none says so itself."""
    return min(retentions, default=None)
