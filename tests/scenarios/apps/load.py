"""Short tasks of both kinds, for many requests at once."""

from fastapi import BackgroundTasks, FastAPI

from postlude import Postlude
from tests.scenarios.apps.effects import note

app = FastAPI()
durable = Postlude(app)


def in_thread(name: str) -> None:
    note("ended", name)


async def on_loop(name: str) -> None:
    note("ended", name)


@app.post("/{name}")
async def add(name: str, background_tasks: BackgroundTasks) -> str:
    background_tasks.add_task(on_loop if int(name) % 2 else in_thread, name)
    return name
