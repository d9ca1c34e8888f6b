"""The pages: where one asks, where one waits, and the answer, for somebody who decides by it."""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from fastapi import Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports.answer import Answer
from reports.chart import Bars, chart
from reports.question import Question
from reports.status import Status
from reports.wording import figure, stretch_name, stretch_short

TEMPLATES = Path(__file__).parent / "templates"
SHADES = 4


class Pages:
    """Every page, with everything in it escaped, and nothing loaded from elsewhere."""

    def __init__(self) -> None:
        loader = FileSystemLoader(TEMPLATES)
        self._templates = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
        self._templates.filters |= {"figure": figure, "stretch_name": stretch_name, "stretch_short": stretch_short}

    def ask(self, data_sets: Sequence[tuple[str, Sequence[Question]]]) -> Response:
        """What may be asked."""
        return self._page("ask.html", data_sets=data_sets)

    def waiting(self, status: Status) -> Response:
        """A report that is under way, or that will never come."""
        return self._page("waiting.html", status=status)

    def answer(self, report: UUID, answer: Answer) -> Response:
        """The answer: a sentence, a chart, a table."""
        drawn = chart(answer)
        return self._page(
            "answer.html",
            report=report,
            answer=answer,
            chart=drawn,
            has_bars=isinstance(drawn, Bars),
            shade=_shades(answer),
        )

    def _page(self, template: str, **values: Any) -> Response:
        nonce = secrets.token_urlsafe(16)
        own = f"'nonce-{nonce}'"
        headers = {
            "Content-Security-Policy": (
                f"default-src 'none'; style-src {own}; script-src {own}; connect-src 'self'; form-action 'self'; "
                "base-uri 'none'; frame-ancestors 'none'"
            ),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
        return HTMLResponse(self._templates.get_template(template).render(nonce=nonce, **values), headers=headers)


def _shades(answer: Answer) -> Any:  # noqa: ANN401 - a function for the template
    """How dark a cell of the table is, from 0 to 4: as high as it is between the lowest and the highest."""
    known = [cell[0] for group in answer.groups for cell in group.series if cell[0] is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)

    def shade(value: float | None) -> int:
        return 0 if value is None or low == high else round(SHADES * (value - low) / (high - low))

    return shade
