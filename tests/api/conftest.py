"""An application whose jobs belong to somebody."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Header, HTTPException
from starlette.responses import Response

from postlude import BackgroundTasks, Job, Postlude, accepted, progress
from postlude.api import RequestedJob
from postlude.services import streams
from tests.api.asgi import Answer, serving

caller: ContextVar[str] = ContextVar("caller")
gates: dict[str, asyncio.Event] = {}
"""What a task of this name waits for."""


def gate(name: str) -> asyncio.Event:
    return gates.setdefault(name, asyncio.Event())


@pytest.fixture(autouse=True)
def from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tuple(os.environ):
        if name.startswith("POSTLUDE_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(streams, "EVERY", 0.05)
    gates.clear()


async def signed_in(x_user: Annotated[str | None, Header()] = None) -> str:
    if x_user is None:
        raise HTTPException(401, "Sign in first.")
    caller.set(x_user)
    return x_user


async def owner_only(job: RequestedJob, user: Annotated[str, Depends(signed_in)]) -> bool | str:
    roles = {"viewer": "view", "operator": "act"}
    return roles.get(user) or job.carried.get("caller") == user


async def report(name: str) -> dict[str, Any]:
    """A task that goes on when its test lets it."""
    progress(1, 2, "half")
    await gate(name).wait()
    if name == "fails":
        message = "no connection to smtp://ann:geheim@mail"
        raise ConnectionError(message)
    return {"name": name, "api_key": "k-1"}


class Site:
    """The application, served."""

    def __init__(self, place: str, authorize: Callable[..., Any] | None, **options: Any) -> None:
        self.app = FastAPI()
        self.durable = Postlude(self.app, place, carry=[caller], **options)

        @self.app.post("/reports/{name}", status_code=202)
        async def endpoint(name: str, tasks: BackgroundTasks, _: Annotated[str, Depends(signed_in)]) -> Response:
            return accepted(tasks.add_task(report, name))

        self.app.include_router(self.durable.router(authorize=authorize))

    def ask(self, path: str, *, method: str = "GET", user: str | None = "ann", **headers: str) -> Answer:
        named = {"x-user": user} if user else {}
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        return Answer(self.app, path, method=method, headers={**named, **said})

    async def add(self, name: str, user: str = "ann") -> str:
        """Have a job made; returns where its state is told."""
        answer = await self.ask(f"/reports/{name}", method="POST", user=user).end()
        assert answer.status == 202
        where: str = answer.headers["location"]
        return where

    async def added(self, name: str) -> Job[Any]:
        """The same; returns its job."""
        return await self.durable.jobs.get((await self.add(name)).rpartition("/")[2])


@pytest.fixture
def place(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jobs.db'}"


@pytest.fixture
async def site(place: str) -> AsyncIterator[Site]:
    site = Site(place, owner_only, shutdown_grace=0)
    async with serving(site.app):
        yield site


@pytest.fixture
async def open_site(place: str) -> AsyncIterator[Site]:
    """One that tells whoever has an id, and so tells little."""
    site = Site(place, None, shutdown_grace=0)
    async with serving(site.app):
        yield site
