"""A worker's process from inside: what it does before there is anything to see of it from outside."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
        message = "the pool does not close"
        raise RuntimeError(message)

    caplog.set_level(logging.INFO, "postlude")
    told = program(tmp_path, FastAPI(lifespan=ends_badly))
    serving = asyncio.create_task(told.serve())
    await until(lambda: told._health.report().state == "running")
    told.stop()
    told.stop()
    assert await serving == FAILED
    assert "main:app could not be run" in caplog.text
    assert "the pool does not close" in caplog.text
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
