"""A store of either kind, and the commands on it as a shell runs them."""

import asyncio
import json
import os
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from typer.testing import CliRunner, Result

from postlude.cli.commands import commands
from postlude.job import Record
from postlude.stores import open_store
from postlude.stores.contract import Store

T = TypeVar("T")

APP = f"{Path(__file__).with_name('kiosk.py')}:create_app"
WIDE = {"COLUMNS": "200", "TERMINAL_WIDTH": "200"}


class Desk:
    """Where an application keeps its jobs, and the commands of somebody who sits there."""

    def __init__(self, url: str, namespace: str | None) -> None:
        self.url = url
        self.namespace = namespace
        self.env: dict[str, str | None] = {name: None for name in os.environ if name.startswith("POSTLUDE_")}
        self.env |= {"POSTLUDE_URL": url, "POSTLUDE_NAMESPACE": namespace, **WIDE}

    def run(self, *words: str, typed: str | None = None, **env: str) -> Result:
        return CliRunner().invoke(commands, words, env={**self.env, **env}, input=typed)

    def says(self, *words: str, code: int = 0, typed: str | None = None) -> str:
        """What a command prints that ends with this code."""
        done = self.run(*words, typed=typed)
        assert done.exit_code == code, f"{done.exit_code}: {done.stdout}{done.stderr}{done.exception!r}"
        return done.stdout

    def refuses(self, *words: str, code: int) -> str:
        """What it says on standard error, on one line; nothing is answered."""
        done = self.run(*words)
        assert (done.exit_code, done.stdout) == (code, ""), f"{done.stdout}{done.stderr}{done.exception!r}"
        return " ".join(done.stderr.split())

    def answers(self, *words: str, code: int = 0) -> Any:
        """What it answers to a program."""
        return json.loads(self.says(*words, "--json", code=code))

    def on_store(self, work: Callable[[Store], Awaitable[T]]) -> T:
        """What is done to the store behind its back."""

        async def run() -> T:
            store = open_store(self.url, namespace=self.namespace)
            await store.open()
            try:
                return await work(store)
            finally:
                await store.close()

        return asyncio.run(run())

    def record(self, job_id: str) -> Record:
        async def read(store: Store) -> Record:
            (found,) = await store.get([uuid.UUID(job_id)])
            return found

        return self.on_store(read)


async def _nothing(_: Store) -> None: ...


def new_desk(url: str, namespace: str | None = None) -> Desk:
    """On a store that is made for it."""
    found = Desk(url, namespace)
    found.on_store(_nothing)
    return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """On a file."""
    return new_desk(f"sqlite:///{tmp_path}/jobs.db")


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    """On a store of each kind."""
    if request.param == "sqlite":
        return new_desk(f"sqlite:///{tmp_path}/jobs.db")
    return new_desk(request.getfixturevalue("postgres"), uuid.uuid4().hex)
