"""How soon another child is started; what one does is seen from outside, in the scenarios."""

import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from postlude.events import WorkerEnded
from postlude.executors.processes import importable_from
from postlude.lifetime.supervisor import STEADY_AFTER, Supervisor
from postlude.telling import Events
from tests.engine.fakes import FakeClock, Heard


class Ending(threading.Event):
    """Set when the test has seen enough; nobody waits for it in real time."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._left = after

    def wait(self, timeout: float | None = None) -> bool:
        self._left -= 1
        if not self._left:
            self.set()
        return self.is_set()


def test_one_that_ends_soon_is_followed_later_and_later(monkeypatch: pytest.MonkeyPatch) -> None:
    lives = [0.0, 1.0, STEADY_AFTER - 0.1, 0.0, 0.0, 0.0, 0.0, STEADY_AFTER, 0.0]
    clock, events = FakeClock(), Events()
    heard = Heard(events)
    supervisor = Supervisor(dict, clock, events)
    left = iter(lives)

    def live(_: Any) -> str:
        clock.advance(next(left))
        return "ended"

    monkeypatch.setattr(supervisor, "_live", live)
    monkeypatch.setattr(supervisor, "_ending", Ending(len(lives)))
    supervisor._supervise({})
    assert [event.again_in for event in heard.of(WorkerEnded)] == [1, 2, 4, 8, 16, 30, 30, 0, 1]


async def test_stop_before_start_and_twice_does_nothing() -> None:
    supervisor = Supervisor(dict, FakeClock(), Events())
    supervisor.begin_stop()
    await supervisor.stop(0)
    await supervisor.stop(0)


def test_one_that_cannot_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_process(*_: Any, **__: Any) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("postlude.lifetime.supervisor.subprocess.Popen", no_process)
    events = Events()
    heard = Heard(events)
    supervisor = Supervisor(dict, FakeClock(), events)
    monkeypatch.setattr(supervisor, "_ending", Ending(2))
    supervisor._supervise({})
    assert {event.how for event in heard.of(WorkerEnded)} == {
        "could not be started: [Errno 11] Resource temporarily unavailable"
    }


def test_whatever_goes_wrong_is_told_and_another_one_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_life(_: Any) -> str:
        message = "nobody has thought of this"
        raise ValueError(message)

    events = Events()
    heard = Heard(events)
    supervisor = Supervisor(dict, FakeClock(), events)
    monkeypatch.setattr(supervisor, "_live", no_life)
    monkeypatch.setattr(supervisor, "_ending", Ending(3))
    supervisor._supervise({})
    assert [(event.how, event.again_in) for event in heard.of(WorkerEnded)] == [
        ("could not be started, or watched: ValueError: nobody has thought of this", pause) for pause in (1, 2, 4)
    ]


def test_what_is_no_text_on_the_path_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, tmp_path])
    assert json.loads(json.dumps(importable_from())) == sys.path[:-1]
