"""Adding jobs that belong to no request, with `await` and without."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from postlude.calls import NO_OPTIONS, with_job_options
from postlude.client.blocking import BlockingJobs, BlockingSchedules, Portal
from postlude.errors import CallError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from typing import Unpack

    from postlude.adding import Given
    from postlude.calls import CallOptions, EnqueueOptions
    from postlude.client.handle import Job
    from postlude.runtime import Runtime

P = ParamSpec("P")
R = TypeVar("R")


class Enqueuing:
    """Commits jobs that any worker may run from then on."""

    def __init__(self, runtime: Runtime, options: CallOptions) -> None:
        self._runtime = runtime
        self._options = options

    def options(self, **options: Unpack[EnqueueOptions]) -> Enqueuing:
        """The same, for jobs with these options; None leaves one as it is. See `BackgroundTasks.options` for others.

        Args:
            options: among them `within`, a connection or session in whose transaction the jobs are added: they are
                there when it commits, and never if it rolls back. Of sqlite3, aiosqlite, apsw, asyncpg, psycopg,
                SQLAlchemy or SQLModel. What one that is not awaited has to do, it does in the calling thread.

        Raises:
            CallError: they make no sense; the message names each one that does not.
        """
        return Enqueuing(self._runtime, with_job_options(self._options, **options))

    @overload
    async def enqueue(
        self, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]: ...
    @overload
    async def enqueue(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
    async def enqueue(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Job[Any]:
        """Commit a job that belongs to no request; returns when it is on disk. Any worker may run it from now on.

        Raises:
            CallError: the call could never have run.
            NotStorable: the call cannot be stored.
            ArgumentsTooLarge: its arguments do not fit into a job.
            StoreUnavailable: the commit is not known to have succeeded: the job may run or not.
        """
        return (await self._runtime.adding.enqueue([(function, args, kwargs)], self._options))[0]

    @overload
    async def enqueue_many(
        self, function: Callable[..., Coroutine[Any, Any, R]], calls: Iterable[Iterable[Any] | Mapping[str, Any]]
    ) -> list[Job[R]]: ...
    @overload
    async def enqueue_many(
        self, function: Callable[..., R], calls: Iterable[Iterable[Any] | Mapping[str, Any]]
    ) -> list[Job[R]]: ...
    async def enqueue_many(
        self, function: Callable[..., Any], calls: Iterable[Iterable[Any] | Mapping[str, Any]]
    ) -> list[Job[Any]]:
        """Commit one job for each set of arguments, all in one commit: all of them or none.

        Args:
            function: the task.
            calls: for each job its positional arguments as a tuple or list, or its keyword arguments as a mapping.

        Raises:
            CallError: a call could never have run.
            NotStorable: a call cannot be stored.
            ArgumentsTooLarge: its arguments do not fit into a job.
            StoreUnavailable: the commit is not known to have succeeded.
        """
        return await self._runtime.adding.enqueue(_many(function, calls), self._options)


class Blocking:
    """`enqueue`, `options`, `jobs` and `schedules` for code that cannot await."""

    def __init__(self, runtime: Runtime, portal: Portal, options: CallOptions = NO_OPTIONS) -> None:
        self._runtime = runtime
        self._portal = portal
        self._options = options
        self.jobs: BlockingJobs = BlockingJobs(runtime.jobs, portal)

    @property
    def schedules(self) -> BlockingSchedules:
        """See `Postlude.schedules`."""
        return BlockingSchedules(self._runtime.schedules, self._portal)

    def options(self, **options: Unpack[EnqueueOptions]) -> Blocking:
        """See `Enqueuing.options`."""
        return Blocking(self._runtime, self._portal, with_job_options(self._options, **options))

    @overload
    def enqueue(
        self, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]: ...
    @overload
    def enqueue(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
    def enqueue(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Job[Any]:
        """See `Enqueuing.enqueue`."""
        return self._enqueue([(function, args, kwargs)])[0]

    @overload
    def enqueue_many(
        self, function: Callable[..., Coroutine[Any, Any, R]], calls: Iterable[Iterable[Any] | Mapping[str, Any]]
    ) -> list[Job[R]]: ...
    @overload
    def enqueue_many(
        self, function: Callable[..., R], calls: Iterable[Iterable[Any] | Mapping[str, Any]]
    ) -> list[Job[R]]: ...
    def enqueue_many(
        self, function: Callable[..., Any], calls: Iterable[Iterable[Any] | Mapping[str, Any]]
    ) -> list[Job[Any]]:
        """See `Enqueuing.enqueue_many`."""
        return self._enqueue(_many(function, calls))

    def _enqueue(self, calls: Sequence[Given]) -> list[Job[Any]]:
        if self._options.within is not None:
            return self._runtime.adding.enqueue_blocking(calls, self._options, self._portal.call)
        return self._portal.call(self._runtime.adding.enqueue(calls, self._options))

    def close(self) -> None:
        """See `Postlude.close`; the thread that all this was done on ends too."""
        try:
            self._portal.call(self._runtime.close())
        finally:
            self._portal.close()


def _many(function: Callable[..., Any], calls: Iterable[Iterable[Any] | Mapping[str, Any]]) -> list[Given]:
    label = f"enqueue_many({getattr(function, '__name__', function)}, ...)"
    if isinstance(calls, set | frozenset):
        message = (
            f"{label}: the jobs come back in the order of the calls, and a set has none. Write a list, got {calls!r}."
        )
        raise CallError(message)
    found: list[Given] = []
    for each in calls:
        if isinstance(each, str | bytes | set | frozenset) or not isinstance(each, Iterable):
            message = (
                f"{label}: expected a tuple, list or mapping of arguments for each job, got {each!r}. "
                f"A single argument is written ({each!r},)."
            )
            raise CallError(message)
        found.append((function, (), each) if hasattr(each, "keys") else (function, tuple(each), {}))  # type: ignore[arg-type]
    return found
