"""What a request adds, caught before it is stored: nothing of it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, ParamSpec, overload

from postlude.adding import Adding
from postlude.bound import LEFT, Bound, RolledBack, session_of
from postlude.calls import NO_OPTIONS, CallOptions
from postlude.errors import PostludeError
from postlude.runtime import Runtime
from postlude.testing.comparing import check_binds, missing, same_arguments, shown
from postlude.testing.engine import engine_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
    from uuid import UUID

    from postlude.adding import Given
    from postlude.calls import Call, Chain
    from postlude.client.handle import Job
    from postlude.definition import TaskDefinition
    from postlude.registry import Registry
    from postlude.testing.engine import Tested

P = ParamSpec("P")

_DEFAULTS: Final = NO_OPTIONS._asdict()


@dataclass(frozen=True, slots=True, repr=False)
class CapturedCall:
    """A call that was added, and neither stored nor run."""

    task: str
    """The name of its task."""
    function: Callable[..., Any]
    args: tuple[Any, ...]
    """As the task would see them: the copy that was taken when it was added."""
    kwargs: Mapping[str, Any]
    options: CallOptions
    """What the call asked for: `delay`, `run_at`, `retries` and so on."""
    ephemeral: bool
    """Whether it could not have been stored."""

    def __repr__(self) -> str:
        asked = [f"{name}={value!r}" for name, value in self.options._asdict().items() if value != _DEFAULTS[name]]
        asked += ["ephemeral"] if self.ephemeral else []
        return shown(self.task, self.args, self.kwargs) + (f" [{', '.join(asked)}]" if asked else "")


class CapturedCalls(Sequence[CapturedCall]):
    """The calls that were added in a `capture` block, in their order."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._calls: dict[UUID, CapturedCall] = {}
        self._discarded: list[str] = []

    def __repr__(self) -> str:
        return repr([*self])

    def __len__(self) -> int:
        return len(self._calls)

    @overload
    def __getitem__(self, index: int) -> CapturedCall: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[CapturedCall]: ...
    def __getitem__(self, index: int | slice) -> CapturedCall | Sequence[CapturedCall]:
        return [*self._calls.values()][index]

    def of(self, function: Callable[..., Any]) -> list[CapturedCall]:
        """The calls of one function, whatever their arguments."""
        return self._of(self._registry.of(function))

    def assert_enqueued(self, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> CapturedCall:
        """The first call of this function with these arguments.

        Whether one is given by position or by name makes no difference, nor whether a default is written out;
        `unittest.mock.ANY` stands for any value.

        Raises:
            AssertionError: there is none; the message shows what was added instead.
            CallError: the function could not be called like this at all.
        """
        definition = self._registry.of(function)
        check_binds(definition, (args, kwargs))
        for call in self._of(definition):
            if same_arguments(definition, (args, kwargs), (call.args, call.kwargs)):
                return call
        raise AssertionError(missing(shown(definition.name, args, kwargs), map(repr, self), self._discarded))

    def take(self, calls: Iterable[Call]) -> None:
        """Keep these; one that comes a second time, because its request was cut off, is kept once."""
        for call in calls:
            definition = call.definition
            self._calls[call.id] = CapturedCall(
                definition.name, definition.function, call.args, call.kwargs, call.options, call.ephemeral
            )

    def note_discarded(self, calls: Iterable[Call], reason: BaseException | None) -> None:
        """These will not run; said where a test misses one."""
        why = "its request did not raise, and it was wanted only then" if reason is None else f"because of {reason!r}"
        self._discarded += [f"{shown(call.definition.name, call.args, call.kwargs)}, {why}" for call in calls]

    def _of(self, definition: TaskDefinition) -> list[CapturedCall]:
        # What cannot be stored may share its name with others: every lambda of a module has the same.
        ephemeral = definition.unstorable is not None
        return [
            call
            for call in self
            if (call.function == definition.function if ephemeral else call.task == definition.name)
        ]


@contextlib.contextmanager
def capture(tested: Tested) -> Iterator[CapturedCalls]:
    """Catch what is added in the block, by requests and by `enqueue`: nothing is stored, and nothing runs.

    Requests are answered as ever, and what they add is taken when they are: tasks of a request that raises are
    discarded. A job that was added this way is in no store.

    Args:
        tested: the application, or what `Postlude(app)` returned.

    Raises:
        NotTestable: it has no Postlude, or Postlude is disabled.
    """
    engine = engine_of(tested)
    calls = CapturedCalls(engine.registry)
    before = engine.__class__, getattr(engine, "captured", None), engine.adding
    # The hooks have this very object, so it is this one that has to change.
    engine.__class__ = _Capturing
    engine.captured = calls  # type: ignore[attr-defined]
    engine.adding = _CapturingAdding(engine, calls)
    try:
        yield calls
    finally:
        engine.__class__, engine.captured, engine.adding = before  # type: ignore[attr-defined]


class _Capturing(Runtime):
    """An engine that takes calls and does nothing with them."""

    captured: CapturedCalls

    async def commit(self, chain: Chain, calls: Sequence[Call]) -> None:  # noqa: ARG002
        """Take them, and store none."""
        self.captured.take(calls)

    async def run(self, calls: Sequence[Call]) -> None:
        """Nothing."""

    async def run_here(self, calls: Sequence[Call]) -> bool:  # noqa: ARG002
        """Nothing; those behind them may go on, which do nothing either."""
        return True

    def discard(self, calls: Sequence[Call], reason: BaseException | None) -> None:
        """As ever; and keep them in mind."""
        self.captured.note_discarded(calls, reason)
        super().discard(calls, reason)


class _CapturingAdding(Adding):
    """The same for calls that belong to no request."""

    def __init__(self, engine: Runtime, calls: CapturedCalls) -> None:
        real = engine.adding
        super().__init__(real.staging, real.opening, real.jobs, engine.discard)
        self._calls = calls

    async def enqueue(self, calls: Sequence[Given], options: CallOptions) -> list[Job[Any]]:
        """Take them, and store none."""
        return self._take(calls, options)

    def enqueue_blocking(
        self,
        calls: Sequence[Given],
        options: CallOptions,
        wait: Callable[[Coroutine[Any, Any, Any]], Any],  # noqa: ARG002 - there is nothing to wait for
    ) -> list[Job[Any]]:
        """Take them, and store none."""
        return self._take(calls, options)

    async def bind(self, session: object, origin: str) -> Bound:  # noqa: ARG002
        """Take what the session commits, and store none."""
        return Bound(
            session_of(session).session,
            write=lambda _, calls: self._calls.take(calls),
            committed=lambda: None,
            dropped=lambda calls: self.discard(calls, RolledBack()),
            left=lambda calls: self._calls.note_discarded(calls, PostludeError(LEFT)),
        )

    def _take(self, calls: Sequence[Given], options: CallOptions) -> list[Job[Any]]:
        prepared = [self.staging.prepare_stored(*call, options) for call in calls]
        self._calls.take(prepared)
        return self.queued(prepared, {})
