"""What the code of a job is executing at this moment, in this process.

It is found from outside, by the frames that run it: nothing is written down for it while jobs run, so that nobody pays
for what is asked once in a while. It tells lines of code, and no values.
"""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from itertools import dropwhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from postlude.context import job_in
from postlude.executors.contract import storable
from postlude.executors.loop import LoopExecutor
from postlude.executors.threads import call
from postlude.loglines import LogLine
from postlude.loops import running_loop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType
    from uuid import UUID

    from postlude.context import CurrentJob

LOGGER: Final = "postlude.stack"
"""The name under which the answer stands in the log of the job."""
NOT_FOUND: Final = (
    "It could not be seen from outside where this attempt is: it is just beginning or ending, or it runs where nobody "
    "can look, in an executor of the application's own."
)
MOST: Final = 8_000
"""Characters of a stack that are kept: the innermost."""
LEFT_OUT: Final = "[...]\n"

_IN_THREAD: Final[CodeType] = call.__code__
_RUNS_LOOP: Final[CodeType] = asyncio.BaseEventLoop.run_forever.__code__
_ON_LOOP: Final[CodeType] = LoopExecutor._run.__code__  # noqa: SLF001 - whose frames are looked for
_OURS: Final = f"{Path(__file__).parent}{os.sep}"
_STEPS: Final = LoopExecutor._watched.__name__  # noqa: SLF001 - as above


def stack_of(job_id: UUID) -> str | None:
    """Where an attempt at this job is, as a traceback has it, innermost last; None: it is not found here.

    On the event loop that runs it, if it is an `async def`: from another thread it may be seen between two steps.
    """
    found = list(dropwhile(_is_ours, _in_threads(job_id) or _on_loop(job_id)))
    if not found:
        return None
    return "".join(traceback.StackSummary.extract((frame, frame.f_lineno) for frame in found).format())


def answer(job: CurrentJob, at: float, stack: str | None) -> None:
    """Put where an attempt is into the log of its job, where whoever has asked finds it.

    Args:
        job: the attempt's.
        at: when; seconds since the epoch.
        stack: as `stack_of` gives it; None: it is not to be found.
    """
    text = (stack or NOT_FOUND).rstrip()
    kept = storable(text if len(text) <= MOST else f"{LEFT_OUT}{text[-MOST:]}")
    job.keep(LogLine(at, "INFO", LOGGER, kept, job.attempt))


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_OURS)


def _in_threads(job_id: UUID) -> list[FrameType]:
    """The frames of a `def` task, outermost first."""
    for innermost in sys._current_frames().values():  # noqa: SLF001 - the documented way to the frames of other threads
        frames: list[FrameType] = []
        frame: FrameType | None = innermost
        while frame is not None:
            if frame.f_code is _IN_THREAD and _is_of(frame, job_id):
                return frames[::-1]
            frames.append(frame)
            frame = frame.f_back
    return []


def _on_loop(job_id: UUID) -> list[FrameType]:
    """The frames of an `async def` task, outermost first."""
    for task in [task for loop in _loops() for task in asyncio.all_tasks(loop)]:
        outer: Any = task.get_coro()
        frame = getattr(outer, "cr_frame", None)
        if frame is not None and frame.f_code is _ON_LOOP and _is_of(frame, job_id):
            return list(_awaited(outer))
    return []


def _loops() -> Iterator[asyncio.AbstractEventLoop]:
    """The loop of this thread, and those that Python's own code runs in others, as in a child."""
    own = running_loop()
    if own is not None:
        yield own
    for frame in sys._current_frames().values():  # noqa: SLF001 - as above
        outer: FrameType | None = frame
        while outer is not None:
            if outer.f_code is _RUNS_LOOP and outer.f_locals["self"] is not own:
                yield outer.f_locals["self"]
            outer = outer.f_back


def _awaited(waiting: Any) -> Iterator[FrameType]:  # noqa: ANN401 - whatever may be awaited
    """The frames of a coroutine, and of what each waits for, outermost first."""
    while waiting is not None:
        frame = _one_of(waiting, "cr_frame", "gi_frame", "ag_frame")
        if frame is not None and frame.f_code.co_name == _STEPS and "coroutine" in frame.f_locals:
            waiting = frame.f_locals["coroutine"]  # which it drives by itself, step by step
            continue
        if frame is not None:
            yield frame
        waiting = _one_of(waiting, "cr_await", "gi_yieldfrom", "ag_await")


def _one_of(thing: object, *names: str) -> Any:  # noqa: ANN401 - as above
    return next((found for name in names if (found := getattr(thing, name, None)) is not None), None)


def _is_of(frame: FrameType, job_id: UUID) -> bool:
    """Whether what runs there is an attempt at this job."""
    work = frame.f_locals.get("work")
    job = None if work is None else job_in(work.context)
    return job is not None and job.id == job_id
