"""The values of the dependencies of one attempt, and their end after it."""

from __future__ import annotations

import asyncio
import functools
from concurrent.futures import Future
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final

from postlude.errors import TaskDeclarationError
from postlude.executors.contract import CannotStart, Work, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextvars import Context

    from postlude.dependencies.finding import Dependency, Function, Kind
    from postlude.executors.contract import Executor
    from postlude.job import Outcome

_UNSET: Final = object()


class Resolution:
    """The values of one attempt's dependencies, and on the stack what is to be closed after it.

    Args:
        stack: closed after the attempt.
        threads: run sync dependencies.
        given: what the application gives to its tasks, by its class.
    """

    def __init__(self, stack: AsyncExitStack, threads: Executor, given: Mapping[Any, Any]) -> None:
        self._stack = stack
        self._threads = threads
        self._given = given
        self._values: dict[Function, Any] = {}

    async def value(self, dependency: Dependency) -> Any:  # noqa: ANN401 - whatever the dependency gives
        """Its value, made now or already made for another that names the same.

        Raises:
            TaskDeclarationError: the application would give it, and is in another process.
        """
        if dependency.kind == "given":
            if dependency.call not in self._given:
                raise elsewhere(dependency)
            return self._given[dependency.call]
        if dependency.use_cache and dependency.declared in self._values:
            return self._values[dependency.declared]
        arguments = {each.parameter: await self.value(each) for each in dependency.needs}
        made = await self._made(dependency.kind, functools.partial(dependency.call, **arguments))
        self._values.setdefault(dependency.declared, made)
        return made

    async def _made(self, kind: Kind, call: Callable[[], Any]) -> Any:  # noqa: ANN401 - as above
        match kind:
            case "coroutine":
                return await call()
            case "async generator":
                return await self._stack.enter_async_context(asynccontextmanager(call)())
            case "generator":
                return await self._opened(call)
            case _:
                return await self._in_thread(call, copy_context())

    async def _opened(self, call: Callable[[], Iterator[Any]]) -> Any:  # noqa: ANN401 - as above
        # One context for both ends: a context variable can be reset only where it was set.
        context, opened = copy_context(), ExitStack()

        async def leave(*raised: Any) -> bool:
            context.run(_adopt, copy_context())
            try:
                return bool(await self._in_thread(functools.partial(opened.__exit__, *raised), context))
            except CannotStart as error:
                # Not as if nothing had begun: the task has run.
                message = f"what the task depends on was not closed: {error}"
                raise RuntimeError(message) from error

        # Before it is opened: whoever cancels the wait for that does not keep the thread from opening it.
        self._stack.push_async_exit(leave)
        return await self._in_thread(lambda: opened.enter_context(contextmanager(call)()), context)

    async def _in_thread(self, call: Callable[[], Any], context: Context) -> Any:  # noqa: ANN401 - as above
        """Call it in a thread, and take over the context variables that it set; a cancellation waits for the thread."""
        result: Future[Any] = Future()

        def work() -> None:
            try:
                result.set_result(call())
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                result.set_exception(error)

        ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._threads.begin(Work("a dependency", work, (), {}, context), functools.partial(resolve, ended))
        cancelled: asyncio.CancelledError | None = None
        while not ended.done():
            try:
                await asyncio.wait([ended])
            except asyncio.CancelledError as error:
                if cancelled is not None:
                    raise  # for the second time: the loop ends, and must not wait for a thread
                cancelled = error
        _adopt(context)
        if cancelled is not None:
            raise cancelled
        return result.result()


def elsewhere(dependency: Dependency) -> TaskDeclarationError:
    """What to say of one that only the application's own process can give."""
    kind = dependency.call.__name__
    return TaskDeclarationError(
        f"{dependency.parameter} is the application's {kind}, and its executor runs the task in another process, or "
        "may, where there is no application. Let it run on the loop or in a thread; or import the application's "
        "`durable` in the task and use that, which opens the store there, too."
    )


def _adopt(context: Context) -> None:
    """Set each variable of the current context to what it is in the other one."""
    for variable, value in context.items():
        if variable.get(_UNSET) is not value:
            variable.set(value)
