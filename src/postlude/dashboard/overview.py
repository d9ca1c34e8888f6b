"""How it goes: figures, charts, what needs a person, what runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from postlude.dashboard.charts import Series, lines, stacked
from postlude.dashboard.routing import Page
from postlude.dashboard.wording import span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response

    from postlude.dashboard.charts import Chart
    from postlude.dashboard.routing import Asked
    from postlude.views import Overview, Point


async def show(asked: Asked) -> Response:
    """The page."""
    day = asked.query("span") == "day"
    view = await asked.site.together.read(asked.site.views.overview, "day" if day else "hour")
    return asked.site.pages.render(
        asked.request,
        "overview",
        asked.visitor,
        current="",
        live="",
        day=day,
        view=view,
        throughput=throughput(view.points),
        latency=latency(view.points),
        axis=axis(view),
    )


def throughput(points: Sequence[Point]) -> Chart:
    """What ended in each step, by how."""
    names = [("succeeded", "Succeeded"), ("failed", "Failed"), ("cancelled", "Cancelled")]
    series = [Series(name, kind, [point.rates.counts.get(kind, 0) for point in points]) for kind, name in names]
    hints = [
        f"{_clock(point.at)} UTC: "
        + ", ".join(f"{one.values[place]:,} {one.name.lower()}" for one in series if one.values[place])
        for place, point in enumerate(points)
    ]
    return stacked(series, hints)


def latency(points: Sequence[Point]) -> Chart:
    """How long jobs that were due waited for their start, in each step."""
    series = [
        Series("Half within", "running", [point.rates.start.p50 for point in points]),
        Series("95 % within", "warning", [point.rates.start.p95 for point in points]),
    ]
    hints = [
        f"{_clock(point.at)} UTC: half within {span(point.rates.start.p50)}, 95 % within {span(point.rates.start.p95)}"
        for point in points
    ]
    return lines(series, hints)


def axis(view: Overview) -> list[str]:
    """The times below a chart, at equal distances."""
    first = view.points[0].at if view.points else view.at - view.span
    return [*(_clock(first + view.span * part / 4) for part in range(4)), "now"]


def _clock(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%H:%M}"


PAGES: Final = (Page("/", show),)
