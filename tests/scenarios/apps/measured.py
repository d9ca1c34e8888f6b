"""A task, and what Prometheus scrapes of it."""

from fastapi import BackgroundTasks, FastAPI

from postlude import Postlude, task

app = FastAPI()
durable = Postlude(app)
app.mount("/metrics", durable.metrics())


@task(name="send")
async def send(to: str) -> None: ...


@app.post("/send/{to}")
async def endpoint(to: str, background_tasks: BackgroundTasks) -> None:
    background_tasks.add_task(send, to)
