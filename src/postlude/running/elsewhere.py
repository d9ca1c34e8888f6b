"""An attempt in another process: what it is given, what it finds by that, and what it gives back. All of it is text.

The other process knows nothing of the application but its modules: it opens no store and serves nobody.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextvars import Context, copy_context
from functools import lru_cache, partial
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from postlude.carry import Carry
from postlude.clock import SystemClock, machine_time
from postlude.context import CARRY, CurrentJob, enter
from postlude.dependencies import Resolver
from postlude.errors import CallError, InstallError, TaskDeclarationError, UnknownTask
from postlude.executors.completed import CompletedExecutor, completed
from postlude.executors.contract import Sent, Work, failed, resolve
from postlude.executors.futures import WAITING
from postlude.executors.inside import loading
from postlude.executors.loop import LoopExecutor
from postlude.executors.outcomes import packed
from postlude.executors.registered import Executors
from postlude.executors.threads import ThreadExecutor, call
from postlude.registry import Registry, attribute, import_tasks
from postlude.stacks import answer
from postlude.tasks import importable_name, is_async
from postlude.telling import Events

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from postlude.calls import Call
    from postlude.context import Save
    from postlude.definition import TaskDefinition
    from postlude.dependencies import Overrides
    from postlude.executors.contract import Executor
    from postlude.job import Outcome


class Setup(NamedTuple):
    """What another process has to know of the application to find its tasks."""

    root: str | None = None
    """Its source root."""
    allow: Sequence[str] = ()
    tasks: Sequence[str] = ()
    """Modules to import where that of the task does not lead to it."""
    carry: Sequence[str] = ()
    """Where the context variables are that come along, as `module:name`."""

    def dumps(self) -> str:
        """As JSON."""
        return json.dumps(self)


class Place(NamedTuple):
    """Where another process finds a function."""

    module: str
    script: str | None
    """The file to load the module from, where this process runs it as its script and others cannot import it."""
    qualname: str

    @classmethod
    def of(cls, function: Any) -> Place:  # noqa: ANN401 - whatever can be called
        """Of a function of this process."""
        module = getattr(function, "__module__", None) or type(function).__module__
        qualname = getattr(function, "__qualname__", None) or type(function).__qualname__
        found = attribute(sys.modules.get(module), qualname)
        if found is not function and found != function:  # the methods of a class are equal if they are the same
            qualname = f"<{qualname}>"  # which leads nowhere: it is one object of this process
        main = sys.modules["__main__"]
        file = getattr(main, "__file__", None)
        if module != "__main__" or file is None or getattr(main, "__spec__", None) is not None:
            return cls(importable_name(module), None, qualname)
        return cls(importable_name(module), str(Path(file).resolve()), qualname)


class Parcel(NamedTuple):
    """An attempt, packed for another process."""

    task: str
    place: Place
    arguments: str
    """As they are stored."""
    job_id: str
    attempt: int
    retry: int
    """The number of the coming retry, if there is one."""
    origin: str | None
    saved: str | None
    """The state that an attempt before it has saved; JSON."""
    overrides: Sequence[tuple[Place, Place]]
    """The application's `dependency_overrides`."""
    sender: int
    """The process that it comes from, which may also be the one that runs it."""

    @classmethod
    def loads(cls, text: str) -> Parcel:
        """What was written by `json.dumps`."""
        parcel = cls(*json.loads(text))
        return parcel._replace(
            place=Place(*parcel.place),
            overrides=[(Place(*declared), Place(*override)) for declared, override in parcel.overrides],
        )


def sent(call: Call, job: CurrentJob, overrides: Overrides) -> Sent:
    """The attempt for another process to run.

    Args:
        call: stored, or at least storable.
        job: what the task would see of it here; told of its progress.
        overrides: the application's `dependency_overrides`.
    """
    definition, claim = call.definition, call.claim
    parcel = Parcel(
        task=definition.name,
        place=Place.of(definition.function),
        arguments=call.text or "",
        job_id=str(call.id),
        attempt=job.attempt,
        retry=job.attempt - (0 if claim is None else claim.interruptions),
        origin=None if claim is None else claim.origin,
        saved=None if claim is None else claim.saved,
        overrides=[(Place.of(declared), Place.of(call)) for declared, call in overrides.items()],
        sender=os.getpid(),
    )
    return Sent(json.dumps(parcel), job.progress, job.blocking.save, lambda stack: answer(job, machine_time(), stack))


def perform_submitted(setup: str, text: str) -> dict[str, Any]:
    """What a registered executor is given: see `perform`.

    In the process that submitted it the task sees its very job, and the context variables of its request.
    """
    parcel = Parcel.loads(text)
    # A forked process has a copy of those, which lead to a loop that is not its own.
    context = WAITING.get(text) if parcel.sender == os.getpid() else None
    return perform(setup, parcel, context or entered(setup, parcel, job_of(parcel, None, _cannot_save)))


def entered(setup: str, parcel: Parcel, job: CurrentJob) -> Context:
    """A context in which this is the current job, with the variables that came along with it."""
    context = copy_context()
    context.run(enter, job)
    values = {} if parcel.origin is None else json.loads(parcel.origin).get(CARRY, {})
    if values:
        Carry(Setup(*json.loads(setup)).carry, Events()).set_in(context, values)
    return context


