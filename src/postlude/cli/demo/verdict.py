"""What the figures of a demonstration say to somebody who sees them for the first time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from postlude.cli.demo.screen import Row, many

if TYPE_CHECKING:
    from pathlib import Path

    from postlude.cli.demo.screen import Screen
    from postlude.cli.demo.tally import Resumption, Tally

LOST: Final = 1
COULD_NOT_BE_GIVEN: Final = 2
"""Exit codes: what was promised was not kept, and nothing was shown either way."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was seen."""

    durable: bool
    asked: int
    at_kill: Tally
    final: Tally
    resumption: Resumption | None
    """How soon the new process got to work; None if it did not."""

    @property
    def exit_code(self) -> int:
        """0 if everything was as promised. FastAPI alone promises nothing but an answer."""
        if self.durable and self.final.lost:
            return LOST
        return COULD_NOT_BE_GIVEN if self.unanswered else 0

    @property
    def passed(self) -> bool:
        """Whether the demonstration has shown what it is for."""
        return self.exit_code == 0

    @property
    def unanswered(self) -> int:
        """Requests that got no promise: what became of them says nothing."""
        return self.asked - self.final.acknowledged

    @property
    def was_late(self) -> bool:
        """Whether the kill hit less than half of the work."""
        return self.at_kill.delivered * 2 > self.final.acknowledged


def show_figures(screen: Screen, figures: Figures, *, kept: Path | None) -> None:
    """The table, what it comes to, and where to go from here."""
    screen.table(_rows(figures))
    screen.close(*_verdict(figures), _explanation(figures))
    if kept is not None:
        screen.point("The store, the log and the server's output:", f"{kept}")
    if figures.durable:
        screen.point("The same without Postlude:", "postlude demo --without")
    else:
        screen.point("The same with Postlude:", "postlude demo")
    screen.end()


def _rows(figures: Figures) -> list[Row]:
    before, final = figures.at_kill, figures.final
    unanswered = figures.unanswered
    return [
        Row(
            "Acknowledged",
            f"{final.acknowledged:,}",
            "answered with 202 Accepted" + (f"; {unanswered:,} were not" if unanswered else ""),
        ),
        Row(
            "Delivered",
            f"{final.delivered:,}",
            f"{before.delivered:,} before the kill, {final.delivered - before.delivered:,} after it",
        ),
        Row(
            "Lost",
            f"{final.lost:,}",
            "promised, and never delivered" if final.lost else "",
            style="bold red" if final.lost else "bold green",
        ),
        Row("Run twice", f"{final.run_twice:,}", "cut off by the kill, so run again" if final.run_twice else ""),
        _first_resumed(figures.resumption),
    ]


def _first_resumed(moments: Resumption | None) -> Row:
    if moments is None:
        return Row("First resumed task", "none", "the new process had nothing to go on from")
    seconds = max(0.0, moments.first_task - moments.up)
    return Row("First resumed task", f"{seconds * 1000:,.0f} ms", "after the new process was up")


def _verdict(figures: Figures) -> tuple[str, str]:
    """One line to remember, and its colour."""
    lost = many(figures.final.lost, "notification") + " lost."
    if figures.unanswered and not (figures.durable and figures.final.lost):
        return f"{many(figures.unanswered, 'request')} not answered: this run proves nothing.", "bold red"
    if figures.final.lost == 0:
        return "Nothing was lost.", "bold green"
    return f"{lost} That must never happen." if figures.durable else lost, "bold red"


def _explanation(figures: Figures) -> str:
    late = "More than half was delivered before the kill, so there was little left to lose."
    return " ".join(text for text in (late * figures.was_late, _what_it_means(figures)) if text)


def _what_it_means(figures: Figures) -> str:
    final = figures.final
    if not figures.passed:
        return "What is needed to find out why has been kept."
    if not figures.durable:
        return (
            "FastAPI keeps its background tasks in memory: at a crash or a deploy they go with the process. "
            "That is what this run is there to show, so its exit code is 0."
        )
    if not final.run_twice:
        return ""
    twice = f"{final.delivered_twice} of them delivered twice" if final.delivered_twice else "none delivered twice"
    return (
        f"{many(final.run_twice, 'task')} cut off in mid-run ran again from the start; {twice}. "
        "Postlude promises at least once: write a task so that it may run again."
    )
