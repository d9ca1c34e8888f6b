"""Turns a template and its values into a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from postlude.dashboard import wording
from postlude.dashboard.cookies import kept, name_of, root_of, said, was_said
from postlude.dashboard.forms import FIELD, form_token, keep_form_token

if TYPE_CHECKING:
    from markupsafe import Markup
    from starlette.requests import Request

    from postlude.api.access import Visitor
    from postlude.clock import Clock
    from postlude.dashboard.files import Files

_THEMES = frozenset({"light", "dark"})
_THEME = "theme"
"""The cookie of the colours that were chosen; a script sets it."""


class Pages:
    """The templates.

    Args:
        files: what the pages link to.
        clock: what time it is.
    """

    def __init__(self, files: Files, clock: Clock) -> None:
        self._clock = clock
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.filters.update(wording.FILTERS)
        self._templates.globals.update(version=files.version, percent=wording.percent, form_field=FIELD)

    def render(
        self,
        request: Request,
        template: str,
        visitor: Visitor | None,
        *,
        status: int = 200,
        live: str | None = None,
        **values: Any,
    ) -> HTMLResponse:
        """The page.

        Args:
            request: what asks for it.
            template: its file, without `.html`.
            visitor: who looks; None: nobody who is known.
            status: of the answer.
            live: what the page is told of when it changes, as the end of an address; None: it stays as it is.
            values: what the template names.
        """
        now = self._clock.now()
        token, cookie = form_token(request)
        news = said(request)

        def moment(seconds: float | None) -> Markup:
            return wording.moment(seconds, now)

        html = self._templates.get_template(f"{template}.html").render(
            root=root_of(request),
            theme=_theme(request),
            theme_cookie=name_of(request, _THEME),
            visitor=visitor,
            may_act=visitor is not None and visitor.role == "act",
            said=news,
            form_token=token,
            live=live,
            now=now,
            moment=moment,
            **values,
        )
        response = HTMLResponse(html, status)
        keep_form_token(response, request, cookie)
        if news is not None:
            was_said(response, request)
        return response


def _theme(request: Request) -> str | None:
    chosen = kept(request, _THEME)
    return chosen if chosen in _THEMES else None
