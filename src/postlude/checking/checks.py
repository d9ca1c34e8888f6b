"""The checks: each looks at one thing, and the table at the end has all of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from postlude.coverage import coverage
from postlude.errors import ArgumentsDoNotFit, PostludeError, UnknownTask
from postlude.findings import Finding, Looked
from postlude.job import JobState
from postlude.lifetime.grace import BEYOND_THE_GRACE
from postlude.registry import import_tasks
from postlude.scheduling import scheduled_tasks
from postlude.settings import unknown_variables
from postlude.stores import store_of
from postlude.stores.contract import Filter
from postlude.stores.examining import examine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from postlude.checking.hosting import Host
    from postlude.clock import Clock
    from postlude.job import Record
    from postlude.standalone.finding import Found
    from postlude.stores.contract import Store

    Look = Callable[["Subject"], Awaitable[Looked]]

PAGE: Final = 500
"""Jobs that are read at once."""
MOST_LOOKED_AT: Final = 10_000
"""Jobs of one task whose arguments are tried; the newest."""
NEARLY_ALWAYS_WITHIN: Final = 2.0
"""Seconds beyond its grace in which a process has nearly always ended. Less is a note; the cure asks for what it may
take at most."""

NOT_OPEN: Final = Looked("not looked at, since the store cannot be opened as it is", skipped=True)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked: an application, where it runs, and its store if that can be opened."""

    found: Found
    clock: Clock
    host: Host | None
    store: Store | None = None


async def check(found: Found, clock: Clock, host: Host | None) -> Mapping[str, Looked]:
    """Look at everything, whatever is found; nothing is changed but what opening a store that is ready does.

    Args:
        found: the application.
        clock: what time it is.
        host: what the process runs in, if that is known.
    """
    settings = found.engine.settings
    place = await examine(settings, clock)
    store: Store | None = None
    looked = dict(place.looked)
    if place.ready:
        store = store_of(settings)
        try:
            await store.open()
        except PostludeError as error:
            looked["store"] = Looked(findings=[Finding(str(error), "", serious=True)])
            store = None
    subject = Subject(found, clock, host, store)
    try:
        return looked | {name: await _tried(look, subject) for name, look in CHECKS.items()}
    finally:
        if store is not None:
            await store.close()


async def _tried(look: Look, subject: Subject) -> Looked:
    try:
        return await look(subject)
    except PostludeError as error:
        # The store may go away while it is looked at; what the others find is told all the same.
        return Looked(findings=[Finding(str(error), "", serious=True)])


async def _modules(subject: Subject) -> Looked:
    """First of those that look at tasks: these modules declare some."""
    modules = subject.found.engine.settings.tasks
    findings = []
    for module in modules:
        try:
            import_tasks([module])
        except PostludeError as error:
            findings.append(Finding(str(error), "", serious=True))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the module raises when it is imported
            what = f"tasks={module!r}: {type(error).__name__}: {error}"
            findings.append(Finding(what, "Import it by hand to see where: no task of it can run.", serious=True))
    return Looked(", ".join(modules) or "none", findings)


async def _variables(_: Subject) -> Looked:
    cure = "Correct it, or remove it: what it was meant to say is not in force."
    return Looked(findings=[Finding(line, cure) for line in unknown_variables()])


async def _routes(subject: Subject) -> Looked:
    engine = subject.found.engine
    covered = coverage(subject.found.app, lambda dependency: getattr(dependency, "postlude", None) is engine)
    cure = "What its background tasks promise is gone with the process, as with FastAPI alone."
    gaps = [Finding(gap, cure) for gap in covered.gaps]
    return Looked(f"{covered.covered} with durable background tasks", gaps)


async def _waiting(subject: Subject) -> Looked:
    """Whether this code can run what waits."""
    store, registry = subject.store, subject.found.engine.registry
    if store is None:
        return NOT_OPEN
    findings: list[Finding] = []
    total = 0
    for name in sorted(await store.waiting_tasks()):
        waiting = (await store.count(Filter(frozenset({JobState.QUEUED}), name))).get(JobState.QUEUED, 0)
        total += waiting
        try:
            definition = registry.find(name)
        except UnknownTask as error:
            cure = (
                f"Put the function back, or take its jobs up with @task(formerly={name!r}) on the one that replaces "
                "it. If it is another application's, give each a place of its own (docs/applications.md)."
            )
            findings.append(Finding(f"{_jobs(waiting)} of {name} cannot run: {error.reason}", cure, serious=True))
            continue
        if not definition.remote:
            misfits = await _misfits(store, name, definition.codec.decode)
            findings += [
                Finding(f"{_jobs(number)} of {name} cannot run: {reason}", _BIND, serious=True)
                for reason, number in misfits.most_common()
            ]
    return Looked(f"{total}, and each can run" if total else "none", findings)


