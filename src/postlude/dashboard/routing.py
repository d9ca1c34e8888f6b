"""How a page is declared: what it answers to, who may take it, and what it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from postlude.client.wanted import text_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from postlude.api.access import Visitor
    from postlude.dashboard.site import Site

ANYTHING: Final = 1_000
"""Characters of one field that are looked at."""


class Asked(NamedTuple):
    """A request for a page, from somebody who may have it."""

    request: Request
    site: Site
    visitor: Visitor
    form: Mapping[str, Sequence[str]]
    """What the form had; empty where nothing is changed."""

    def query(self, name: str) -> str:
        """A value from the address; empty if there is none.

        Raises:
            UnknownValue: no store can have it.
        """
        return _text(name, self.request.query_params.get(name, ""))

    def field(self, name: str) -> str:
        """A value of the form; empty if there is none.

        Raises:
            UnknownValue: no store can have it.
        """
        return _text(name, next(iter(self.form.get(name, ())), ""))

    def path(self, name: str) -> str:
        """A part of the address."""
        return str(self.request.path_params[name])


class Page(NamedTuple):
    """One route. What changes something is a POST, and for those who may act."""

    path: str
    answer: Callable[[Asked], Awaitable[Response]]
    changes: bool = False


def _text(name: str, value: str) -> str:
    return (text_of(name, value) or "").strip()[:ANYTHING]
