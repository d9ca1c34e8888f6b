"""Which executors the tasks of an application may name; what runs attempts in them is in `futures.py`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Final, NamedTuple

from postlude.errors import TaskDeclarationError
from postlude.given import did_you_mean, is_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

Factory = Callable[[], Executor]

OWN: Final = ("loop", "thread", "process")
"""The executors that are always there."""
SLOTS: Final = 16
"""How many attempts a registered executor is given at once, unless its registration says otherwise."""
MOST_NICE: Final = 19


class Processes(NamedTuple):
    """Children as those of `executor="process"`, for tasks that share them with no others; see `Executors.register`."""

    nice: int = 0
    """By how much their priority is below that of the server, from 0 to 19: for work that lets requests go first."""


class Registered(NamedTuple):
    """An executor under a name."""

    executor: Executor | Factory | Processes
    slots: int | None
    """None: as many as there are of its kind by default."""


class Executors:
    """The executors that the tasks of one application may name: `"loop"`, `"thread"`, `"process"`, and its own."""

    def __init__(self) -> None:
        self._registered: dict[str, Registered] = {}

    def register(self, name: str, executor: Executor | Factory | Processes, *, slots: int | None = None) -> None:
        """Let tasks run in an executor: `@task(executor=name)`.

        Args:
            name: an identifier, and none of `"loop"`, `"thread"` and `"process"`.
            executor: any `concurrent.futures.Executor`, which stays yours to shut down; or a function without
                arguments that makes one: it is called in each process when the first task needs it, and what it made
                is shut down with Postlude; or `Processes()`, children of Postlude's own for these tasks alone.
            slots: how many attempts it is given at once, by one process. Default: 16, and of `Processes` as many as
                there are children for `executor="process"`.

        Raises:
            TaskDeclarationError: the name is taken or none, or the rest makes no sense.
        """
        problems = []
        if not isinstance(name, str) or not name.isidentifier():
            problems.append(f"a name must be an identifier, such as 'dask', got {name!r}")
        elif name in self:
            problems.append(f"the name {name!r} is taken")
        if isinstance(executor, Processes):
            if not is_whole(executor.nice, 0) or executor.nice > MOST_NICE:
                problems.append(f"Processes(nice=) must be a whole number from 0 to {MOST_NICE}, got {executor.nice!r}")
        elif not isinstance(executor, Executor) and not _makes_one(executor):
            expected = "a concurrent.futures.Executor, or a function without arguments that makes one, or Processes()"
            problems.append(f"expected {expected}, got {executor!r}")
        if slots is not None and not is_whole(slots, 1):
            problems.append(f"slots must be a whole number, 1 or more, got {slots!r}")
        if problems:
            message = f"executors.register: {'; '.join(problems)}."
            raise TaskDeclarationError(message)
        self._registered[name] = Registered(executor, slots)

    def __contains__(self, name: object) -> bool:
        return name in OWN or name in self._registered

    def __iter__(self) -> Iterator[str]:
        return iter((*OWN, *self._registered))

    def __len__(self) -> int:
        return len(OWN) + len(self._registered)

    def __getitem__(self, name: str) -> Registered:
        return self._registered[name]

    def unknown(self, name: str) -> str:
        """Why a task cannot run in an executor of this name, and what to do."""
        hint = did_you_mean(name, self)
        return (
            f"its executor {name!r} is not registered here; there are {', '.join(map(repr, self))}.{hint} "
            f"Register it before it is needed: durable.executors.register({name!r}, ...)"
        )


def _makes_one(factory: object) -> bool:
    return issubclass(factory, Executor) if isinstance(factory, type) else callable(factory)
