"""The whole of a worker's process: start the application, run its jobs, and end when told to."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import traceback
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from postlude import telemetry
from postlude.errors import PostludeError
from postlude.events import ThreadAbandoned
from postlude.standalone.answering import PATH, Answering
from postlude.standalone.health import Health
from postlude.standalone.lifespan import Lifespan, LifespanFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from postlude.events import Event
    from postlude.standalone.finding import Found

STOPPED: Final = 0
"""Exit code of a worker that was told to end."""
FAILED: Final = 1
"""Of one that could not start, or whose application raised at its end."""
WORN_OUT: Final = 3
"""Of one that wants to be started again: too many of its threads are stuck in tasks that ran longer than their timeout.
Not 2, which is that of a command line that makes no sense."""
EXIT_WITHIN: Final = 2.0
"""Seconds that Python has to end the process, when all jobs have ended or are given back. Threads that tasks have
started would keep it, and what it does while its jobs run elsewhere is done twice."""
FLUSH_WITHIN: Final = 1.0
"""Seconds beyond that for what was printed and is not written yet."""


class Program:
    """Runs the jobs of an application until it is told to end.

    Args:
        found: the application.
        health_port: where it tells how it is; None: nowhere.
    """

    def __init__(self, found: Found, *, health_port: int | None = None) -> None:
        self._found = found
        self._health_port = health_port
        self._health = Health(found.engine)
        self._engine = found.engine
        self._code = STOPPED
        self._signals = 0
        self._asked = False
        """Whether somebody wants it to end; perhaps before there is a loop that could be told."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = asyncio.Event()

    def run(self) -> int:
        """Return the exit code, when it has ended. In the main thread, whose signals it listens to."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            try:
                code = runner.run(self.serve())
            finally:
                end_soon(self._code)
        return code

    async def serve(self) -> int:
        """Return the exit code, when the application has shut down."""
        telemetry.make_heard()
        self._loop = asyncio.get_running_loop()
        if self._asked:
            self._end()
        unsubscribe = self._engine.events.subscribe(self._look_for_stuck)
        lifespan = Lifespan(self._found.app)
        try:
            if self._health_port is not None:
                Answering(self._health_port, self._health.report).start()
            if await self._start(lifespan):
                self._introduce()
                await self._told.wait()
                self._health.stopping()
                await lifespan.stop()
        except Exception as error:  # noqa: BLE001 - said, and the exit code says it too
            _say(self._found, error)
            self._code = FAILED
        finally:
            unsubscribe()
        return self._code

    async def _start(self, lifespan: Lifespan) -> bool:
        """Start the application; returns False if the process was told to end before it had started."""
        told = asyncio.ensure_future(self._told.wait())
        starting = asyncio.ensure_future(lifespan.start())
        await asyncio.wait({told, starting}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if not starting.done():
            starting.cancel()
            await lifespan.give_up()
            return False
        starting.result()
        return True

    def _introduce(self) -> None:
        self._health.running()
        if self._health_port is not None:
            telemetry.announce(f"health: http://localhost:{self._health_port}{PATH}")

    def stop(self) -> None:
        """End, within the grace; in any thread, or a signal handler."""
        self._asked = True
        self._engine.grace.begin()
        self._on_loop(self._end)

    def _end(self) -> None:
        if self._told.is_set():
            return
        grace = self._engine.settings.shutdown_grace
        telemetry.announce(f"worker: told to end, takes no more jobs, and gives those that run up to {grace:g} s")
        self._told.set()

    def _hurry(self) -> None:
        telemetry.announce("worker: told again, and gives back what still runs")
        self._engine.grace.end()

    def _signalled(self, number: int, _: FrameType | None) -> None:
        self._signals += 1
        if self._signals == 1:
            self.stop()
        elif self._signals == 2:  # noqa: PLR2004 - the second
            self._on_loop(self._hurry)
        else:  # something of the application does not end
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def _on_loop(self, call: Callable[[], object]) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(call)

    def _look_for_stuck(self, event: Event) -> None:
        if isinstance(event, ThreadAbandoned) and not event.replaced and not self._told.is_set():
            telemetry.warn(
                f"too many threads are stuck to go on: this worker gives back what it can, ends with exit code "
                f"{WORN_OUT}, and wants to be started again. Let those tasks wait with a timeout of their own"
            )
            self._code = WORN_OUT
            self._engine.grace.begin(announced=False)
            self._told.set()


def end_soon(code: int) -> None:
    """End the process, whatever its threads do, if it has not ended by itself by then."""

    def flush_and_end() -> None:
        threading.Event().wait(EXIT_WITHIN)
        try:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        finally:
            os._exit(code)

    def end() -> None:
        # Whoever should read what is written may have stopped reading, and then a flush never returns.
        threading.Event().wait(EXIT_WITHIN + FLUSH_WITHIN)
        os._exit(code)

    for ending in (flush_and_end, end):
        threading.Thread(target=ending, name="postlude-exit", daemon=True).start()


def _say(found: Found, error: Exception) -> None:
    if isinstance(error, PostludeError | LifespanFailed):
        said = f"{found.text}: {error}"
    else:
        said = f"{found.text} could not be run:\n{''.join(traceback.format_exception(error)).rstrip()}"
    telemetry.fail(found.engine.views.known.masking.text(said), f"check {found.text}")


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The event loop that uvicorn would take: its faster one where that is installed."""
    if find_spec("uvloop") is None:
        return None
    import uvloop  # noqa: PLC0415 - only now is it known that this can be imported

    return uvloop.new_event_loop
