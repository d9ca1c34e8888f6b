"""What a benchmark reports, and how its rounds are taken: one of each case in turn, so that noise meets all alike."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from benchmarks.machine import Spread, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

Case = TypeVar("Case")
Sample = TypeVar("Sample")


@dataclass(frozen=True)
class Plan:
    """How much is measured, and where."""

    folder: Path
    """On a real disk; each round makes a file of its own below it."""
    rounds: int
    smoke: bool
    """Only see whether it runs: the numbers mean nothing."""

    def scaled(self, full: int, smoke: int) -> int:
        return smoke if self.smoke else full

    def seconds(self, full: float, smoke: float) -> float:
        return smoke if self.smoke else full


@dataclass(frozen=True)
class Figure:
    """One number, from one sample a round."""

    name: str
    samples: list[float]
    unit: str = ""
    budget: str = ""
    """What the design allows, for people; empty if nothing is asked."""
    met: bool | None = None
    note: str = ""

    def line(self, *, judged: bool) -> str:
        """For people; `judged`: the samples are good for a verdict on the budget."""
        median, least, most = spread(self.samples)
        unit = f" {self.unit}" if self.unit else ""
        text = f"{self.name}: {_readable(median)}{unit}"
        if len(self.samples) > 1:
            text += f" ({_readable(least)}–{_readable(most)})"
        if self.budget:
            verdict = (": met" if self.met else ": NOT met") if judged and self.met is not None else ""
            text += f"  [budget {self.budget}{verdict}]"
        return f"{text}  {self.note}".rstrip()

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), **spread(self.samples)._asdict()}


def at_least(name: str, samples: list[float], limit: float, unit: str = "", note: str = "") -> Figure:
    """A figure whose median must not be below the limit."""
    met = spread(samples).median >= limit
    return Figure(name, samples, unit, f"≥ {_readable(limit)}{' ' if unit else ''}{unit}", met, note)


def at_most(name: str, samples: list[float], limit: float, unit: str = "", note: str = "") -> Figure:
    """A figure whose median must not be above the limit."""
    met = spread(samples).median <= limit
    return Figure(name, samples, unit, f"≤ {_readable(limit)}{' ' if unit else ''}{unit}", met, note)


def interleaved(cases: list[Case], rounds: int, take: Callable[[Case], Sample]) -> dict[Case, list[Sample]]:
    """One sample of each case, and again, and again."""
    samples: dict[Case, list[Sample]] = {case: [] for case in cases}
    for _ in range(rounds):
        for case in cases:
            samples[case].append(take(case))
    return samples


def column(samples: Sequence[Mapping[str, float]], name: str) -> list[float]:
    return [sample[name] for sample in samples]


def ratios(above: list[float], below: list[float]) -> list[float]:
    """Round by round: what was measured right after one another is compared."""
    return [one / other for one, other in zip(above, below, strict=True)]


def median(samples: list[float]) -> float:
    return spread(samples).median


def _readable(number: float) -> str:
    if abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"


__all__ = ["Figure", "Plan", "Spread", "at_least", "at_most", "column", "interleaved", "median", "ratios"]
