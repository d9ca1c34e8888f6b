"""The facade: one object that makes an application's background tasks durable."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

import postlude.fastapi as hooks
from postlude.background import open_call_ids
from postlude.blocking import BlockingJobs, Portal
from postlude.clock import SystemClock
from postlude.errors import CallError
from postlude.registry import Registry
from postlude.runtime import Runtime
from postlude.settings import read_settings
from postlude.source import source_root

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from datetime import timedelta

    from fastapi import FastAPI

    from postlude.client import Job, Jobs
    from postlude.job import WhenInterrupted
    from postlude.settings import Concurrency, OnStoreError, Settings, WorkerMode

P = ParamSpec("P")
R = TypeVar("R")


class Postlude:
    """Makes every `BackgroundTasks.add_task` of an application survive the death of its process.

    Each option can also be set as `POSTLUDE_<NAME>` in the environment; an argument wins. `POSTLUDE_DISABLED=1` leaves
    FastAPI as it is.

    Args:
        app: the application, before it has any routes; None to call `install` later.
        url: where jobs are kept: `sqlite:///relative.db` or `sqlite:////absolute.db`. Default: `.postlude/jobs.db` in
            the working directory.
        worker: `"embedded"` runs jobs in the server's process; `"off"` only stores them, for others to run.
        tasks: modules to import at start, so that the tasks they declare are known.
        allow: functions outside the application's own source that may be stored, such as `"os:remove"`.
        concurrency: how many attempts may run at once; a number is that of `async def` tasks. Default: 100 on the loop
            and 16 in threads.
        strict: refuse calls that cannot be stored with a `TypeError`, instead of running them unsaved.
        ordered: whether each task of a request waits for the success of the one before it. Default: True.
        interrupted: what becomes of a job whose process died while it ran: `"rerun"` (default), or `"hold"` it for a
            person.
        on_store_error: when a commit fails: `"refuse"` with 503 (default), or `"run_unsaved"`.
        shutdown_grace: seconds (or a `timedelta`) that running tasks have when the process is told to end. Default: 8,
            and 0 under `--reload`.

    Raises:
        SettingsError: options that make no sense, all named at once.
        InstallError: the application already has routes, or was given to Postlude before.
    """

    def __init__(  # noqa: PLR0913 - the options of the application
        self,
        app: FastAPI | None = None,
        url: str | None = None,
        *,
        worker: WorkerMode | None = None,
        tasks: Iterable[str] | None = None,
        allow: Iterable[str] | None = None,
        concurrency: Concurrency | int | None = None,
        strict: bool | None = None,
        ordered: bool | None = None,
        interrupted: WhenInterrupted | None = None,
        on_store_error: OnStoreError | None = None,
        shutdown_grace: float | timedelta | None = None,
    ) -> None:
        self.settings: Settings = read_settings(
            {
                "url": url,
                "worker": worker,
                "tasks": tasks,
                "allow": allow,
                "concurrency": concurrency,
                "strict": strict,
                "ordered": ordered,
                "interrupted": interrupted,
                "on_store_error": on_store_error,
                "shutdown_grace": shutdown_grace,
            }
        )
        caller = sys._getframe(1).f_globals  # noqa: SLF001 - the application's own module
        root = source_root(caller.get("__file__"), caller.get("__name__", "__main__"))
        self._registry = Registry(root, allow=self.settings.allow, interrupted=self.settings.interrupted)
        self._runtime = Runtime(self.settings, self._registry, SystemClock(), open_call_ids)
        self._portal = Portal()
        if app is not None:
            self.install(app)

    @property
    def jobs(self) -> Jobs:
        """Look at jobs, wait for them, cancel them, have them run again."""
        return self._runtime.jobs

    @property
    def blocking(self) -> Blocking:
        """The same for code that cannot await. Not for a thread that runs an event loop: it would stand still."""
        return Blocking(self._runtime, self._portal)

    def install(self, app: FastAPI) -> None:
        """Make the background tasks of an application, or of a mounted sub-application, durable.

        Raises:
            InstallError: the application already has routes, or was given to Postlude before.
        """
        if self.settings.disabled:
            hooks.install_disabled(app, self.jobs)
        else:
            hooks.install(app, self._runtime)

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
        return (await self._runtime.enqueue([(function, args, kwargs)]))[0]

    async def enqueue_many(
        self, function: Callable[..., R], calls: Iterable[Iterable[Any] | Mapping[str, Any]]
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
        return await self._runtime.enqueue(_many(function, calls))

    async def close(self) -> None:
        """Let go of the store, where no lifespan does: in scripts, and tests without a running application."""
        await self._runtime.close()


class Blocking:
    """`enqueue` and `jobs` for code that cannot await."""

    def __init__(self, runtime: Runtime, portal: Portal) -> None:
        self._runtime = runtime
        self._portal = portal
        self.jobs: BlockingJobs = BlockingJobs(runtime.jobs, portal)

    @overload
    def enqueue(
        self, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]: ...
    @overload
    def enqueue(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
    def enqueue(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Job[Any]:
        """See `Postlude.enqueue`."""
        return self._portal.call(self._runtime.enqueue([(function, args, kwargs)]))[0]

    def enqueue_many(
        self, function: Callable[..., R], calls: Iterable[Iterable[Any] | Mapping[str, Any]]
    ) -> list[Job[Any]]:
        """See `Postlude.enqueue_many`."""
        return self._portal.call(self._runtime.enqueue(_many(function, calls)))

    def close(self) -> None:
        """See `Postlude.close`."""
        self._portal.call(self._runtime.close())


def _many(
    function: Callable[..., Any], calls: Iterable[Iterable[Any] | Mapping[str, Any]]
) -> list[tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]]]:
    found: list[tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]]] = []
    for each in calls:
        if isinstance(each, str | bytes) or not isinstance(each, Iterable):
            message = (
                f"enqueue_many({getattr(function, '__name__', function)}, ...): expected a tuple, list or mapping of "
                f"arguments for each job, got {each!r}. A single argument is written ({each!r},)."
            )
            raise CallError(message)
        found.append((function, (), each) if hasattr(each, "keys") else (function, tuple(each), {}))  # type: ignore[arg-type]
    return found
