"""A server killed one second into a task of three, and started again at once: when does the task run again?"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from benchmarks.machine import CannotRun
from benchmarks.rounds import Figure, at_most, column
from benchmarks.server import Server

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.rounds import Plan

WAIT_AT_MOST = 60.0


def measure(plan: Plan) -> list[Figure]:
    samples = [_take(plan) for _ in range(plan.rounds)]
    up = column(samples, "after_up")
    return [
        at_most("SIGKILL to running again, after the port is open", up, 1.0, "s", note="negative: before that"),
        Figure("SIGKILL to running again, after the kill", column(samples, "after_kill"), "s"),
        Figure("SIGKILL to port open", column(samples, "up"), "s"),
    ]


def _take(plan: Plan) -> dict[str, float]:
    name = f"recovery-{time.monotonic_ns()}"
    diary = plan.folder / f"{name}.txt"
    diary.touch()
    with Server(plan.folder / f"{name}.db", plan.folder / f"{name}.log") as server:
        seconds, until_kill = plan.seconds(3.0, 1.0), plan.seconds(1.0, 0.3)
        server.post(f"/work?seconds={seconds}&diary={quote(str(diary))}")
        _begun(diary, 1)
        time.sleep(until_kill)
        killed = server.kill()
        up = server.start()
        again = _begun(diary, 2)
        time.sleep(seconds)
    return {"after_up": again - up, "after_kill": again - killed, "up": up - killed}


def _begun(diary: Path, times: int) -> float:
    """Wait until the task has begun for that time: when that was."""
    until = time.monotonic() + WAIT_AT_MOST
    while time.monotonic() < until:
        noted = diary.read_text("ascii").split("\n")[:-1]
        if len(noted) >= times:
            return float(noted[times - 1])
        time.sleep(0.002)
    message = f"the task did not begin for the {times}. time within {WAIT_AT_MOST:g} s"
    raise CannotRun(message)
