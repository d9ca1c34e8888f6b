"""Tasks that say how far they are, and callers who may ask."""

from fastapi import FastAPI, Response

from postlude import BackgroundTasks, Postlude, accepted, progress, task
from tests.scenarios.apps.effects import note, pass_gate, pass_gate_async

app = FastAPI()
durable = Postlude(app)


async def everybody() -> bool:
    return True


app.include_router(durable.router(authorize=everybody))


async def on_loop(name: str) -> dict[str, str]:
    progress(1, 3, "one of three")
    note("started", name)
    try:
        await pass_gate_async(name)
    except BaseException as error:
        note(type(error).__name__, name)
        raise
    return {"name": name}


@task(executor="process")
def in_process(name: str) -> None:
    note("started", name)
    pass_gate(name)
    note("ended", name)


@app.post("/add/{kind}/{name}")
async def add(kind: str, name: str, tasks: BackgroundTasks) -> Response:
    if kind == "later":
        return accepted(tasks.options(delay=3600).add_task(on_loop, name))
    return accepted(tasks.add_task(on_loop if kind == "on_loop" else in_process, name))
