"""An application for the commands: made anew by each that asks for it, in the environment of that moment."""

import logging
from datetime import date

from fastapi import BackgroundTasks, FastAPI
from pydantic import BaseModel

from postlude import Postlude, progress, task

print("imported")  # what a module prints must not get into an answer


class Order(BaseModel):
    id: int
    note: str = ""


@task(name="shop.send", retries=3, queue="mail")
def send(to: str, count: int = 1, *, urgent: bool = False, when: date | None = None, password: str = "") -> str:
    """Send a mail."""
    logging.getLogger("shop").warning("sending to %s", to)
    progress(1, 2, "half of it")
    return f"{count} to {to}"


@task(name="shop.report")
async def report(
    order: Order, tags: list[str] | None = None, numbers: tuple[int, ...] = (), wait: int = 0
) -> list[int]:
    return [order.id, wait, *numbers]


@task(name="shop.paint", max_running=2)
def paint() -> None:
    message = "no such \x1b[31mcolour"
    raise ValueError(message)


def plain_words(a, /, *rest: int, **more: float) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - that is the case
    ...


def create_app() -> FastAPI:
    app = FastAPI()
    Postlude(app)

    @app.post("/")
    def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(plain_words, 1)

    return app