_BIND: Final = (
    "Let the function take the old arguments too (a default for a new parameter, the old name beside the new one), or "
    "cancel these jobs and add the calls anew."
)


async def _misfits(store: Store, name: str, decode: Callable[[str], object]) -> Counter[str]:
    """Why the arguments of jobs that wait do not fit the function as it is, and how many there are of each kind."""
    misfits: Counter[str] = Counter()
    async for record in _queued(store, name):
        if record.arguments:
            try:
                decode(record.arguments)
            except ArgumentsDoNotFit as error:
                argument = "" if error.argument is None else f"argument {error.argument!r}: "
                misfits[f"{argument}{error.reason}"] += 1
    return misfits


async def _queued(store: Store, name: str) -> AsyncIterator[Record]:
    queued, before = Filter(frozenset({JobState.QUEUED}), name), None
    for _ in range(MOST_LOOKED_AT // PAGE):
        records = await store.list(queued, limit=PAGE, before=before)
        for record in records:
            yield record
        if len(records) < PAGE:
            return
        before = records[-1].id


async def _left_behind(subject: Subject) -> Looked:
    """Whether somebody takes up what processes had begun that are gone: any worker does, within seconds."""
    if subject.store is None:
        return NOT_OPEN
    workers = await subject.store.seeing.workers()
    left = sum(row.owns for row in workers if not row.alive)
    # Of a release that says nothing of itself it is not known whether it runs jobs.
    if any(row.alive and (not row.reports or (row.report is not None and row.report.runs_jobs)) for row in workers):
        return Looked("a worker is alive that takes up what others leave")
    if not left:
        return Looked("none")
    gone = sum(row.owns > 0 for row in workers if not row.alive)
    processes = "a process that is" if gone == 1 else f"{gone:,} processes that are"
    what = f"{_jobs(left, 'unfinished')} of {processes} gone, and no worker is alive that takes them up"
    cure = (
        "Start the application, or `postlude worker`: what had not begun runs then, and the rest counts as interrupted."
    )
    return Looked(findings=[Finding(what, cure)])


async def _schedules(subject: Subject) -> Looked:
    if subject.store is None:
        return NOT_OPEN
    declared = scheduled_tasks(subject.found.engine.registry)
    findings = [
        Finding(
            f"schedule {row.name!r} is in the store, and this code does not declare it: it comes only if other does",
            f"Put it back, or forget it: await durable.schedules.forget({row.name!r})",
        )
        for row in await subject.store.schedules()
        if row.name not in declared
    ]
    return Looked(str(len(declared)), findings)


async def _grace(subject: Subject) -> Looked:
    grace, host = subject.found.engine.settings.shutdown_grace, subject.host
    if host is None or grace + NEARLY_ALWAYS_WITHIN <= host.seconds:
        return Looked(f"{grace:g} s")
    what = (
        f"shutdown_grace is {grace:g} s, and {host.name} kills {host.seconds:g} s after it has asked for the end, "
        "unless it was told otherwise"
    )
    cure = f"Set {host.setting} to {grace + BEYOND_THE_GRACE:g} s or more, or shutdown_grace to less."
    return Looked(findings=[Finding(what, cure)])


async def _replicas(subject: Subject) -> Looked:
    settings, host = subject.found.engine.settings, subject.host
    if host is None or host.name != "Kubernetes" or not settings.url.startswith("sqlite"):
        return Looked()
    what = "jobs are kept in a SQLite file, and this is Kubernetes: replicas on several nodes cannot share it"
    return Looked(findings=[Finding(what, "Run one replica, with a volume, or keep jobs in PostgreSQL.")])


CHECKS: Final[Mapping[str, Look]] = MappingProxyType(
    {
        "modules": _modules,
        "environment": _variables,
        "routes": _routes,
        "waiting jobs": _waiting,
        "left behind": _left_behind,
        "schedules": _schedules,
        "grace": _grace,
        "replicas": _replicas,
    }
)
"""Behind what the place itself is asked (`stores/*/examining.py`), in this order."""


def _jobs(number: int, which: str = "waiting") -> str:
    return f"{number:,} {which} job{'' if number == 1 else 's'}"
