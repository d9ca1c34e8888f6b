"""What the hooks into FastAPI ask of the engine behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from postlude.job import JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from postlude.bound import Bound
    from postlude.calls import Call, CallOptions, Chain
    from postlude.client.handle import Job
    from postlude.coverage import Coverage
    from postlude.settings import Settings


class Desk(Protocol):
    """What the hooks ask of the engine.

    Every call that `prepare` made is handed over exactly once: to `run`, to `run_here`, or to `discard`.
    """

    settings: Settings

    def prepare(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], options: CallOptions
    ) -> Call:
        """Take the snapshot of a call, in any thread. Warns about an ephemeral one, once per call site.

        `add_task` calls this directly, so the user's line is two frames up.

        Raises:
            CallError: it could never run.
            ArgumentsTooLarge: its arguments are too large to be stored.
            NotStorable: it cannot be stored, and the settings are strict.
        """

    def prepare_stored(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], options: CallOptions
    ) -> Call:
        """The same for a call that has to be stored; it is not handed over afterwards.

        Raises:
            CallError: it could never run.
            ArgumentsTooLarge: its arguments are too large to be stored.
            NotStorable: it cannot be stored.
        """

    async def bind(self, session: object, origin: str) -> Bound:
        """What takes the calls of a request that are to be committed by its session.

        Raises:
            CallError: the session cannot do it; the message says why.
        """

    def handle(self, call: Call, added: JobState = JobState.STAGED) -> Job[Any]:
        """What `add_task` returns for it; `added` is the state in which it comes into the store."""

    async def commit(self, chain: Chain, calls: Sequence[Call]) -> None:
        """Store, in one group commit, all calls that need a row, and tie them to `chain` in their order.

        Never called twice at a time for one chain. Cancelling it does not cancel the write; it is then called once more
        with the same calls (and perhaps others behind them), and must not store any of them a second time.
        A list with nothing to store returns without touching the store.

        Raises:
            StoreUnavailable: the write is not known to have succeeded, and the settings say to refuse. The desk has
                arranged that the rows are removed; the calls come back through `discard` or `unsaved`.
        """

    async def run(self, calls: Sequence[Call]) -> None:
        """Run the calls of a request that is over, in their order.

        They are taken over before it first waits: cancelling it cancels none of them. Returns at once when a worker
        runs on this loop, else (immediate mode) when all have ended. What a task raises stays in its job.
        """

    async def run_here(self, calls: Sequence[Call]) -> bool | None:
        """Run calls of a request that is still open, and return when they have ended; otherwise as `run`.

        Returns False if an ordered one among them did not succeed: those ordered behind it must not run. What else it
        returns means that they may.
        """

    def unsaved(self, calls: Sequence[Call], error: Exception) -> None:
        """Count and report calls whose commit failed too late to refuse them; `run` or `run_here` follows."""

    def discard(self, calls: Sequence[Call], reason: BaseException | None) -> None:
        """Count and report calls that will not run.

        Args:
            calls: they.
            reason: what the request raised; None if it did not raise, and they were wanted only then. A `PostludeError`
                says itself what happened.
        """

    async def started(self, coverage: Coverage) -> None:
        """The application has started up. Its tasks may now run, on this loop, beside its requests."""

    async def stopped(self) -> None:
        """The application is about to shut down; what its tasks use is still there."""
