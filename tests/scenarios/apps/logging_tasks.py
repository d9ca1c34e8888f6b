"""A task that logs and saves, says so, and goes on until the test lets it end."""

import logging

from fastapi import BackgroundTasks, FastAPI

from postlude import Postlude, current_job
from tests.scenarios.apps.effects import note, pass_gate

logging.basicConfig(level=logging.INFO)
logger = logging.getLogger("shop")

app = FastAPI()
durable = Postlude(app)


def works(name: str) -> None:
    job = current_job()
    logger.info("begins with %s", job.saved)
    job.blocking.save({"attempt": job.attempt})
    note("saved", name)
    pass_gate(name)
    logger.info("ends")
    note("ended", name)


@app.post("/work/{name}")
def endpoint(name: str, background_tasks: BackgroundTasks) -> None:
    background_tasks.add_task(works, name)
