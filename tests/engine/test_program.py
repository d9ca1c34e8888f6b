"""A worker's process from inside: what it does before there is anything to see of it from outside."""

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from fastapi import FastAPI

from postlude import Postlude
from postlude.standalone.finding import Found
from postlude.standalone.lifespan import Lifespan, LifespanFailed
from postlude.standalone.program import FAILED, STOPPED, Program
from tests.engine.fakes import until


def program(tmp_path: Path, app: FastAPI) -> Program:
    durable = Postlude(app, f"sqlite:///{tmp_path}/jobs.db", shutdown_grace=0)
    return Program(Found(app, durable._runtime, "main:app"))


async def test_one_that_was_told_to_end_before_it_ran_does_not_start(tmp_path: Path) -> None:
    @asynccontextmanager
    async def never_starts(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield

    told = program(tmp_path, FastAPI(lifespan=never_starts))
    told.stop()
    assert await told.serve() == STOPPED


async def test_what_the_application_raises_at_its_end_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    @asynccontextmanager
    async def ends_badly(_: FastAPI) -> AsyncIterator[None]:
        yield
        message = "the pool does not close: postgresql://anna:hunter2@db"
        raise RuntimeError(message)

    caplog.set_level(logging.INFO, "postlude")
    told = program(tmp_path, FastAPI(lifespan=ends_badly))
    serving = asyncio.create_task(told.serve())
    await until(lambda: told._health.report().state == "running")
    told.stop()
    told.stop()
    assert await serving == FAILED
    assert "main:app could not be run" in caplog.text
    assert "the pool does not close: postgresql://anna:[masked]@db" in caplog.text
    assert "hunter2" not in caplog.text
    assert caplog.text.count("told to end") == 1


async def test_an_application_that_ends_its_lifespan_without_a_word_has_not_started() -> None:
    async def says_nothing(*_: object) -> None:
        pass

    with pytest.raises(LifespanFailed, match="without having completed its startup"):
        await Lifespan(says_nothing).start()


async def test_a_lifespan_that_was_not_started_ends_at_once() -> None:
    lifespan = Lifespan(FastAPI())
    await lifespan.stop()
    await lifespan.give_up()


ENDING = """
import threading
from postlude.standalone import program

program.EXIT_WITHIN = program.FLUSH_WITHIN = 0.1
print("said", end="")
program.end_soon(7)
threading.Event().wait()
"""


@pytest.mark.parametrize("full", [True, False])
def test_a_process_ends_where_nobody_reads_what_it_prints(full: bool) -> None:
    read, write = os.pipe()
    if full:
        os.set_blocking(write, False)
        with suppress(BlockingIOError):
            while True:
                os.write(write, b"x" * 4096)
        os.set_blocking(write, True)
    else:
        os.close(read)
    command, env = [sys.executable, "-c", ENDING], os.environ | {"PYTHONUNBUFFERED": ""}
    try:
        done = subprocess.run(command, stdout=write, stderr=subprocess.DEVNULL, env=env, timeout=20, check=False)
    finally:
        os.close(write)
        if full:
            os.close(read)
    assert done.returncode == 7
