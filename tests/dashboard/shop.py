"""An application with a dashboard, whose tasks wait until a test lets them go on."""

import asyncio
import logging

from fastapi import BackgroundTasks, FastAPI
from pydantic import SecretStr

from postlude import Postlude, progress, schedule, task

HOSTILE = (
    """<script>document.title = "owned"</script><img src="x" onerror="document.title = 'owned'">'"{{ 7 * 7 }}</td>"""
)

app = FastAPI()
durable = Postlude(app, mask=["customer_number"])
dashboard = durable.dashboard()
app.mount("/postlude", dashboard)
log = logging.getLogger("shop")

let_go = asyncio.Event()
mended: set[int] = set()


@task(name="shop:count")
async def count(steps: int) -> int:
    """Say how far it has come, and wait there."""
    progress(1, steps, "first step")
    await let_go.wait()
    progress(steps, steps, "last step")
    return steps


@task(name="shop:pay")
def pay(order: int, *, card: str, customer_number: str, api_key: str) -> dict[str, str]:
    """Take the money for an order."""
    log.warning("order %s: asking the provider", order)
    if order not in mended:
        message = f"the provider refused order {order}"
        raise ConnectionError(message)
    return {"receipt": f"R-{order}", "token": "tok-secret-4711"}


@task(name="shop:mail", queue="mail", retries=5)
def mail(to: str, subject: str = "Hello") -> None:
    """Send a mail."""
    raise TimeoutError(to, subject)


@task(name="shop:hostile")
def hostile(text: str, options: dict[str, str]) -> None:
    """Fail with <b>markup</b> in everything."""
    log.error(text)
    raise ValueError(text)


@task(name="shop:echo")
def echo(text: str) -> str:
    return text


@task(name="shop:hide")
def hide(secret: SecretStr) -> None:
    assert secret


@schedule("0 9 * * mon-fri", timezone="Europe/Berlin", name="shop morning")
@task(name="shop:report", max_running=1, rate="10/min")
async def report() -> None:
    """Write the report of the day."""


@app.post("/count")
async def start_counting(tasks: BackgroundTasks) -> None:
    tasks.add_task(count, 4)


@app.post("/let-go")
async def let_it_go() -> None:
    let_go.set()


@app.post("/pay/{order}")
async def pay_order(order: int, tasks: BackgroundTasks) -> None:
    tasks.add_task(pay, order, card="4111-1111", customer_number="CN-77", api_key="key-123")
    tasks.add_task(echo, "behind the payment")


@app.post("/mend/{order}")
async def mend(order: int) -> None:
    mended.add(order)


@app.post("/mails/{number}")
async def send_mails(number: int) -> None:
    await durable.options(delay=3600).enqueue_many(mail, [(f"user-{n}@example.com",) for n in range(number)])


@app.post("/hostile")
async def be_hostile(tasks: BackgroundTasks) -> None:
    await durable.options(key=HOSTILE[:200]).enqueue(hostile, HOSTILE, {HOSTILE: HOSTILE})
    await durable.enqueue(echo, HOSTILE)
    await durable.jobs.pause(task=mail, reason=HOSTILE)


@app.get("/link")
async def link(role: str = "act") -> str:
    if role == "view":
        return await dashboard.site.tokens.new_link(role="view", who="vera")
    return await dashboard.site.tokens.new_link(who="ada")
