"""What happened is said once, to everybody who listens, and reads well in a log."""

import logging
import re
from math import inf
from typing import get_args

import pytest

from postlude import telemetry
from postlude.events import (
    AttemptEnded,
    AttemptFailed,
    AttemptGoesOn,
    AttemptInterrupted,
    AttemptSlow,
    AttemptUnstoppable,
    CallNotStored,
    CallsDiscarded,
    CallsLost,
    CallsUnsaved,
    ClockSetBack,
    EphemeralFailed,
    Event,
    ExecutorFailed,
    ExecutorRecovered,
    LoopBlocked,
    MomentSkipped,
    MomentsMissed,
    OutcomeRefused,
    ScheduleTaken,
    ServiceFailed,
    StopDelayed,
    StoreFailed,
    StoreRecovered,
    ThreadAbandoned,
    ThreadsExhausted,
    ValueNotCarried,
    WorkerEnded,
    WorkerReplaced,
)
from postlude.ids import new_job_id
from postlude.job import Failure
from postlude.telling import Events

JOB = new_job_id()
FAILURE = Failure("ValueError", "no", "Traceback (most recent call last):\nValueError: no\n")


def test_every_subscriber_hears_every_event_until_it_ends_that() -> None:
    events = Events()
    first: list[Event] = []
    second: list[Event] = []
    end = events.subscribe(first.append)
    events.subscribe(second.append)
    events.emit(StoreRecovered("settling"))
    end()
    events.emit(StopDelayed(("main:f",)))
    assert first == [StoreRecovered("settling")]
    assert second == [StoreRecovered("settling"), StopDelayed(("main:f",))]


def test_a_subscriber_may_end_while_it_is_told() -> None:
    events = Events()
    heard: list[Event] = []

    def once(event: Event) -> None:
        heard.append(event)
        end()

    end = events.subscribe(once)
    events.subscribe(heard.append)
    events.emit(StoreRecovered("a"))
    events.emit(StoreRecovered("b"))
    assert heard == [StoreRecovered("a"), StoreRecovered("a"), StoreRecovered("b")]


def test_a_subscriber_that_raises_keeps_nobody_from_hearing(capsys: pytest.CaptureFixture[str]) -> None:
    events = Events()
    heard: list[Event] = []

    def broken(event: Event) -> None:
        message = "no more space for logs"
        raise OSError(message)

    events.subscribe(broken)
    events.subscribe(heard.append)
    events.emit(StoreRecovered("settling"))
    assert heard == [StoreRecovered("settling")]
    assert events.counts == {"StoreRecovered": 1, "SubscriberFailed": 1}
    assert "OSError: no more space for logs" in capsys.readouterr().err


