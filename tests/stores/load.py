"""Two processes of one application: one adds jobs without a pause, the other runs them."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from fastapi import FastAPI

from postlude import Postlude, task
from postlude.errors import StoreUnavailable
from postlude.stores.postgres.notifications import Notifications

ROOT = Path(__file__).parents[2]
LET_GO = Path("let_go")
"""In the folder of the test: from then on the first job may end."""


def note(name: str, line: object) -> None:
    with Path(name).open("a") as file:
        file.write(f"{line}\n")


@task
async def work(number: int, seconds: float) -> None:
    note("started", number)
    await asyncio.sleep(seconds)
    note("ended", number)


@task
def last(number: int) -> None:
    """As long as jobs are added."""
    note("started", number)
    while not LET_GO.exists():
        time.sleep(0.05)
    note("ended", number)


class Load:
    """The two, seen from the test.

    Args:
        folder: where they write.
        url: of their store.
        what: of `works`, `adds`, and `works_deaf`, which is told nothing by others.
        options: further keywords of `Postlude`.
    """

    def __init__(self, folder: Path, url: str, what: Sequence[str] = ("works", "adds"), **options: str) -> None:
        self.folder = folder
        self.url = url
        self.options: dict[str, Any] = options
        self.processes = {each: self.start(each, url) for each in what}

    def start(self, what: str, url: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.stores.load", what, url]
        command += [f"{name}={value}" for name, value in self.options.items()]
        return subprocess.Popen(
            command, cwd=self.folder, env={"PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            process.kill()
            process.communicate()

    def numbers(self, name: str) -> list[int]:
        path = self.folder / name
        return [int(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []

    def await_more(self, name: str, count: int = 20, *, seconds: float = 30.0) -> float:
        """Return when so many more lines are in a file; how many seconds that took."""
        return self.await_lines(name, len(self.numbers(name)) + count, seconds=seconds)

    def await_lines(self, name: str, count: int, *, seconds: float = 30.0) -> float:
        """Return when so many lines are in a file; how many seconds that took."""
        begin = time.monotonic()
        while len(self.numbers(name)) < count:
            assert time.monotonic() < begin + seconds, f"{name}: nothing new after {seconds} s"
            assert all(process.poll() is None for process in self.processes.values()), "a process ended"
        return time.monotonic() - begin

    def finish(self, *, seconds: float = 60.0) -> None:
        """Add no more, and return when all that was acknowledged has ended."""
        self.processes.pop("adds").communicate("\n", timeout=seconds)
        (self.folder / LET_GO).touch()
        until = time.monotonic() + seconds
        while left := set(self.numbers("acknowledged")) - set(self.numbers("ended")):
            assert time.monotonic() < until, f"{len(left)} that were acknowledged have not run: {sorted(left)[:9]}"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """As a server does it."""
    said: asyncio.Queue[Any] = asyncio.Queue()
    heard: asyncio.Queue[Any] = asyncio.Queue()
    running = asyncio.create_task(
        app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, said.get, heard.put)
    )
    await said.put({"type": "lifespan.startup"})
    assert (await heard.get())["type"] == "lifespan.startup.complete"
    yield
    await said.put({"type": "lifespan.shutdown"})
    await running


async def main(what: str, url: str, *options: str) -> None:
    if what == "works_deaf":
        Notifications.listen = lambda *_: None  # type: ignore[method-assign]
    app = FastAPI()
    given: dict[str, Any] = dict(option.split("=", 1) for option in options)
    durable = Postlude(app, url, tasks=["tests.stores.load"], worker="off" if what == "adds" else "embedded", **given)
    reading = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    async with lifespan(app):
        note("up", 1)
        number = -1
        while not reading.done():
            if what != "adds":
                await asyncio.wait({reading})
                break
            number += 1
            try:
                await (durable.enqueue(work, number, 0.05) if number else durable.enqueue(last, number))
            except StoreUnavailable as error:
                note("refused", f"{number}")
                note("reasons", error)
                await asyncio.sleep(0.05)
            else:
                note("acknowledged", number)
                await asyncio.sleep(0.01)


if __name__ == "__main__":
    # By its name, and not as the program that runs: a task is found by that.
    asyncio.run(import_module("tests.stores.load").main(*sys.argv[1:]))
