"""`postlude dashboard` and `postlude dashboard-link`: see and steer in a browser."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer
from rich.text import Text

from postlude.cli.noting import me, note
from postlude.cli.opened import application_of, look_up, looking
from postlude.cli.printing import Output
from postlude.cli.running import ended, on_store
from postlude.dashboard import make
from postlude.dashboard.tokens import LINK_SECONDS, Tokens
from postlude.errors import PostludeError
from postlude.services.streams import Hub

if TYPE_CHECKING:
    from types import FrameType

    from postlude.cli.opened import Opened
    from postlude.standalone.finding import Found
    from postlude.stores.gate import GateStore

HOST: Final = "127.0.0.1"
"""Where the dashboard alone is served: to this machine and nobody else."""
PORT: Final = 8420
USUAL: Final = "http://127.0.0.1:8000/postlude"
"""Where a dashboard is that is mounted as the documentation has it."""


def dashboard(
    application: Annotated[
        str | None,
        typer.Argument(metavar="APP", show_default=False, help="As for `postlude worker`, found in the same way."),
    ] = None,
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where it is served; 0: any that is free.")] = PORT,
) -> None:
    """Serve the dashboard of an application alone, to this machine, until Ctrl-C.

    Nothing of the application is started, and no jobs run in this process, though it is seen as one that has the store
    open. The link that is printed works once. To look at a server's store from elsewhere, forward the port:
    `ssh -L 8420:127.0.0.1:8420 server`.
    """
    out = Output()
    raise typer.Exit(
        ended(lambda: asyncio.run(_serve(application_of(look_up(application, None, out)), port, out)), out)
    )


async def _serve(found: Found, port: int, out: Output) -> None:
    import uvicorn  # noqa: PLC0415 - the other commands need not wait for it

    class Server(uvicorn.Server):
        """Waits for the end of every answer, and that of an open page has none: so these are ended first."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            super().handle_exit(sig, frame)
            hub.end()

    engine = found.engine
    engine.settings = looking(engine.settings)
    hub = Hub(engine.store, engine.jobs.waiters, engine.clock, engine.events, lambda: server.should_exit)
    pages = make(engine, hub, None)
    server = Server(uvicorn.Config(pages, log_level="warning", lifespan="off", timeout_graceful_shutdown=1))
    with _bound(port) as listening:
        try:
            token = await pages.site.tokens.new_link(who=me())
            link = f"http://{HOST}:{listening.getsockname()[1]}/sign-in?token={token}"
            out.show(None, Text(f"{link}\n(works once, within {LINK_SECONDS / 60:.0f} minutes; Ctrl-C ends it)"))
            await server.serve(sockets=[listening])
        finally:
            hub.end()
            await engine.close()


def _bound(port: int) -> contextlib.closing[socket.socket]:
    try:
        listening = socket.create_server((HOST, port))
    except OSError as error:
        message = f"--port {port} cannot be listened on: {os.strerror(error.errno or 0)}. Name another one, or 0."
        raise PostludeError(message) from error
    return contextlib.closing(listening)


@on_store()
async def dashboard_link(
    opened: Opened,
    *,
    at: Annotated[str, typer.Option(metavar="URL", help="Where the dashboard is.")] = USUAL,
    role: Annotated[
        Literal["view", "act"], typer.Option(metavar="ROLE", help="What whoever uses it may do: view, or act.")
    ] = "act",
    who: Annotated[
        str | None, typer.Option(show_default=False, help="Whom the audit log names. Default: you, on this machine.")
    ] = None,
    revoke: Annotated[
        bool,
        typer.Option("--revoke", help="Make none: sign everybody out, and let no link work that was made before."),
    ] = False,
) -> None:
    """Make a link that signs somebody in to the dashboard, once, within 15 minutes.

    For a dashboard without `authorize`. The store keeps only a hash of what is in the link.
    """

    async def gate() -> GateStore:
        return opened.store.gate

    tokens = Tokens(gate, opened.clock)
    if revoke:
        await tokens.sign_everybody_out()
        await note(opened, "sign everybody out", "")
        opened.out.show({"revoked": True}, "Everybody is signed out, and no link works that was made before.")
        return
    token = await tokens.new_link(role=role, who=who or me(), by=me())
    link = f"{at.rstrip('/')}/sign-in?token={token}"
    opened.out.show({"link": link, "role": role, "seconds": LINK_SECONDS}, Text(link))
