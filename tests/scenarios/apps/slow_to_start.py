"""An application that takes as long to start, and to end, as the test wants, or does not start at all."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from postlude import Postlude
from tests.scenarios.apps.effects import pass_gate_async


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    if "BROKEN" in os.environ:
        message = "the database is not there"
        raise RuntimeError(message)
    await pass_gate_async("start")
    yield
    await pass_gate_async("end")


app = FastAPI(lifespan=lifespan)
durable = Postlude(app, "sqlite:///jobs.db")
