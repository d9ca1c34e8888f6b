"""What the tools are tried on."""

import asyncio
import threading
from typing import Any

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel

from postlude import BackgroundTasks, Postlude, Snooze, task

app = FastAPI()
durable = Postlude(app)

ran: list[object] = []
fail_times = 0
let_go = threading.Event()


class Order(BaseModel):
    number: int
    items: list[str] = []


def send(to: str, subject: str = "hello", *, copies: int = 1) -> None:
    ran.append(("send", to))


async def ship(order: Order) -> None:
    ran.append(("ship", order.number))


def connect() -> str:
    return "connection"


async def charge(order: int, connection: str = Depends(connect)) -> None:
    ran.append(("charge", order, connection))


@task(retries=2, backoff=[10, 60])
async def flaky(number: int) -> None:
    global fail_times  # noqa: PLW0603
    ran.append(("try", number))
    if fail_times:
        fail_times -= 1
        raise ConnectionError("down")


def fail(why: str) -> None:
    raise ValueError(why)


async def poll() -> None:
    raise Snooze(60)


async def hang() -> None:
    ran.append("hangs")
    try:
        await asyncio.Event().wait()
    finally:
        ran.append("ended")


def hang_in_thread() -> None:
    let_go.wait(30)


async def enqueue_next(left: int) -> None:
    ran.append(left)
    if left:
        await durable.enqueue(enqueue_next, left - 1)


async def wait_for_another() -> None:
    job: Any = await durable.enqueue(send, "inner")
    await job.wait(timeout=5)
    ran.append("outer")


@app.post("/send/{to}")
async def post_send(to: str, tasks: BackgroundTasks) -> str:
    job = tasks.add_task(send, to, copies=2)
    tasks.options(delay=3600).add_task(send, f"later {to}")
    return str(job.id)


@app.post("/ship/{number}")
def post_ship(number: int, tasks: BackgroundTasks) -> None:
    tasks.add_task(ship, Order(number=number, items=["book"]))


@app.post("/charge/{number}")
def post_charge(number: int, tasks: BackgroundTasks) -> None:
    tasks.add_task(charge, number)


@app.post("/flaky/{number}")
def post_flaky(number: int, tasks: BackgroundTasks) -> None:
    tasks.add_task(flaky, number)


@app.post("/in-order")
def post_in_order(tasks: BackgroundTasks) -> None:
    tasks.add_task(flaky, 1)
    tasks.add_task(send, "after it")


@app.post("/lambda")
def post_lambda(tasks: BackgroundTasks) -> None:
    tasks.add_task(lambda: ran.append("lambda"))


@app.post("/fail/{times}")
def post_fail(times: int, tasks: BackgroundTasks) -> None:
    for number in range(times):
        tasks.options(ordered=False).add_task(fail, f"failure {number}")


@app.post("/fail-ephemeral")
def post_fail_ephemeral(tasks: BackgroundTasks) -> None:
    tasks.add_task(lambda: fail("not stored"))


@app.post("/refused")
def post_refused(tasks: BackgroundTasks) -> None:
    tasks.add_task(send, "nobody")
    tasks.options(if_raised="only").add_task(send, "the auditor")
    raise HTTPException(409, "sold out")


@app.post("/enqueue/{to}")
async def post_enqueue(to: str) -> str:
    return str((await durable.options(retries=3).enqueue(send, to)).id)