LINES: list[tuple[Event, int, str]] = [
    (
        AttemptEnded(JOB, "main:f", 2, "succeeded", 0.25, 1.5),
        logging.DEBUG,
        f"main:f succeeded in 1.500 s (job {JOB}, attempt 2)",
    ),
    (
        ValueNotCarried("tenant", "it is too deep"),
        logging.WARNING,
        "the context variable 'tenant' is not carried into tasks: it is too deep",
    ),
    (
        AttemptFailed(JOB, "main:f", 2, FAILURE),
        logging.ERROR,
        (
            f"main:f failed (job {JOB}, attempt 2)\nTraceback (most recent call last):\nValueError: no\n"
            f"[postlude jobs get {JOB}]"
        ),
    ),
    (
        AttemptInterrupted(JOB, "main:f", 1, True, "its process died"),
        logging.WARNING,
        f"main:f was interrupted (job {JOB}, time 1): its process died; it runs again",
    ),
    (
        AttemptInterrupted(JOB, "main:f", 3, False, "its process died; set aside after 3 interruptions"),
        logging.WARNING,
        (
            f"main:f was interrupted (job {JOB}, time 3): its process died; set aside after 3 interruptions; "
            f"it does not run again by itself [postlude jobs get {JOB}]"
        ),
    ),
    (
        AttemptFailed(JOB, "main:f", 2, FAILURE, 61.25),
        logging.WARNING,
        (
            f"main:f failed (job {JOB}, attempt 2), and is tried again in 61.2 s\n"
            "Traceback (most recent call last):\nValueError: no"
        ),
    ),
    (
        AttemptGoesOn(JOB, "main:f", 5.2),
        logging.WARNING,
        (
            f"main:f was told to end 5 s ago and goes on (job {JOB}): its slot is taken until it ends. It must let "
            "CancelledError pass"
        ),
    ),
    (
        ExecutorFailed("dask", "no scheduler"),
        logging.ERROR,
        "the executor 'dask' takes no work, and is tried again from time to time: no scheduler [postlude status]",
    ),
    (ExecutorRecovered("dask"), logging.WARNING, "the executor 'dask' works again"),
    (
        ThreadsExhausted(("main:f", "main:g")),
        logging.CRITICAL,
        (
            "this process runs no `def` tasks any more: every thread is stuck in one that ran longer than its timeout "
            "(main:f, main:g). They wait in the queue for another process: restart this one [postlude workers]"
        ),
    ),
    (
        AttemptUnstoppable(JOB, "main:f", "dask"),
        logging.ERROR,
        (
            f"main:f ran longer than its timeout (job {JOB}), and the executor 'dask' does not give it up: its slot is "
            f"taken until it ends [postlude jobs get {JOB}]"
        ),
    ),
    (
        AttemptSlow(JOB, "main:f", 301),
        logging.WARNING,
        f"main:f has been running for 5 min (job {JOB}), and has no timeout",
    ),
    (
        ThreadAbandoned(JOB, "main:f", True),
        logging.ERROR,
        (
            f"main:f ran longer than its timeout (job {JOB}), and a thread cannot be stopped: another takes its place "
            f"[postlude jobs get {JOB}]"
        ),
    ),
    (
        ThreadAbandoned(JOB, "main:f", False),
        logging.ERROR,
        (
            f"main:f ran longer than its timeout (job {JOB}), and a thread cannot be stopped: "
            f"too many are stuck to replace it, so this process runs fewer: restart it [postlude jobs get {JOB}]"
        ),
    ),
    (
        OutcomeRefused(JOB),
        logging.WARNING,
        f"the outcome of job {JOB} was not recorded: its claim was no longer ours",
    ),
    (
        CallsDiscarded(("main:f", "main:g"), "the request raised ValueError('no')"),
        logging.INFO,
        "main:f, main:g discarded: the request raised ValueError('no')",
    ),
    (
        CallsLost(("main:f", "main:g"), "the process stops, and it was not stored"),
        logging.WARNING,
        "main:f, main:g lost: the process stops, and it was not stored",
    ),
    (
        CallNotStored("main:f", "main.py:7", "The call of main:f cannot be stored: it is a lambda."),
        logging.WARNING,
        (
            "The call of main:f cannot be stored: it is a lambda. "
            "It runs in this process only, and is lost with it. [main.py:7]"
        ),
    ),
    (
        CallsUnsaved(("main:f",), "disk full"),
        logging.ERROR,
        "main:f run WITHOUT having been stored: disk full [postlude status]",
    ),
    (
        EphemeralFailed("main:f", FAILURE),
        logging.ERROR,
        "main:f, which was not stored, failed\nTraceback (most recent call last):\nValueError: no\n[postlude check]",
    ),
    (
        LoopBlocked("main:f", 0.234),
        logging.WARNING,
        (
            "main:f blocked the event loop for 0.23 s, and every request with it: "
            "make it `def`, so that it runs in a thread, or await what takes the time"
        ),
    ),
    (
        StoreFailed("settling", "disk full"),
        logging.ERROR,
        "the store did not do what it was asked (settling): disk full [postlude status]",
    ),
    (StoreRecovered("settling"), logging.WARNING, "the store works again (settling)"),
    (
        MomentsMissed("nightly", 1_780_282_800.0, 1),
        logging.WARNING,
        "schedule 'nightly' was missed from 2026-06-01 03:00:00 UTC on; 1 job made for it now",
    ),
    (
        MomentSkipped("nightly", 1_780_282_800.0, JOB),
        logging.INFO,
        f"schedule 'nightly' skipped 2026-06-01 03:00:00 UTC: its job {JOB} is unfinished",
    ),
    (
        ScheduleTaken("nightly", "every 60.0 s", "app:report"),
        logging.WARNING,
        (
            "schedule 'nightly' goes on as 'every 60.0 s' for app:report, as other code declares it that was started "
            "after this. If that is no other version of this application, the two take each other's moments: give the "
            "schedule another name, or the application a namespace or a file of its own [postlude schedules list]"
        ),
    ),
    (
        ClockSetBack("nightly", 1_780_282_800.0, inf),
        logging.WARNING,
        (
            "schedule 'nightly' has come to 2026-06-01 03:00:00 UTC already, so the system's clock was set back: it "
            "comes to no moment twice, and next: never. If the clock was wrong before, and that is too late, give the "
            "schedule another name"
        ),
    ),
    (
        ServiceFailed("rescue", FAILURE),
        logging.ERROR,
        (
            "the service 'rescue' failed and goes on\nTraceback (most recent call last):\nValueError: no\n"
            "[postlude status]"
        ),
    ),
    (
        WorkerEnded("was ended by signal SIGKILL", 0.0),
        logging.ERROR,
        (
            "the worker's process was ended by signal SIGKILL: another is started, and runs again what it was at "
            "[postlude workers]"
        ),
    ),
    (
        WorkerEnded("could not be started: no room", 2.0),
        logging.ERROR,
        (
            "the worker's process could not be started: no room: another is started in 2 s, and runs again what it was "
            "at [postlude workers]"
        ),
    ),
    (
        WorkerReplaced(1, 2),
        logging.ERROR,
        (
            "this process was given up for dead, since it did not extend its lease in time: it was stopped, or cut off "
            "from the database. What it ran is run by others, and ends here; it goes on as a new worker "
            "[postlude workers]"
        ),
    ),
    (
        StopDelayed(("main:f", "main:g")),
        logging.WARNING,
        "still running when the grace was over: main:f, main:g",
    ),
]


@pytest.mark.parametrize(("event", "level", "text"), LINES, ids=lambda value: type(value).__name__)
def test_how_an_event_reads_in_the_log(event: Event, level: int, text: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "postlude"):
        telemetry.log(event)
    [record] = caplog.records
    assert (record.name, record.levelno, record.getMessage()) == ("postlude", level, text)
    assert vars(record)["postlude"] == event, "for handlers that write fields"


def test_every_error_ends_with_the_command_that_helps() -> None:
    commands = {"check", "jobs get", "status", "workers"}
    for event, level, text in LINES:
        found = re.search(rf"\[postlude ({'|'.join(commands)})( {JOB})?\]$", text)
        assert found or level < logging.ERROR, type(event).__name__


def test_no_event_is_forgotten_in_the_log() -> None:
    assert {type(event) for event, _, _ in LINES} == set(get_args(Event))


def test_an_event_below_the_level_costs_no_record(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "postlude"):
        telemetry.log(CallsDiscarded(("main:f",), "it raised"))
    assert caplog.records == []
