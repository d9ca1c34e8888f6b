"""The dashboard as an application to be mounted: its routes, and what it answers when something is wrong."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from fastapi import Depends, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotation
from starlette.responses import Response

from postlude.api.access import Visitor  # noqa: TC001 - FastAPI reads the annotation
from postlude.api.events import EventRoute
from postlude.dashboard import audit, bulk, job, jobs, live, overview, queues, schedules, signing, tasks, workers
from postlude.dashboard.cookies import STORE
from postlude.dashboard.forms import Refused, read_form
from postlude.dashboard.headers import Headers
from postlude.dashboard.inviting import invitation
from postlude.dashboard.mounting import OUTER, Mounted
from postlude.dashboard.routing import Asked
from postlude.dashboard.visitors import VISITOR, NotAllowed, SignInNeeded, must_act, visitor_by
from postlude.errors import JobNotFound, StoreError, UnknownValue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from postlude.dashboard.routing import Page
    from postlude.dashboard.site import Site

_SAID: Final = {
    404: ("There is no such page", "Check the address."),
    405: ("This was not done", "The page that wanted it is gone. Go back to where you were, and try again."),
}
PAGES: Final[tuple[Page, ...]] = tuple(
    page
    for module in (overview, jobs, bulk, job, tasks, queues, schedules, workers, audit, live, signing)
    for page in module.PAGES
)


class Dashboard(FastAPI):
    """An application of FastAPI, so that `authorize` may depend on whatever a user's dependencies do.

    Args:
        site: what the pages share.
        authorize: see `Postlude.dashboard`.
    """

    def __init__(self, site: Site, authorize: Callable[..., Any] | None) -> None:
        super().__init__(openapi_url=None, docs_url=None, redoc_url=None)
        self.needs_link: bool = authorize is None
        """Whether somebody has to be given a link to come in."""
        self.site = site
        self.router.route_class = EventRoute
        visitor = Depends(visitor_by(authorize, site.tokens))
        for page in PAGES:
            answer = _changing(page, site, visitor) if page.changes else _showing(page, site, visitor)
            self.add_api_route(page.path, answer, methods=["POST" if page.changes else "GET"], response_model=None)
        self.get("/static/{version}/{name}", response_model=None)(site.files.answer)
        if self.needs_link:
            signing.add(self, site)
        for kind, handler in _answers(site).items():
            self.add_exception_handler(kind, handler)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as a part of the application it is mounted in: the dependencies, and their overrides, are of that."""
        scope[STORE], outer = self.site.store, scope.get("app", self)
        scope[OUTER] = outer
        self.dependency_overrides: dict[Callable[..., Any], Callable[..., Any]] = getattr(
            outer, "dependency_overrides", {}
        )
        await super().__call__(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """Around everything, so that what answers a mistake of the pages has the headers, too."""
        return Mounted(Headers(super().build_middleware_stack()))

    async def invite(self, path: str) -> str:
        """What is said of it when the application starts: where it is. On a terminal, a link comes before that.

        Args:
            path: where it is mounted.
        """
        if not self.needs_link:
            return f"dashboard: {path}, for those whom the application lets in"
        if not sys.stderr.isatty():
            return f"dashboard: {path}, with a link that `postlude dashboard-link` makes"
        # A log may be kept, and read by many: the link goes to this terminal alone.
        sys.stderr.write(invitation(path, await self.site.tokens.new_link(who="terminal")))
        return f"dashboard: {path}"


def _showing(page: Page, site: Site, known: Any) -> Callable[..., Awaitable[Response]]:  # noqa: ANN401 - a `Depends`
    async def show(request: Request, visitor: Visitor = known) -> Response:
        request.scope[VISITOR] = visitor
        return await page.answer(Asked(request, site, visitor, {}))

    return show


def _changing(page: Page, site: Site, known: Any) -> Callable[..., Awaitable[Response]]:  # noqa: ANN401 - a `Depends`
    async def change(request: Request, visitor: Visitor = known) -> Response:
        request.scope[VISITOR] = visitor
        must_act(visitor)
        return await page.answer(Asked(request, site, visitor, await read_form(request)))

    return change


def _answers(site: Site) -> dict[int | type[Exception], Callable[[Request, Any], Response]]:
    """What is answered to exceptions."""

    def page(status: int, title: str) -> Callable[[Request, Any], Response]:
        def answer(request: Request, error: Exception) -> Response:
            return _error(site, request, status, title, str(error))

        return answer

    def silent(request: Request, error: Exception) -> Response:
        # What it says names the place, which is nobody's business who is not signed in.
        known = VISITOR in request.scope
        text = str(error) if known else "The log of the server says why."
        return _error(site, request, 503, "The store does not answer", text)

    def sign_in(request: Request, error: SignInNeeded) -> Response:  # noqa: ARG001 - as Starlette calls it
        return signing.closed(site, request)

    def http(request: Request, error: HTTPException) -> Response:
        if 300 <= error.status_code < 400:  # noqa: PLR2004 - how a dependency sends people to its own page
            return Response(status_code=error.status_code, headers=error.headers)
        title, text = _SAID.get(error.status_code, (str(error.detail), "The application does not let you in."))
        response = _error(site, request, error.status_code, title, text)
        response.headers.update(error.headers or {})
        return response

    return {
        SignInNeeded: sign_in,
        NotAllowed: page(403, "Not for you"),
        Refused: page(403, "This was not done"),
        JobNotFound: page(404, "There is no such job"),
        UnknownValue: page(400, "That is not understood"),
        StoreError: silent,
        HTTPException: http,
        Exception: lambda request, error: _error(  # noqa: ARG005 - its text is for the log, where it is
            site, request, 500, "Something is wrong here", "The log of the server has the traceback."
        ),
    }


def _error(site: Site, request: Request, status: int, title: str, text: str) -> Response:
    visitor = request.scope.get(VISITOR)
    return site.pages.render(request, "error", visitor, status=status, current=None, title=title, text=text)
