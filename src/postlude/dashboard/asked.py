"""Which jobs an address, or a form, means: the same words in both, so that what is seen is what is acted upon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlencode

from postlude.errors import UnknownValue
from postlude.job import JobState
from postlude.stores.contract import Filter

if TYPE_CHECKING:
    from collections.abc import Callable

SPANS: Final = {
    "": "At any time",
    "15m": "In the last 15 minutes",
    "1h": "In the last hour",
    "24h": "In the last 24 hours",
    "7d": "In the last 7 days",
}
_SECONDS: Final = {"15m": 900.0, "1h": 3_600.0, "24h": 86_400.0, "7d": 604_800.0}


class AskedFor(NamedTuple):
    """What was asked for, as text; empty: anything."""

    state: str = ""
    task: str = ""
    queue: str = ""
    key: str = ""
    since: str = ""
    text: str = ""

    @staticmethod
    def read(value: Callable[[str], str]) -> AskedFor:
        """What an address or a form says, whose values `value` gives by name.

        Raises:
            UnknownValue: there is no such state or time.
        """
        asked = AskedFor(*map(value, AskedFor._fields))
        if asked.state and asked.state not in {*JobState}:
            message = f"state: expected one of {', '.join(JobState)}, got {asked.state!r}."
            raise UnknownValue(message)
        if asked.since not in SPANS:
            message = f"since: expected one of {', '.join(filter(None, SPANS))}, got {asked.since!r}."
            raise UnknownValue(message)
        return asked

    @property
    def narrowed(self) -> bool:
        """Whether anything but a state was asked for."""
        return any(self._replace(state=""))

    @property
    def fields(self) -> dict[str, str]:
        """What was asked for, by name."""
        return {name: value for name, value in self._asdict().items() if value}

    def query(self, **more: str) -> str:
        """The end of an address that asks for the same, with these besides or instead."""
        values = {name: value for name, value in {**self.fields, **more}.items() if value}
        return "?" + urlencode(values) if values else ""

    def filter(self, now: float) -> Filter:
        """What the store is asked for."""
        return Filter(
            states=frozenset({JobState(self.state)} if self.state else ()),
            task=self.task or None,
            queue=self.queue or None,
            key=self.key or None,
            since=now - _SECONDS[self.since] if self.since else None,
            text=self.text or None,
        )

    def in_words(self) -> str:
        """Which jobs they are, for people."""
        parts = [
            self.state and f"in the state {self.state}",
            self.task and f"of the task {self.task}",
            self.queue and f"in the queue {self.queue}",
            self.key and f"with the key {self.key}",
            self.since and f"added {SPANS[self.since].lower()}",
            self.text and f"with “{self.text}” in arguments or error",
        ]
        return ", ".join(filter(None, parts)) or "all of them"
