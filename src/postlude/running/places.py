"""The executors of an application: how many slots each has, and where in one an attempt runs."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from postlude.dependencies import Resolver
from postlude.executors.around import AroundExecutor
from postlude.executors.completed import CompletedExecutor, completed
from postlude.executors.contract import Work
from postlude.executors.futures import FuturesExecutor
from postlude.executors.loop import LoopExecutor
from postlude.executors.processes import ProcessExecutor
from postlude.executors.registered import SLOTS, Executors, Processes
from postlude.executors.threads import ThreadExecutor
from postlude.running.elsewhere import Setup, perform_submitted, sent
from postlude.running.line import Line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextvars import Context

    from postlude.carry import Carry
    from postlude.context import CurrentJob
    from postlude.dependencies import Overrides
    from postlude.executors.contract import Executor
    from postlude.registry import Registry
    from postlude.running.admitted import Admitted
    from postlude.settings import Concurrency, Settings
    from postlude.tasks import ExecutorName


class Places(NamedTuple):
    """Where attempts run, and how many at once."""

    threads: ThreadExecutor
    """Runs `def` tasks; shared, as it may serve several loops."""
    concurrency: Concurrency
    """How many slots the loop, the threads and the child processes have."""
    resolver: Resolver
    """Gives tasks what they depend on."""
    processes: ProcessExecutor
    """Runs tasks in child processes, which are started when they are first needed."""
    executors: Executors
    """What the application has registered."""
    made_here: dict[str, FuturesExecutor | ProcessExecutor]
    """Of those, the ones that were needed."""
    setup: str
    """What another process has to know of the application: `Setup.dumps()`."""
    overrides: Callable[[], Overrides]
    """Gives the application's `dependency_overrides`."""
    carry: Carry | None = None
    """Gives them the context variables that came along; None: there are none."""

    @classmethod
    def of(
        cls,
        settings: Settings,
        registry: Registry,
        overrides: Callable[[], Overrides],
        carry: Carry | None,
        given: Mapping[Any, Any],
    ) -> Self:
        """The places of an application; see `made`."""
        root = None if registry.root is None else str(registry.root)
        setup = Setup(root, settings.allow, settings.tasks, () if carry is None else carry.places())
        return cls.made(settings.concurrency, overrides, setup, registry.executors, carry, given)

    @classmethod
    def made(
        cls,
        concurrency: Concurrency,
        overrides: Callable[[], Overrides],
        setup: Setup = Setup(),  # noqa: B008 - it does not change
        executors: Executors | None = None,
        carry: Carry | None = None,
        given: Mapping[Any, Any] = MappingProxyType({}),
    ) -> Self:
        """Places of their own, with so many slots.

        Args:
            concurrency: the slots.
            overrides: gives the application's `dependency_overrides`.
            setup: what other processes have to know of the application.
            executors: what it has registered; None: nothing.
            carry: the context variables that come along.
            given: what tasks are given by its class.
        """
        # A thread for every attempt there may be: one that closes its session must not wait for one that wants one.
        for_dependencies = ThreadExecutor(concurrency.loop + concurrency.threads)
        text = setup.dumps()
        return cls(
            ThreadExecutor(concurrency.threads),
            concurrency,
            Resolver(for_dependencies, overrides, given),
            ProcessExecutor(concurrency.most_processes, text),
            Executors() if executors is None else executors,
            {},
            text,
            overrides,
            carry,
        )

    def line(self, name: ExecutorName) -> Line:
        """The slots of an executor outside the loop.

        Raises:
            KeyError: there is no such executor.
        """
        if name == "thread":
            return Line(self.threads, self.concurrency.threads, room=self.threads)
        if name == "process":
            return Line(self.processes, self.concurrency.most_processes, elsewhere=True)
        registered, slots = self.executors[name]
        executor = self.made_here.get(name)
        if isinstance(registered, Processes):
            slots = slots or self.concurrency.most_processes
            executor = executor or ProcessExecutor(slots, self.setup, nice=registered.nice)
        else:
            slots = slots or SLOTS
            executor = executor or FuturesExecutor(name, registered, slots, self.setup, perform_submitted)
        return Line(self.made_here.setdefault(name, executor), slots, elsewhere=True)

    def placed(self, attempt: Admitted, job: CurrentJob, context: Context) -> tuple[Executor, Work]:
        """Where an attempt runs, and what runs there.

        Args:
            attempt: that is about to begin.
            job: what the task sees of it.
            context: in which it runs.
        """
        call, executor = attempt.call, attempt.line.executor
        definition = call.definition
        results = None if call.claim is None else definition.results
        work = Work(definition.name, definition.function, call.args, call.kwargs, context, results=results)
        if attempt.line.elsewhere:
            work = work._replace(sent=sent(call, job, self.overrides() if definition.plan is not None else {}))
        elif definition.plan is not None:
            complete = self.resolver.complete(definition.plan)
            if isinstance(executor, LoopExecutor):
                work = completed(work, complete)
            else:
                executor = CompletedExecutor(executor, complete)
        if call.around is not None:
            executor = AroundExecutor(executor, call.around)
        return executor, work

    def close(self) -> None:
        """Let the threads and processes end when they have nothing left to do; waits for none of them."""
        self.threads.close()
        self.resolver.threads.close()
        self.processes.close()
        for executor in self.made_here.values():
            executor.close()
