"""For tests of applications: what was added, what it came to, and time that passes when it is told to."""

from postlude.testing.capturing import CapturedCall, CapturedCalls, capture
from postlude.testing.failing import raise_failures
from postlude.testing.isolating import isolated
from postlude.testing.stored import assert_enqueued
from postlude.testing.working import BlockingWorker, Worker, worker

__all__ = [
    "BlockingWorker",
    "CapturedCall",
    "CapturedCalls",
    "Worker",
    "assert_enqueued",
    "capture",
    "isolated",
    "raise_failures",
    "worker",
]
