"""`executor="process"`: each attempt in a child process, kept warm, whose death is the end of that attempt alone.

The children are started by `subprocess`, not by `multiprocessing`: its way to spawn runs the program's script once more
in each child before anything else, and what goes through its pipes is pickled. A child of ours imports the module of
the task that it is given (see `running/child.py`), and all that goes either way is JSON.

Each child belongs to one thread, which hands it the attempts and hears what it says; reading from a pipe may block
there, and a thread serves whichever event loop the attempt came from.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from postlude.control import Cancel
from postlude.errors import PostludeError
from postlude.executors import logs
from postlude.executors.contract import CannotStart, failed
from postlude.executors.outcomes import outcome_of
from postlude.executors.threads import ThreadExecutor
from postlude.executors.wire import Wire
from postlude.job import Cancelled, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from postlude.executors.contract import Sent, Work
    from postlude.executors.threads import Ended, Waiting
    from postlude.job import Outcome

RECYCLE_AFTER: Final = 100
"""Attempts after which a child is replaced. What libraries leak, and what the allocator does not give back, ends with
it; starting another takes about as long as importing the application, which is little when divided by a hundred."""
END_WITHIN: Final = 1.0
"""Seconds that an idle child has to end by itself, so that what it registered with `atexit` runs."""
LOOK_EVERY: Final = 1.0
"""Seconds between two looks whether a silent child lives: what it has forked may keep its end of the wire open."""

# The path comes first: Postlude itself may have been found by what the application did to it.
_START: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); from postlude.running.child import main; main()"
)


class ProcessExecutor:
    """Runs attempts in up to `size` children, started when they are first needed.

    Args:
        size: how many at once.
        setup: what a child has to know of the application, as JSON; see `elsewhere.Setup`.
        nice: see `registered.Processes`.
    """

    def __init__(self, size: int, setup: str, *, nice: int = 0) -> None:
        self._setup = setup
        self._nice = nice
        self._threads = ThreadExecutor(size, name="postlude-process", serve=self._serve)

    def begin(self, work: Work, ended: Ended) -> ProcessRunning:
        """Hand the work to a child; see `Executor.begin`."""
        if work.sent is None:
            message = f"{work.task} cannot be sent to another process"
            raise TypeError(message)
        running = ProcessRunning(work.sent)
        self._threads.begin(work._replace(function=running.run), ended)
        return running

    def close(self) -> None:
        """Let the children end when they have nothing left to do; waits for none of them."""
        self._threads.close()

    def _serve(self, waiting: Waiting) -> None:
        child = Child(self._setup, self._nice)
        try:
            while (item := waiting.get()) is not None:
                work, ended, returns = item
                try:
                    outcome = work.context.run(work.function, child)
                except Exception as error:  # noqa: BLE001 - the end of this attempt, and not of the thread
                    outcome = failed(error)
                returns.put(ended, outcome)
                del item, work, ended
        finally:
            child.end()


class ProcessRunning:
    """An attempt in a child, or waiting for one to be started."""

    stoppable: Final = True

    def __init__(self, sent: Sent) -> None:
        self._sent = sent
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._cancelled = False

    def cancel(self) -> None:
        """Kill the child, and what it has started."""
        with self._lock:
            self._cancelled = True
            if self._child is not None:
                self._child.kill()

    def ask_where(self, job_id: UUID) -> bool:
        """Have the child say what it is executing; False if it has nothing to do with the attempt yet, or any more."""
        with self._lock:
            return self._child is not None and self._child.ask_where(job_id)

    def run(self, child: Child) -> Outcome:
        """Have the child do it; in the thread that the child belongs to, in the context of the attempt."""
        try:
            child.prepare()
        except OSError as error:
            return failed(CannotStart(f"no child process could be started: {error}"))
        with self._lock:
            if self._cancelled:
                return Cancelled("cancelled before it began")
            self._child = child
        ended = child.perform(self._sent.text, self._hear)
        with self._lock:
            self._child = None
        if ended is not None:
            return outcome_of(ended)
        how = child.end(at_once=True)
        return Cancelled("cancelled while it ran") if self._cancelled else Interrupted(how, begun=True)

    def _hear(self, message: dict[str, Any]) -> dict[str, Any] | None:
        if "progress" in message:
            self._sent.progress(*message["progress"])
        elif "stack" in message:
            self._sent.stack(message["stack"])
        elif "save" in message:
            return {"saved": self._refused(message["save"])}
        else:
            logs.handle(message["log"])
        return None

    def _refused(self, state: str) -> list[str] | None:
        """Save the state; returns why it was not, None if it was."""
        try:
            self._sent.save(json.loads(state))
        except (PostludeError, Cancel) as error:  # the second: it was told to end, and is killed
            return [type(error).__name__, str(error)]
        return None


class Child:
    """A process that does one attempt after the other. Used in one thread, and killed from any.

    Args:
        setup: see `ProcessExecutor`.
        nice: see `registered.Processes`.
    """

    _process: subprocess.Popen[bytes] | None
    _wire: Wire

    def __init__(self, setup: str, nice: int) -> None:
        self._setup = setup
        self._nice = nice
        self._process = None
        self._attempts = 0
        self._lock = threading.Lock()
        """Between looking whether it has ended and killing it: the number of one that has may be another's."""
        self._killed = False

    def prepare(self) -> None:
        """Have a process that lives and is not worn out.

        Raises:
            OSError: the system gives none.
        """
        if self._process is not None and (self._attempts >= RECYCLE_AFTER or self._killed or self._gone()):
            self.end()
        if self._process is None:
            self._start()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined] # noqa: SLF001 - as multiprocessing does
            start = ("-P", "-c", _START, str(theirs.fileno()), json.dumps(importable_from()))
            try:
                self._process = subprocess.Popen(  # noqa: S603 - the interpreter that runs this
                    [sys.executable, *flags, *start],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    # Ctrl-C in a terminal is for the server; and what a child has started can be killed with it.
                    process_group=0,
                )
            except OSError:
                ours.close()
                raise
        self._wire = Wire(ours)
        self._attempts, self._killed = 0, False
        with contextlib.suppress(OSError):  # it has ended already: that is found when it is given something to do
            known = {"setup": self._setup, "levels": logs.levels(), "argv": sys.argv, "nice": self._nice}
            self._wire.send(known)

    def perform(self, text: str, hear: Callable[[dict[str, Any]], dict[str, Any] | None]) -> dict[str, Any] | None:
        """What the attempt came to, as `outcomes.packed` gave it; None: the process has died.

        Args:
            text: the attempt.
            hear: told all that comes before its end; what it returns is the answer, if one is waited for.
        """
        self._attempts += 1
        try:
            self._wire.send({"attempt": text})
            while (message := self._next()) is not None:
                ended: dict[str, Any] | None = message.get("ended")
                if ended is not None:
                    return ended
                answer = hear(message)
                if answer is not None:
                    self._wire.send(answer)
        except (OSError, ValueError):
            # The second: somebody else has written into the wire, and where the next message begins cannot be known.
            return None
        except BaseException:
            self.kill()  # what it goes on to say would be taken for the next attempt's
            raise
        return None

    def ask_where(self, job_id: UUID) -> bool:
        """Have it say what it is executing for this job; from any thread. Returns whether it was asked."""
        try:
            self._wire.send({"where": str(job_id)})
        except OSError:  # it has died
            return False
        return True

    def _next(self) -> dict[str, Any] | None:
        while True:
            gone = self._gone()  # before the look: what it said last is still there
            try:
                return self._wire.receive(LOOK_EVERY)
            except TimeoutError:
                if gone:
                    return None

    def _gone(self) -> bool:
        with self._lock:
            return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        """SIGKILL for it, and for what it has started and left in its group."""
        with self._lock:
            self._killed = True
            if self._process is not None and self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says the second of a dead one
                    os.killpg(self._process.pid, signal.SIGKILL)

    def end(self, *, at_once: bool = False) -> str:
        """End it; returns how it ended, for people. Idempotent."""
        process = self._process
        if process is None:
            return ""
        self._wire.close()
        if not at_once:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_WITHIN)
        self.kill()
        code = process.wait()
        self._process = None
        return f"its process {how_it_ended(code)}"


def importable_from() -> list[str]:
    """The path on which a child finds what this process does; Python heeds nothing there but text."""
    return [entry for entry in sys.path if isinstance(entry, str)]


def how_it_ended(code: int) -> str:
    """Of a process with this exit code, for people."""
    if code >= 0:
        return f"ended by itself, with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    return f"was ended by signal {name}"
