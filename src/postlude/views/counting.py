"""From sums of measures to rates, percentiles and the points of charts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from postlude.statistics import BOUNDS, MEASURES
from postlude.views.overview import Percentiles, Point, Rates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from postlude.stores.seeing import Sum

STEPS: Final = {"hour": (60, 60), "day": (600, 144)}
"""Seconds of a point, and how many there are."""


def rates_of(sums: Iterable[Sum]) -> Rates:
    """What these come to together."""
    counted: Counter[str] = Counter()
    for each in sums:
        counted[each.measure] += each.times
    counts = {measure: counted[measure] for measure in MEASURES}
    return Rates(counts, _percentiles(counted, "start"), _percentiles(counted, "run"))


def rates_by_task(sums: Iterable[Sum]) -> Mapping[str, Rates]:
    """The same for each task by itself."""
    by_task: dict[str, list[Sum]] = {}
    for each in sums:
        by_task.setdefault(each.task, []).append(each)
    return {task: rates_of(of_task) for task, of_task in by_task.items()}


def first_moment(now: float, span: str) -> float:
    """When the first point of a chart that ends now begins."""
    step, number = STEPS[span]
    return now // step * step - (number - 1) * step


def points_of(sums: Iterable[Sum], now: float, span: str) -> Sequence[Point]:
    """The points of a chart that ends now, oldest first."""
    step, number = STEPS[span]
    first = first_moment(now, span)
    by_moment: dict[float, list[Sum]] = {first + step * place: [] for place in range(number)}
    for each in sums:
        if each.moment in by_moment:
            by_moment[each.moment].append(each)
    return [Point(moment, rates_of(of_moment)) for moment, of_moment in by_moment.items()]


def _percentiles(counted: Mapping[str, int], histogram: str) -> Percentiles:
    buckets = [counted.get(f"{histogram}:{number}", 0) for number in range(len(BOUNDS) + 1)]
    return Percentiles(*(_percentile(buckets, part) for part in (0.5, 0.95, 0.99)))


def _percentile(buckets: Sequence[int], part: float) -> float | None:
    left = part * sum(buckets)
    if not left:
        return None
    for bound, count in zip(BOUNDS, buckets, strict=False):
        left -= count
        if left <= 0:
            return bound
    return BOUNDS[-1]
