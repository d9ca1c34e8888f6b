"""What happens in the demonstration, in order."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, Final, NoReturn

from postlude.cli.demo.clients import Request, ask
from postlude.cli.demo.folder import fresh_folder
from postlude.cli.demo.screen import Screen, many
from postlude.cli.demo.server import HOST, Server, ServerFailed
from postlude.cli.demo.tally import LOG, Tally, resumption, tally
from postlude.cli.demo.verdict import COULD_NOT_BE_GIVEN, Figures, show_figures
from postlude.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from rich.console import Console

    from postlude.cli.demo.clients import Answer
    from postlude.cli.demo.folder import Folder
    from postlude.cli.demo.screen import Step

LOOK_EVERY: Final = 0.02
PATIENCE: Final = 15.0
"""Seconds without one more delivery after which the missing ones count as lost."""
PATIENCE_WITHOUT: Final = 3.0
"""The same for FastAPI alone, which has nothing to go on from."""
TASK_SECONDS: Final = 120.0
"""What all tasks take together, within these bounds for the mean of one."""
SHORTEST_MEAN: Final = 0.1
LONGEST_MEAN: Final = 0.8
GOLDEN: Final = 0.618
"""Multiples of it, without their whole part, are spread evenly between 0 and 1."""
STOPPED: Final = 130


def tell(notifications: int, *, durable: bool, keep: bool, console: Console) -> int:
    """Give the demonstration; returns the exit code."""
    screen = Screen(console)
    _open(screen, notifications, durable=durable)
    try:
        with _stopping_on_signals(), fresh_folder() as folder:
            if keep:
                folder.kept = True
                screen.point("Working in", f"{folder.path}\n")
            figures = Demonstration(folder, screen, notifications, durable=durable).give()
            folder.kept |= not figures.passed
            show_figures(screen, figures, kept=folder.path if folder.kept else None)
            return figures.exit_code
    except ServerFailed as error:
        screen.fail(f"No result: {error.what}.", error.output)
        return COULD_NOT_BE_GIVEN
    except KeyboardInterrupt:
        screen.fail("Stopped, and the server with it.", [])
        return STOPPED


def _open(screen: Screen, notifications: int, *, durable: bool) -> None:
    service = "A FastAPI service with Postlude(app)" if durable else "A FastAPI service without Postlude"
    screen.open(
        "A server is killed in the middle of its background tasks",
        f"{service} is asked for {many(notifications, 'notification')}. It answers each request at once, and sends the "
        "notification in a background task. While most are still to do, its process is killed. Then it is started "
        "again, and has to deliver the rest.",
    )


@contextmanager
def _stopping_on_signals() -> Iterator[None]:
    """End as on Ctrl-C, so nothing is left behind, also when the terminal is closed or a supervisor says stop."""

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Demonstration:
    """One run: start, ask, kill, start again, wait."""

    def __init__(self, folder: Folder, screen: Screen, notifications: int, *, durable: bool) -> None:
        self._folder = folder
        self._screen = screen
        self._notifications = notifications
        self._durable = durable
        self._acknowledged: frozenset[int] = frozenset()

    def give(self) -> Figures:
        """Do it all; returns what was seen.

        Raises:
            ServerFailed: it cannot be done here.
        """
        if self._folder.in_memory:
            self._screen.warn("No folder on a disk was found, only in memory (tmpfs): the answer times prove little.\n")
        with Server(self._folder, durable=self._durable) as server:
            self._start(server)
            self._ask(server)
            at_kill = self._kill(server)
            self._start_again(server)
            self._wait_for_the_rest(server)
            return Figures(
                self._durable, self._notifications, at_kill, self._count(), resumption(self._lines(), server.pid)
            )

    def _start(self, server: Server) -> None:
        with self._screen.step("Starting the server") as step:
            seconds = server.start()
            step.succeed("Server started", f"process {server.pid}, ready after {seconds:.1f} s")

    def _ask(self, server: Server) -> None:
        requests = [_request(number, self._notifications) for number in range(1, self._notifications + 1)]
        with self._screen.step("Sending requests", total=len(requests)) as step:
            answers = ask(HOST, server.port, requests, step.advance)
            promises = [answer for answer in answers if answer.promised]
            self._acknowledged = frozenset(answer.number for answer in promises)
            if not promises:
                server.fail("the server answered no request")
            step.succeed(f"{many(len(promises), 'request')} answered", _times(promises))

    def _kill(self, server: Server) -> Tally:
        wanted = self._notifications // 10
        with self._screen.step("Letting it work", total=wanted) as step:
            self._watch(server, wanted, PATIENCE, step)
            server.kill()
            seen = self._count()
            step.succeed(
                "Server killed",
                f"SIGKILL: {seen.delivered:,} sent, {seen.running:,} being sent, {seen.waiting:,} not begun",
            )
        return seen

    def _start_again(self, server: Server) -> None:
        with self._screen.step("Starting it again") as step:
            seconds = server.start()
            step.succeed("Server started again", f"process {server.pid}, ready after {seconds:.1f} s")

    def _wait_for_the_rest(self, server: Server) -> None:
        patience = PATIENCE if self._durable else PATIENCE_WITHOUT
        wanted = len(self._acknowledged)
        began = SystemClock.elapsed()
        with self._screen.step("Waiting for the rest", total=wanted) as step:
            if self._watch(server, wanted, patience, step):
                step.succeed("The rest delivered", f"in {SystemClock.elapsed() - began:.1f} s")
            else:
                step.fail("The rest never came", f"no more deliveries in {patience:.0f} s")

    def _watch(self, server: Server, wanted: int, patience: float, step: Step) -> bool:
        """Follow the deliveries; returns whether so many were made before nothing more came for so many seconds."""
        delivered, changed = -1, SystemClock.elapsed()
        while (now := self._count().delivered) < wanted:
            if now != delivered:
                delivered, changed = now, SystemClock.elapsed()
                step.reach(now)
            elif SystemClock.elapsed() - changed > patience:
                return False
            server.pause(LOOK_EVERY)
        return True

    def _count(self) -> Tally:
        return tally(self._lines(), self._acknowledged)

    def _lines(self) -> list[str]:
        return self._folder.lines(LOG)


def _request(number: int, of: int) -> Request:
    """Long enough tasks that most are still to do at the kill, and never all of one length, as in life."""
    mean = min(LONGEST_MEAN, max(SHORTEST_MEAN, TASK_SECONDS / of))
    seconds = mean * (0.6 + 0.8 * (number * GOLDEN % 1))
    return Request(number, f"/notifications/{number}?seconds={seconds:.3f}")


def _times(answers: list[Answer]) -> str:
    seconds = [answer.seconds for answer in answers]
    return f"in {median(seconds) * 1000:.0f} ms (median), {max(seconds) * 1000:.0f} ms at the worst"
