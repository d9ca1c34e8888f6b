"""How the commands answer: for people, or as JSON for programs.

What comes from jobs, their names, errors and logs, may have been written by anybody. A terminal obeys some characters,
so those are shown and not sent.
"""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from postlude.cli.codes import code_of
from postlude.durations import in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import RenderableType

    from postlude.errors import PostludeError

WIDE: Final = 200
"""Columns where nobody looks: what reads a pipe wants whole lines."""
NARROW: Final = 80
"""Columns that are taken at least: below them columns of a table would vanish. A narrower terminal wraps the lines."""
_OBEYED: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What a terminal obeys, but for line ends and tabs: control characters, and those that turn the direction of text."""
_STYLES: Final = {
    "staged": "cyan",
    "queued": "cyan",
    "running": "blue",
    "succeeded": "green",
    "failed": "bold red",
    "cancelled": "yellow",
}


class Output:
    """Standard output and standard error of one command.

    Args:
        json: whether programs read it: then standard output has nothing but JSON.
    """

    def __init__(self, *, json: bool = False) -> None:
        self.json: bool = json
        self.console: Console = _console(sys.stdout)
        self.errors: Console = _console(sys.stderr)

    def show(self, value: Any, *shown: RenderableType) -> None:  # noqa: ANN401 - whatever JSON can say
        """Answer: with the value if programs read it, else with what is shown to people."""
        if self.json:
            sys.stdout.write(f"{json.dumps(value, ensure_ascii=False, default=str)}\n")
            sys.stdout.flush()
            return
        for each in shown:
            self.console.print(each, soft_wrap=isinstance(each, str | Text))

    def note(self, text: str) -> None:
        """Say something beside the answer, to people."""
        self.errors.print(plain(text), soft_wrap=True)

    def refuse(self, error: PostludeError) -> int:
        """Say what was in the way; returns the exit code."""
        self.errors.print(plain(str(error)), style="red", soft_wrap=True)
        return code_of(error)

    def ask(self, question: str) -> bool:
        """Whether a person says yes."""
        self.errors.print(f"{question} [y/N] ", end="")
        return sys.stdin.readline().strip().lower() in {"y", "yes"}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to `running.ended`: the console would end the program, as if it had failed."""
        raise BrokenPipeError


def _console(stream: Any) -> Console:  # noqa: ANN401 - a text stream, of which no protocol is worth writing down
    found = _Console(file=stream, highlight=False, markup=False, emoji=False)
    found.width = max(found.width, NARROW) if stream.isatty() else WIDE
    return found


def plain(text: str) -> str:
    """The text with what a terminal would obey written out."""
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def in_line(text: str) -> str:
    """The same on one line."""
    return " ".join(plain(text).split())


def table(*columns: str, rows: Iterable[Sequence[str | Text]]) -> Table:
    """Rows under headings; the first column is never cut."""
    found = Table(box=None, pad_edge=False, header_style="bold")
    for at, column in enumerate(columns):
        found.add_column(column, no_wrap=at == 0, overflow="fold")
    for row in rows:
        found.add_row(*(each if isinstance(each, Text) else Text(in_line(each)) for each in row))
    return found


def styled_state(state: str) -> Text:
    """The name of a state in its colour."""
    return Text(state, style=_STYLES.get(state, ""))


def iso(moment: datetime | float | None) -> str | None:
    """A moment for programs: ISO 8601 in UTC."""
    if moment is None:
        return None
    found = datetime.fromtimestamp(moment, UTC) if isinstance(moment, int | float) else moment
    return found.astimezone(UTC).isoformat().replace("+00:00", "Z")


def local(moment: datetime | float | None) -> str:
    """A moment for people, in the zone of this machine; a dash if there is none."""
    if moment is None:
        return "-"
    found = datetime.fromtimestamp(moment, UTC) if isinstance(moment, int | float) else moment
    return found.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def span(seconds: float | None) -> str:
    """A duration for people; a dash if there is none."""
    return "-" if seconds is None else in_words(seconds)


def counted(number: int, noun: str) -> str:
    """A number with what it counts: `1 job`, `2,000 jobs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