def perform(setup: str, parcel: Parcel, context: Context) -> dict[str, Any]:
    """Run an attempt in this process; returns what `outcomes.outcome_of` reads.

    Args:
        setup: `Setup.dumps()`.
        parcel: the attempt.
        context: in which it is the current job.
    """
    definition: TaskDefinition | None = None
    try:
        definition = _found(setup, parcel)
        args, kwargs = definition.codec.decode(parcel.arguments)
        work = Work(parcel.task, definition.function, args, kwargs, context, results=definition.results)
        outcome = _run(definition, work, parcel)
    except BaseException as error:  # noqa: BLE001 - what a module raises at import is the failure of the attempt
        outcome = failed(error)
    return packed(outcome, None if definition is None else definition.retry, parcel.retry)


def job_of(parcel: Parcel, reported: Callable[[], None] | None, save: Save) -> CurrentJob:
    """What the task sees of its job here; see `CurrentJob`."""
    job_id = UUID(parcel.job_id)
    return CurrentJob(job_id, parcel.task, parcel.attempt, parcel.origin, reported, saved=parcel.saved, save=save)


async def _cannot_save(_: UUID, __: str) -> None:
    message = (
        "save(state): this task runs in an executor of the application's own, in another process, from which nothing "
        "leads back before its end. Use executor='process', or one that runs in threads of this process."
    )
    raise CallError(message)


# Finding


@lru_cache
def _registry(setup: str) -> Registry:
    known = Setup(*json.loads(setup))
    return Registry(None if known.root is None else Path(known.root), allow=known.allow, executors=_Any())


class _Any(Executors):
    """Whoever sent the attempt has looked whether there is its executor, which is needed only there."""

    def __contains__(self, _: object) -> bool:
        return True


def _found(setup: str, parcel: Parcel) -> TaskDefinition:
    with loading():
        load_place(parcel.place)
        registry = _registry(setup)
        if not registry.knows(parcel.task):
            import_tasks(Setup(*json.loads(setup)).tasks)
        return registry.find(parcel.task)


def nowhere() -> Place:
    """Where an application is that no module has under a name.

    Raises:
        InstallError: always. It says what to do.
    """
    message = (
        "worker='process' starts a process that imports the application, and no module has it under a name: it was "
        "made in a function, or a test. Keep it in a module, as in app = create_app(), or use worker='off' and "
        "`postlude worker main:create_app`."
    )
    raise InstallError(message)


def place_in(thing: object, module: str) -> Place:
    """Where another process finds what a module has under a name.

    Args:
        thing: for instance an application.
        module: which is looked into first.

    Raises:
        InstallError: none has it.
    """
    for each in [module, *sys.modules]:
        for name, value in [*getattr(sys.modules.get(each), "__dict__", {}).items()]:
            if value is thing:
                main = sys.modules["__main__"]
                is_script = each == "__main__" and getattr(main, "__spec__", None) is None
                file = getattr(main, "__file__", None)
                return Place(importable_name(each), str(Path(file).resolve()) if is_script and file else None, name)
    return nowhere()


def load_place(place: Place) -> None:
    """Import the module; of a script as much as can be had, since what it starts is running already."""
    if place.module in sys.modules or place.module == importable_name("__main__"):
        return
    if place.script is None:
        import_module(place.module)
        return
    loader = SourceFileLoader(place.module, place.script)
    spec = spec_from_loader(place.module, loader)
    if spec is None:
        raise UnknownTask(place.qualname, f"{place.script} cannot be loaded")
    module = sys.modules[place.module] = module_from_spec(spec)
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:
        # The tasks stand above what starts the program, and are there. Without them it is this error that matters.
        if attribute(module, place.qualname) is None:
            del sys.modules[place.module]
            raise UnknownTask(place.qualname, f"running {place.script} raised {error!r}") from error


def _overrides(places: Sequence[tuple[Place, Place]]) -> Overrides:
    found: dict[Any, Any] = {}
    for declared, override in places:
        function = _at(declared)
        if function is not None:  # else nothing here can depend on it
            found[function] = _at(override) or _missing(declared, override)
    return found


def _at(place: Place) -> Any:  # noqa: ANN401 - as above
    try:
        with loading():
            load_place(place)
    except ImportError:
        return None
    return attribute(sys.modules.get(place.module) or sys.modules["__main__"], place.qualname)


def _missing(declared: Place, override: Place) -> Callable[[], None]:
    """In place of an override that only the process of the application has: whoever needs it is told."""

    def missing() -> None:
        message = (
            f"dependency_overrides[{declared.qualname}] is {override.module}:{override.qualname}, which no other "
            "process can import, and the task runs in one. Use a function at the top level of a module."
        )
        raise TaskDeclarationError(message)

    return missing


# Running


def _run(definition: TaskDefinition, work: Work, parcel: Parcel) -> Outcome:
    coroutine = is_async(definition.function)
    if definition.plan is None and not coroutine:
        return call(work)  # on the thread that is there, and on the main one in a child: signals work there, too
    threads = ThreadExecutor(2)  # the task's own, and one for what it depends on
    try:
        executor: Executor = LoopExecutor(SystemClock(), _blocked) if coroutine else threads
        if definition.plan is not None:
            resolver = Resolver(threads, partial(_overrides, parcel.overrides))
            complete = resolver.complete(definition.plan)
            if coroutine:
                work = completed(work, complete)
            else:
                executor = CompletedExecutor(threads, complete)
        return asyncio.run(_to_its_end(executor, work))
    finally:
        threads.close()


async def _to_its_end(executor: Executor, work: Work) -> Outcome:
    ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    running = executor.begin(work, partial(resolve, ended))
    try:
        return await ended
    finally:
        del running


def _blocked(task: str, seconds: float) -> None:
    """Nobody else is on that loop."""
