"""Jobs for later, in a process whose machine's clock is wrong by as many seconds as `SKEW` says."""

import os
import time
from functools import partial
from operator import add

real = time.time
time.time = partial(lambda skew: add(real(), skew), float(os.environ["SKEW"]))

from fastapi import FastAPI  # noqa: E402 - after the clock was set

from postlude import Postlude  # noqa: E402
from tests.scenarios.apps.effects import note  # noqa: E402

app = FastAPI()
durable = Postlude(app)


async def ring(name: str, asked_at: float) -> None:
    note("rang", f"{name}:{real() - asked_at}")


@app.post("/ring/{name}")
async def ring_later(name: str, delay: float) -> None:
    await durable.options(delay=delay).enqueue(ring, name, real())
