"""What callers ask for, and the outbox for those who try it."""

import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader

from notifications.by_folder import FolderSender
from notifications.messages import TEMPLATES, Mail, compose
from notifications.sending import sender
from notifications.settings import settings
from notifications.tasks import acknowledge, once, send_mail, take_turn
from postlude import BackgroundTasks, accepted
from postlude.errors import ArgumentsTooLarge

MOST_BYTES = 1_000_000
"""Of a request: attachments stand in it, and a job keeps its arguments. What is larger belongs into a link."""
NIL = UUID(int=0)


class SmallRequest(Request):
    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            body = bytearray()
            async for chunk in self.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise HTTPException(
                        413, f"A mail takes at most {MOST_BYTES:,} bytes here: send a link to what is larger."
                    )
            self._body = bytes(body)
        return self._body


class SmallRoute(APIRoute):
    """Refuses a body that is too large while it arrives, and not after."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            return await handle(SmallRequest(request.scope, request.receive))

        return bounded


async def allowed(key: Annotated[str | None, Depends(APIKeyHeader(name="X-API-Key", auto_error=False))]) -> bool:
    """Everybody with the key, which nobody needs where there is none."""
    expected = settings().mail_api_key
    if expected and not secrets.compare_digest((key or "").encode(), expected.encode()):
        raise HTTPException(401, "Show the key of this service as X-API-Key.")
    return True


@asynccontextmanager
async def connections(_: FastAPI) -> AsyncIterator[None]:
    """Of the sender, which is made before two tasks can ask for it at once."""
    sender()
    yield
    await sender().close()
    sender.cache_clear()


router = APIRouter(lifespan=connections, route_class=SmallRoute)


@router.post("/notifications", status_code=202, dependencies=[Depends(allowed)])
async def notify(mail: Mail, tasks: BackgroundTasks) -> Response:
    """Send a mail after this answer, which says where to ask what has become of it."""
    try:
        compose(mail, NIL)  # what is wrong with it is told now, and not to the log
        for each in [] if settings().into_folder else mail.recipients:
            tasks.options(expires_after=86400).add_task(take_turn, each)
        job = tasks.add_task(send_mail, mail)
    except ArgumentsTooLarge as error:
        raise HTTPException(413, str(error)) from None
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    tasks.add_task(acknowledge, job.id, mail.to, mail.template, once(mail) or str(job.id))
    return accepted(job)


async def outbox() -> Path:
    """The folder; only where mail goes into one, and nobody needs a key."""
    found = sender()
    if not isinstance(found, FolderSender) or settings().mail_api_key:
        raise HTTPException(404, "Mail does not go into a folder that everybody may see.")
    return found.folder


@router.get("/outbox", include_in_schema=False)
def show_outbox(folder: Annotated[Path, Depends(outbox)]) -> HTMLResponse:
    """The newest hundred: their names are ids, which sort by time."""
    newest = sorted(folder.glob("*.eml"), reverse=True)[:100]
    mails = [(each.stem, message_from_bytes(each.read_bytes(), policy=default)) for each in newest]
    return HTMLResponse(TEMPLATES.get_template("outbox/list.html").render(mails=mails))


@router.get("/outbox/{job_id}", include_in_schema=False)
def show_mail(job_id: UUID, folder: Annotated[Path, Depends(outbox)]) -> HTMLResponse:
    try:
        content = (folder / f"{job_id}.eml").read_bytes()
    except FileNotFoundError:
        raise HTTPException(404, "There is no such mail.") from None
    mail = message_from_bytes(content, policy=default)
    return HTMLResponse(TEMPLATES.get_template("outbox/mail.html").render(mail=mail))
