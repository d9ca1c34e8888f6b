"""The shop of the pictures: an application whose tasks do nothing, and a morning's worth of their jobs."""
# ruff: noqa: ARG001, S311 - so they take what they do not use, and what they did was thrown by dice

import asyncio
import logging
import random
import time
from typing import Any

from fastapi import BackgroundTasks, FastAPI

from postlude import Postlude, progress, schedule, task
from postlude.dashboard import Visitor
from postlude.statistics import Minute

log = logging.getLogger("shop.mail")
random.seed(11)

app = FastAPI()
durable = Postlude(app, concurrency=20)
app.mount("/closed/postlude", durable.dashboard())
app.mount("/postlude", durable.dashboard(authorize=lambda: Visitor("ada@shop.example", "act")))


@task(name="shop.mail:send_receipt", queue="mail", retries=2, backoff=0.2, timeout=30, max_running=10, rate="100/min")
async def send_receipt(order: dict[str, Any], *, email: str, api_key: str) -> dict[str, str]:
    """Send the receipt of an order to who has paid it."""
    log.info("order %s: connecting to smtp.example:587", order["id"])
    if order["id"] % 9 == 0:
        log.warning("order %s: slow greeting, 3.2 s", order["id"])
        message = "Connection unexpectedly closed: timed out"
        raise ConnectionError(message)
    log.info("order %s: accepted for delivery", order["id"])
    return {"message_id": f"<{order['id']}@shop.example>"}


@task(name="shop.payments:capture")
async def capture(order: int) -> None:
    """Take the money for an order."""


@task(name="shop.crm:sync_customer", max_running=2, partition_by=lambda tenant: tenant)
async def sync_customer(tenant: str, customer: int) -> None:
    """Tell the CRM of a customer."""
    progress(3, 8, "addresses")
    await asyncio.Event().wait()


@task(name="shop.images:make_thumbnails", queue="images")
async def make_thumbnails(product: int, sizes: list[int]) -> None:
    """Make the small pictures of a product."""
    progress(random.randint(20, 90), 120, "resizing")
    await asyncio.Event().wait()


@schedule("0 9 * * mon-fri", timezone="Europe/Berlin", name="revenue of the day")
@task(name="shop.reports:revenue", queue="reports", retries=True)
async def revenue() -> None:
    """Add up what was sold."""


@schedule(every=900, name="prices")
@task(name="shop.prices:fetch")
async def fetch_prices() -> None:
    """Fetch the prices of the suppliers."""


@app.post("/orders/{order}/pay")
async def pay(order: int, tasks: BackgroundTasks) -> None:
    lines = [{"sku": "PL-001", "quantity": 2, "price": "19.90"}, {"sku": "PL-007", "quantity": 1, "price": "4.50"}]
    tasks.add_task(capture, order)
    whole = {"id": order, "lines": lines, "paid": True, "coupon": None}
    tasks.add_task(send_receipt, whole, email="grace@example.com", api_key="key-4711")
    tasks.add_task(revenue)


@app.post("/morning")
async def morning() -> None:
    """What else there is on such a day."""
    await durable.enqueue_many(make_thumbnails, [(n, [64, 256, 1024]) for n in (4711, 4712, 4713)])
    await durable.enqueue_many(sync_customer, [("acme", n) for n in range(14)])
    await durable.options(delay=3600).enqueue_many(revenue, [()] * 3)
    await durable.jobs.pause(queue="reports", reason="database maintenance until 14:00")
    store = await durable._runtime.store()
    await store.seeing.add_statistics(_history(time.time()), now=time.time())


def _history(now: float) -> list[Minute]:
    """The counts of the last day, as a shop has them: more by day, and trouble with the mail half an hour ago."""
    minutes = []
    for ago in range(1, 24 * 60):
        busy = 30 + 25 * random.random() + 20 * ((1440 - ago) / 1440)
        trouble = 22 < ago < 31
        done, failed = int(busy), int(busy / 5) if trouble else int(random.random() < 0.06)
        counts = {
            "succeeded": done - failed,
            "failed": failed,
            "start:1": done // 2,
            "start:3": done // 3,
            f"start:{8 if trouble else 5}": done // 6,
            "run:4": done // 2,
            "run:7": done // 2,
        }
        moment = int(now // 60 - ago) * 60
        minutes.append(Minute(moment, "shop.mail:send_receipt", counts))
    return minutes
