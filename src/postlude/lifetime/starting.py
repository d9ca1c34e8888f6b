"""What the engine of an application makes when it starts: the process that is open, its places, the child beside it.

`runtime` imports it when a store is first opened, and not before: with all that runs jobs it is more than a third of
what `import postlude` would bring, and a module of tasks, or a script that looks at jobs, needs none of it. In a server
that is the start, where nobody waits for an answer yet.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from postlude import telemetry
from postlude.client.jobs import Jobs
from postlude.errors import StoreError
from postlude.executors.inside import refuse_to_open, refuse_to_start
from postlude.lifetime.introduction import Introduced, introduce, introduce_another, server_name
from postlude.lifetime.process import Process
from postlude.lifetime.supervisor import Supervisor
from postlude.registry import import_tasks
from postlude.running.elsewhere import nowhere
from postlude.running.order import run_without_store
from postlude.running.places import Places
from postlude.services.enlistment import Enlistment
from postlude.services.recording import standing_of
from postlude.stores import store_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from postlude.calls import Call
    from postlude.clock import FollowingClock
    from postlude.dependencies import Overrides
    from postlude.duty import Duty
    from postlude.lifetime.introduction import Coverage
    from postlude.lifetime.opening import Opening
    from postlude.registry import Registry
    from postlude.running.elsewhere import Place
    from postlude.settings import Settings
    from postlude.staging import Staging
    from postlude.statistics import Tallies
    from postlude.telling import Events


class Parts(NamedTuple):
    """What an engine consists of while nothing is open."""

    settings: Settings
    duty: Duty | None
    registry: Registry
    clock: FollowingClock
    events: Events
    tallies: Tallies
    staging: Staging
    jobs: Jobs
    overrides: Callable[[], Overrides]
    """Those of the dependencies."""


async def open_process(parts: Parts) -> Process:
    """A process with its store open and a worker's id, in which nothing runs yet.

    Raises:
        StartedInChild: a module that is only loaded wants it.
        TaskDeclarationError: a module of `tasks=` cannot be imported.
        StoreError: the store cannot be opened, or does not take a worker.
    """
    refuse_to_open()
    import_tasks(parts.settings.tasks)
    parts.staging.find_carried()
    store = store_of(parts.settings)
    try:
        description = await store.open(parts.clock.set_ahead)
        enlistment = Enlistment(store, parts.events)
        await enlistment.begin()
    except BaseException:
        with contextlib.suppress(StoreError):
            await store.close()
        raise
    return Process(
        store=store,
        description=description,
        enlistment=enlistment,
        registry=parts.registry,
        places=_places(parts),
        clock=parts.clock,
        events=parts.events,
        settled=parts.jobs.waiters.settled,
        retention=parts.settings.retention,
        queues={} if parts.duty is None else parts.duty.queues,
        tallies=parts.tallies,
        standing=standing_of(parts.settings, parts.duty),
    )


async def run_unstored(parts: Parts, calls: Sequence[Call]) -> bool:
    """Run calls that have no row, with nothing open; returns whether those that run in order all succeeded."""
    return await run_without_store(store_of(parts.settings), _places(parts), parts.clock, parts.events, calls)


def _places(parts: Parts) -> Places:
    given = {Jobs: parts.jobs}
    return Places.of(parts.settings, parts.registry, parts.overrides, parts.staging.carry, given)


async def opened(opening: Opening) -> Process:
    """The process in which an application starts.

    Raises:
        StartedInChild: it must not start here.
        PostludeError: it cannot be opened.
    """
    refuse_to_start()
    telemetry.make_heard()
    return await opening.process()


async def say(parts: Parts, process: Process, coverage: Coverage, rescued: int) -> None:
    """Say that an application has started, which is the first of its process."""
    about = Introduced(parts.settings, parts.duty, coverage, rescued, parts.registry.knows)
    await introduce(process, about)


async def say_another(process: Process, coverage: Coverage) -> None:
    """Say what one adds that has started beside it."""
    await introduce_another(process, coverage)


def supervisor(parts: Parts, place: Callable[[], Place] | None) -> Supervisor:
    """What keeps a child of this process that runs its jobs; not started.

    Args:
        parts: of the engine whose jobs they are.
        place: gives where the child finds the application; None: it cannot.
    """

    def told() -> dict[str, Any]:
        return {
            "place": (place or nowhere)(),
            "url": parts.settings.url,
            "grace": parts.settings.shutdown_grace,
            "server": f"{server_name()} worker",
            "argv": sys.argv,
        }

    return Supervisor(told, parts.clock, parts.events)
