"""Releases of one application, by `RELEASE`: the second renames a task, the third says what it was called before.

One that is called "both" has the code of the first two, and so can add jobs of both.
"""

import os
from collections.abc import Callable

from fastapi import BackgroundTasks, FastAPI

from postlude import Postlude, task
from tests.scenarios.apps.effects import note

app = FastAPI()
durable = Postlude(app)
RELEASE = os.environ["RELEASE"]
TASKS: dict[str, Callable[[str], None]] = {}


def unchanged(name: str) -> None:
    note("unchanged", name)


TASKS["unchanged"] = unchanged

if RELEASE in {"first", "both"}:

    def send_mail(name: str) -> None:
        note("mailed", name)

    TASKS["send_mail"] = send_mail

if RELEASE in {"second", "both"}:

    def send_message(name: str) -> None:
        note("messaged", name)

    TASKS["send_message"] = send_message

if RELEASE == "third":

    @task(name=f"{__name__}:send_message", formerly=f"{__name__}:send_mail")
    def send_message_as_before(name: str) -> None:
        note("messaged", name)

    TASKS["send_message"] = send_message_as_before


@app.post("/{kind}/{name}")
async def add(kind: str, name: str, background_tasks: BackgroundTasks) -> None:
    background_tasks.add_task(TASKS[kind], name)
