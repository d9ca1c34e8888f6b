"""What the demonstration looks like in a terminal, or in a file when it is sent there."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

INDENT = 2
LABEL_WIDTH = 25
WIDTH = 80


def many(count: int, noun: str) -> str:
    """A number of things, with the right ending."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


class Step:
    """One thing that happens: a bar while it does, a line when it is over."""

    def __init__(self, progress: Progress, label: str, total: int | None) -> None:
        self._progress = progress
        self._bar = progress.add_task(label, total=total)
        self.succeeded: bool = False
        self.label: str = label
        """What it is called when it is over."""
        self.result: str = ""
        """What came of it."""

    def advance(self) -> None:
        """One more is done."""
        self._progress.advance(self._bar)

    def reach(self, number: int) -> None:
        """So many are done."""
        self._progress.update(self._bar, completed=number)

    def succeed(self, label: str, result: str) -> None:
        """It is over, and came out as it should."""
        self.label, self.result, self.succeeded = label, result, True

    def fail(self, label: str, result: str) -> None:
        """It is over, and did not."""
        self.label, self.result = label, result


class Row:
    """One line of the result."""

    def __init__(self, name: str, value: str, meaning: str, style: str = "") -> None:
        self.name: str = name
        self.value: str = value
        self.meaning: str = meaning
        self.style: str = style


class Screen:
    """Says one thing after the other."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._width = min(console.width, WIDTH)
        self._plain = not console.encoding.lower().startswith("utf")

    def open(self, title: str, text: str) -> None:
        """What this is about."""
        self._console.print()
        self._say(Text(title, style="bold"))
        self._console.print()
        self._say(Text(text))
        self._console.print()

    @contextmanager
    def step(self, label: str, total: int | None = None) -> Iterator[Step]:
        """Show that something is under way, then what came of it: a cross unless it succeeded."""
        columns: list[ProgressColumn] = [
            TextColumn(" " * (INDENT - 1)),  # a column is followed by a blank
            SpinnerColumn("line" if self._plain else "dots", style="cyan"),
            TextColumn(f"{{task.description:<{LABEL_WIDTH - 1}}}"),
        ]
        if total is not None:
            columns += [BarColumn(complete_style="cyan", finished_style="cyan"), MofNCompleteColumn()]
        # In a file nothing moves: only what came of it is said.
        moving = self._console.is_interactive
        with Progress(*columns, console=self._console, transient=True, disable=not moving) as progress:
            step = Step(progress, label, total)
            try:
                yield step
            finally:
                progress.stop()
                self._end(step)

    def table(self, rows: list[Row]) -> None:
        """The figures."""
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
        table.add_column(min_width=INDENT + LABEL_WIDTH)
        table.add_column(justify="right")
        table.add_column(style="dim")
        for row in rows:
            table.add_row(
                Text(" " * INDENT + row.name, style=row.style), Text(row.value, style=row.style or "bold"), row.meaning
            )
        self._console.print()
        self._console.print(table, width=self._width)
        self._console.print()

    def close(self, verdict: str, style: str, text: str) -> None:
        """What it comes to."""
        self._say(Text(verdict, style=style))
        self._console.print()
        if text:
            self._say(Text(text))
            self._console.print()

    def point(self, what: str, where: str) -> None:
        """Where to go from here."""
        self._say(Text.assemble(what, " ", (where, "cyan")))

    def end(self) -> None:
        """Leave some room before what comes next in the terminal."""
        self._console.print()

    def warn(self, text: str) -> None:
        """Something that makes the figures worth less."""
        self._say(Text(text, style="yellow"))

    def fail(self, what: str, output: list[str]) -> None:
        """Why there is no result, with what the server said last."""
        self._console.print()
        self._say(Text(what, style="bold red"))
        if output:
            said = Panel(
                Text("\n".join(output)), title="the server's last words", title_align="left", border_style="dim"
            )
            self._console.print(Padding(said, (0, INDENT)))
        self._console.print()

    def _end(self, step: Step) -> None:
        mark = ("+" if step.succeeded else "x") if self._plain else ("✓" if step.succeeded else "✗")
        style = "green" if step.succeeded else "red"
        self._say(Text.assemble((mark, style), " ", f"{step.label:<{LABEL_WIDTH}}", (step.result, "dim")))

    def _say(self, text: Text) -> None:
        """Print within the margins, and without blanks at the end of a line, which would be copied along."""
        for line in text.wrap(self._console, self._width - 2 * INDENT):
            line.rstrip()
            self._console.print(Text(" " * INDENT).append_text(line) if line else "")
