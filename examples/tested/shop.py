"""A shop that works after it has answered: a confirmation, a webhook that is tried again, a reminder; and at night."""

from datetime import timedelta

from fastapi import FastAPI, HTTPException

from postlude import BackgroundTasks, Postlude, current_job, schedule, task

app = FastAPI()
durable = Postlude(app)

outbox: list[tuple[str, str]] = []
"""In place of a mail server: who was written to, and what."""


def send_mail(to: str, text: str) -> None:
    if "@" not in to:
        message = f"{to!r} is no address"
        raise ValueError(message)
    outbox.append((to, text))


class Warehouse:
    """In place of another company's service, which is not always there."""

    def __init__(self) -> None:
        self.told: list[int] = []
        self.down_for = 0

    async def tell(self, order: int) -> None:
        if self.down_for:
            self.down_for -= 1
            message = "the warehouse does not answer"
            raise ConnectionError(message)
        self.told.append(order)


warehouse = Warehouse()


@task(retries=3, backoff=[10, 60, 600])
async def tell_warehouse(order: int) -> None:
    await warehouse.tell(order)


def remind(to: str) -> None:
    send_mail(to, "How do you like what you bought?")


nights: list[str] = []
"""In place of a report: for which moments the warehouse was counted."""


@schedule("30 2 * * *")
@task(retries=3)
async def count_stock() -> None:
    nights.append(current_job().origin["moment"])


@app.post("/orders/{order}")
async def create_order(order: int, email: str, tasks: BackgroundTasks) -> dict[str, str]:
    if order <= 0:
        raise HTTPException(422, "orders count from 1")
    independent = tasks.options(ordered=False)
    job = independent.add_task(send_mail, email, f"Thank you for order {order}")
    independent.add_task(tell_warehouse, order)
    independent.options(delay=timedelta(days=14)).add_task(remind, email)
    return {"job": str(job.id)}
