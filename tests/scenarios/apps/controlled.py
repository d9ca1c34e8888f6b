"""Jobs that clients follow, cancel, pause and resume, through whichever process of the application they reach."""

import asyncio
from typing import Any, NamedTuple

from fastapi import FastAPI, HTTPException

from postlude import BackgroundTasks, Cancel, Postlude, cancel_requested, progress, task
from postlude.errors import JobNotFound
from tests.scenarios.apps.effects import LOOK_EVERY, block, note, pass_gate, pass_gate_async

app = FastAPI()
durable = Postlude(app)


class Report(NamedTuple):
    pages: int
    path: str


def report(name: str) -> Report:
    progress(1, 3, f"writing {name}")
    pass_gate(name)
    progress(3, 3, "written")
    return Report(3, f"{name}.pdf")


def in_thread(name: str) -> None:
    note("started", name)
    pass_gate(name)
    note("ended", name)


def looks(name: str) -> None:
    await_cancellation(name)
    raise Cancel


def goes_on(name: str) -> None:
    await_cancellation(name)
    note("ended", name)


def await_cancellation(name: str) -> None:
    note("started", name)
    while not cancel_requested():
        block(LOOK_EVERY)
    note("noticed", name)


async def on_loop(name: str) -> None:
    note("started", name)
    try:
        await pass_gate_async(name)
    except asyncio.CancelledError:
        note("CancelledError", name)
        raise
    note("ended", name)


@task(executor="process")
def in_process(name: str) -> None:
    note("started", name)
    pass_gate(name)
    note("ended", name)


@task(queue="mail")
def send(name: str) -> None:
    note("ended", name)


def free(name: str) -> None:
    note("ended", name)


FUNCTIONS = (report, in_thread, looks, goes_on, on_loop, in_process, send, free)
TASKS: dict[str, Any] = {each.__name__: each for each in FUNCTIONS}


@app.post("/add/{kind}/{name}")
async def add(kind: str, name: str, tasks: BackgroundTasks) -> str:
    return str(tasks.add_task(TASKS[kind], name).id)


@app.get("/jobs/{job_id}")
async def show(job_id: str) -> dict[str, Any]:
    try:
        job = await durable.jobs.get(job_id)
    except JobNotFound as error:
        raise HTTPException(404, str(error)) from error
    result = job.result if job.state == "succeeded" else None
    return {"state": job.state, "progress": job.progress, "result": result}


@app.post("/jobs/{job_id}/cancel")
async def cancel(job_id: str) -> str:
    return (await durable.jobs.cancel(job_id, reason="asked by a client")).state


@app.post("/pause")
async def pause() -> None:
    await durable.jobs.pause(task=send)


@app.post("/resume")
async def resume() -> None:
    await durable.jobs.resume(task=send)
