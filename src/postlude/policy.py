"""How a job is to be treated, as it is stored with it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from postlude.job import ENDS

if TYPE_CHECKING:
    from postlude.job import JobState

WhenInterrupted = Literal["rerun", "hold"]


@dataclass(frozen=True, slots=True)
class Policy:
    """How a job is to be treated; taken from its task when it is stored, and kept with it."""

    interrupted: WhenInterrupted = "rerun"
    """What happens when its process dies in mid-run: run again, or set aside for a person."""
    max_interruptions: int = 3
    """How many interruptions set the job aside even if it may run again."""
    retries: int | None = None
    """How often it is tried again when its task raises; None: not at all, unless the task asks for it (`Retry`)."""
    backoff: float | list[float] | dict[str, float] | None = None
    """The waits before that, as `retries.py` writes them; None: as its task declares."""
    timeout: float | None = None
    """Seconds that an attempt may take."""
    retention: float | list[float] | None = None
    """Seconds after its end for which it is kept: one number, or one for each of `ENDS`; None: as the application
    says."""
    keep_arguments: bool = True
    """Whether the arguments stay when it has ended."""
    on_failure: list[str | int | None] | None = None
    """The task that is told when it has failed for good, and of the job that tells it the policy (`dumps`), the queue,
    the rank and the partition."""

    def kept(self, state: JobState) -> float | None:
        """Seconds after its end for which a job that ended like this is kept; None: as the application says."""
        return self.retention[ENDS.index(state)] if isinstance(self.retention, list) else self.retention

    def runs_alone(self, interruptions: int) -> bool:
        """Whether no other attempt may run beside a job with so many interruptions: one more sets it aside.

        So a task that kills its process cannot count against the jobs beside it up to their limit.
        """
        # A job that was set aside and retried by hand is beyond that, and no less suspect.
        return 0 < interruptions >= self.max_interruptions - 1

    def dumps(self) -> str | None:
        """The policy as JSON: only what differs from the defaults, None when nothing does."""
        differing = {name: value for name, value in asdict(self).items() if value != getattr(DEFAULT_POLICY, name)}
        return json.dumps(differing, separators=(",", ":")) if differing else None

    @staticmethod
    @lru_cache(maxsize=1024)
    def loads(text: str | None) -> Policy:
        """The policy that `dumps` wrote. Options of a later release are left out: they change nothing here."""
        if text is None:
            return DEFAULT_POLICY
        known = {field.name for field in fields(Policy)}
        return Policy(**{name: value for name, value in json.loads(text).items() if name in known})


DEFAULT_POLICY = Policy()
