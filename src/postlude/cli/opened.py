"""The store that a command is about: found as the application finds it, and opened to be looked at.

No worker is enlisted for it, so a command is never taken for one, and owns nothing that somebody had to rescue.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from postlude.client.jobs import Jobs
from postlude.client.timetable import Schedules
from postlude.clock import SystemClock
from postlude.errors import ApplicationNotFound, PostludeError, StoreLocationError
from postlude.masking import Masking
from postlude.registry import Registry, import_tasks
from postlude.settings import DEFAULT_URL, read_settings
from postlude.standalone.finding import find, locate
from postlude.stores import store_of
from postlude.stores.examining import path_of
from postlude.stores.urls import is_postgres
from postlude.views import Views

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from postlude.cli.printing import Output
    from postlude.clock import FollowingClock
    from postlude.runtime import Runtime
    from postlude.settings import Settings
    from postlude.standalone.finding import Found
    from postlude.stores.contract import Store


@dataclass(frozen=True, slots=True)
class Place:
    """Where jobs are kept, and who says so."""

    settings: Settings
    registry: Registry
    """The tasks that are known here: none without an application."""
    found: Found | None
    """The application; None: the store alone was named, or was found without one."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An open store, with what commands ask of it."""

    place: Place
    store: Store
    location: str
    """Where it is, for people, without any password."""
    jobs: Jobs
    schedules: Schedules
    views: Views
    clock: FollowingClock
    out: Output

    @property
    def engine(self) -> Runtime:
        """The engine of the application.

        Raises:
            ApplicationNotFound: only the store is known.
        """
        return application_of(self.place).engine


def application_of(place: Place) -> Found:
    """The application.

    Raises:
        ApplicationNotFound: only the store is known.
    """
    if place.found is None:
        message = (
            "This needs the application, and none was named or found here. Name it with --app main:app, or run the "
            "command in its folder, without --url."
        )
        raise ApplicationNotFound(message)
    return place.found


def look_up(application: str | None, url: str | None, out: Output) -> Place:
    """Where the jobs are that a command is about.

    Args:
        application: as for `postlude worker`; None: the one that is found here, if there is one.
        url: only the store that is there, without any application.
        out: told of an application that is left out.

    Raises:
        ApplicationNotFound: the one that was named is not there.
        SettingsError: the environment makes no sense.
    """
    if url is not None:
        if application is not None:
            message = "Give --app or --url: an application says itself where its jobs are."
            raise ApplicationNotFound(message)
        return _alone(read_settings({"url": url}))
    if application is not None:
        return _with(application)
    try:
        locate(None, Path.cwd())
    except ApplicationNotFound:
        return _alone(read_settings({}))
    try:
        return _with(None)
    except ApplicationNotFound as error:
        settings = read_settings({})
        if settings.url == DEFAULT_URL:
            raise
        out.note(f"Going on without the application, with the store that POSTLUDE_URL names. {error}")
        return _alone(settings)


def _alone(settings: Settings) -> Place:
    return Place(settings, Registry(None), None)


def _with(application: str | None) -> Place:
    """Where an application keeps its jobs.

    Raises:
        ApplicationNotFound: it is not there, or what its modules do when they are imported raises.
    """
    try:
        # What modules print when they are imported is no part of the answer.
        with contextlib.redirect_stdout(sys.stderr):
            found = find(application)
            import_tasks(found.engine.settings.tasks)
    except PostludeError:
        raise
    except (Exception, SystemExit) as error:
        raised = "".join(traceback.format_exception(error)).rstrip()
        message = f"The application could not be imported:\n{raised}"
        raise ApplicationNotFound(message) from error
    return Place(found.engine.settings, found.engine.registry, found)


@contextlib.asynccontextmanager
async def opened(place: Place, out: Output) -> AsyncIterator[Opened]:
    """The store, open for the length of a block.

    Raises:
        StoreError: it cannot be opened.
    """
    settings = looking(place.settings)
    store = store_of(settings)
    clock = SystemClock() if place.found is None else place.found.engine.clock
    description = await store.open(clock.set_ahead)

    async def same() -> Store:
        return store

    async def no_relay() -> None:
        """What others have committed elsewhere is moved by their own processes."""

    jobs = Jobs(same, clock, place.registry, open_calls=tuple, relay=no_relay, changed=store.notify)
    schedules = Schedules(same, place.registry, clock, jobs, partial(store.notify, "queued"))
    try:
        yield Opened(
            place=place,
            store=store,
            location=description.location,
            jobs=jobs,
            schedules=schedules,
            views=Views(same, place.registry, clock, Masking(settings.mask), schedules),
            clock=clock,
            out=out,
        )
    finally:
        await store.close()


def looking(settings: Settings) -> Settings:
    """The settings by which a command opens a store that is there: it makes neither a file nor tables.

    Raises:
        StoreLocationError: there is no such file.
    """
    if is_postgres(settings.url):
        return replace(settings, migrate="never")
    path = path_of(settings.url)
    if not path.exists():
        message = (
            f"There is no store at {path}. It is made by the application when it starts. Run this in the folder in "
            "which the server is started, name the application with --app main:app, or the store with --url or "
            "POSTLUDE_URL."
        )
        raise StoreLocationError(message)
    return settings
