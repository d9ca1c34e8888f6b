"""What is said of what happens, as log records; beside it, imported only when asked for, as spans and as metrics."""

from postlude.telemetry.records import JobFields, announce, fail, log, make_heard, warn
from postlude.telemetry.wording import utc

__all__ = ["JobFields", "announce", "fail", "log", "make_heard", "utc", "warn"]
