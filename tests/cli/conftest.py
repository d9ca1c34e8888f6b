"""A store of either kind, and the commands on it as a shell runs them."""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
import typer
from typer.testing import CliRunner

from postlude.cli.commands import commands
from postlude.job import Record
from postlude.stores import open_store
from postlude.stores.contract import Store

T = TypeVar("T")

APP = f"{Path(__file__).with_name('kiosk.py')}:create_app"
POSTLUDE = typer.main.get_command(commands)
"""Built once: that takes as long as a command."""
WIDE = {"COLUMNS": "200", "TERMINAL_WIDTH": "200"}


class Person:
    """Somebody at a terminal, who types this line when asked; something may happen before that."""

    def __init__(self, line: str, *, meanwhile: Callable[[], object] = bool) -> None:
        self._line = line
        self._meanwhile = meanwhile

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        with ThreadPoolExecutor(1) as elsewhere:  # the event loop of the command is here
            elsewhere.submit(self._meanwhile).result()
        return self._line


class Done(NamedTuple):
    """What came of a command."""

    exit_code: int
    stdout: str
    stderr: str


class Desk:
    """Where an application keeps its jobs, and the commands of somebody who sits there."""

    def __init__(self, url: str, namespace: str | None) -> None:
        self.url = url
        self.namespace = namespace
        self.env: dict[str, str | None] = {name: None for name in os.environ if name.startswith("POSTLUDE_")}
        self.env |= {"POSTLUDE_URL": url, "POSTLUDE_NAMESPACE": namespace, **WIDE}

    def run(self, *words: str, person: Person | None = None, **env: str) -> Done:
        """A command to its end; without a person, nobody is there to be asked."""
        with CliRunner().isolation(env={**self.env, **env}) as (out, err, _):
            stdin: Any = person or sys.stdin
            sys.stdin = stdin
            with pytest.raises(SystemExit) as end:
                POSTLUDE.main(words, prog_name="postlude")
            assert isinstance(end.value.code, int)
            sys.stdout.flush()
            sys.stderr.flush()
            return Done(end.value.code, out.getvalue().decode(), err.getvalue().decode())

    def says(self, *words: str, code: int = 0) -> str:
        """What a command prints that ends with this code."""
        done = self.run(*words)
        assert done.exit_code == code, f"{done.exit_code}: {done.stdout}{done.stderr}"
        return done.stdout

    def refuses(self, *words: str, code: int) -> str:
        """What it says on standard error, on one line; nothing is answered."""
        done = self.run(*words)
        assert (done.exit_code, done.stdout) == (code, ""), f"{done.stdout}{done.stderr}"
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


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder where one is, to be imported from; its modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]
