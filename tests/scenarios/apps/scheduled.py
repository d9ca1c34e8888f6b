"""A schedule that comes every second, in as many processes as there are."""

from fastapi import BackgroundTasks, FastAPI

from postlude import Postlude, current_job, schedule, task
from tests.scenarios.apps.effects import note

app = FastAPI()
durable = Postlude(app)


@schedule(every=1, overlap="allow", name="tick")
@task
async def tick() -> None:
    note("ran", current_job().origin["moment"])


@app.post("/")
async def use(background_tasks: BackgroundTasks) -> None:
    """So that a route is covered."""
