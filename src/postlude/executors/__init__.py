"""Where attempts run: the protocol, and one executor for each kind of place."""

from __future__ import annotations

from postlude.executors.around import AroundExecutor
from postlude.executors.completed import CompletedExecutor, completed
from postlude.executors.contract import Executor, Running, Work
from postlude.executors.futures import OWN, Executors, FuturesExecutor
from postlude.executors.loop import LoopExecutor
from postlude.executors.processes import ProcessExecutor
from postlude.executors.threads import ThreadExecutor

__all__ = [
    "OWN",
    "AroundExecutor",
    "CompletedExecutor",
    "Executor",
    "Executors",
    "FuturesExecutor",
    "LoopExecutor",
    "ProcessExecutor",
    "Running",
    "ThreadExecutor",
    "Work",
    "completed",
]
