"""Signing in with a link, and out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotation
from starlette.responses import RedirectResponse, Response

from postlude.dashboard.cookies import keep, kept, root_of, say
from postlude.dashboard.forms import read_form
from postlude.dashboard.routing import Page
from postlude.dashboard.tokens import SESSION_SECONDS
from postlude.dashboard.visitors import SESSION

if TYPE_CHECKING:
    from fastapi import FastAPI

    from postlude.dashboard.routing import Asked
    from postlude.dashboard.site import Site


def closed(site: Site, request: Request, *, refused: bool = False) -> Response:
    """The page that says how to get in."""
    address = f"{request.url.scheme}://{request.url.netloc}{root_of(request)}"
    return site.pages.render(
        request, "sign_in", None, status=401, current=None, token=None, refused=refused, address=address
    )


async def sign_everybody_out(asked: Asked) -> Response:
    """Have everybody who has signed in with a link need another one, whoever asks for it too."""
    await asked.site.tokens.sign_everybody_out()
    await asked.site.note(asked.visitor, "sign everybody out")
    response = RedirectResponse(f"{root_of(asked.request)}/", 303)
    say(response, asked.request, "Everybody is signed out, and no link works that was made before.")
    return response


PAGES: Final = (Page("/sign-out-everybody", sign_everybody_out, changes=True),)


def add(app: FastAPI, site: Site) -> None:
    """Give an application the routes."""

    async def ask(request: Request) -> Response:
        # A link that is only opened is not used up, not even where a mail scanner runs scripts: a button does that.
        token = request.query_params.get("token", "")
        if not token:
            return closed(site, request)
        return site.pages.render(request, "sign_in", None, current=None, token=token, refused=False)

    async def sign_in(request: Request) -> Response:
        form = await read_form(request)
        signed_in = await site.tokens.sign_in(next(iter(form.get("token", ())), ""))
        if signed_in is None:
            return closed(site, request, refused=True)
        session, visitor = signed_in
        await site.note(visitor, "sign in")
        response = RedirectResponse(f"{root_of(request)}/", 303)
        keep(response, request, SESSION, session, seconds=int(SESSION_SECONDS))
        return response

    async def sign_out(request: Request) -> Response:
        await read_form(request)
        session = kept(request, SESSION)
        visitor = await site.tokens.visitor(session)
        if visitor is not None:
            await site.tokens.sign_out(session)
            await site.note(visitor, "sign out")
        response = RedirectResponse(f"{root_of(request)}/", 303)
        keep(response, request, SESSION, "", seconds=0)
        return response

    app.add_api_route("/sign-in", ask, methods=["GET"], response_model=None)
    app.add_api_route("/sign-in", sign_in, methods=["POST"], response_model=None)
    app.add_api_route("/sign-out", sign_out, methods=["POST"], response_model=None)
