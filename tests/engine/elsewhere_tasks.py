"""Tasks that run in other processes: a module of its own, since a child imports it."""

import asyncio
import atexit
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Never

from fastapi import Depends

from postlude import Cancel, Retry, Snooze, cancel_requested, current_job, progress, task
from postlude.context import CurrentJob

logger = logging.getLogger("tests.elsewhere")
never = threading.Event()
seen: list[CurrentJob] = []


class Flaky(Exception):
    """Its constructor takes what no copy of it would know of."""

    def __init__(self, *, code: int) -> None:
        self.code = code
        super().__init__(f"code {code}")


def tell(path: str, text: str) -> None:
    Path(path).write_text(text)


def waits_for(_: int, error: BaseException) -> float | None:
    return 7.0 if getattr(error, "code", None) == 7 else None


@task(executor="process")
def writes(path: str, text: str) -> None:
    Path(path).write_text(f"{text} {os.getpid()} {os.getppid()}")


@task(executor="process")
async def writes_async(path: str) -> None:
    await asyncio.sleep(0)
    tell(path, str(os.getpid()))


@task(executor="process")
def tells_which_threads_are_left(path: str) -> None:
    atexit.register(lambda: tell(path, " ".join(each.name for each in threading.enumerate())))


@task(executor="process")
def leaves_a_thread(path: str) -> None:
    threading.Thread(target=never.wait).start()
    tell(path, str(os.getpid()))


@task(name="niceness", executor="process")
def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


@task(executor="gentle")
def niceness_of_its_own(path: str) -> int:
    if path:
        dies_or_waits(path)
    return niceness()


def dies_or_waits(path: str) -> None:
    tell(path, str(os.getpid()))
    never.wait()


@task(executor="process", retries=1, backoff=60, retry_on=Flaky)
def raises(kind: str) -> Never:
    if kind == "flaky":
        raise Flaky(code=1)
    message = "not to be retried"
    raise ValueError(message)


@task(executor="process", retries=3, backoff=waits_for)
def raises_code(code: int) -> Never:
    raise Flaky(code=code)


@task(executor="process")
def asks(what: str) -> Never:
    if what == "snooze":
        raise Snooze(30)
    if what == "retry":
        message = "not yet"
        raise Retry(message, after=20)
    message = "no need"
    raise Cancel(message)


@task(executor="process")
def exits(code: int) -> None:
    sys.exit(code)


@task(executor="process")
def dies(how: str) -> None:
    if how == "exit":
        os._exit(3)
    if how == "segfault":
        ctypes.string_at(0)
    os.kill(os.getpid(), signal.SIGKILL)


@task(executor="process", interrupted="hold")
def dies_held() -> None:
    os._exit(3)


@task(executor="process", timeout=5)
def stuck(path: str) -> None:
    """Writes the number of its process, and of one that it has started."""
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    temporary = Path(path + ".new")
    temporary.write_text(f"{os.getpid()} {started.pid}")
    temporary.rename(path)
    never.wait(60)


@task(executor="process")
def waits_for_gate(gate: str, begun: str) -> None:
    Path(begun).touch()
    while not Path(gate).exists():
        time.sleep(0.01)


@task(executor="process")
def works_hard(times: int) -> None:
    for done in range(times):
        progress(done, times, "hard")
    progress(times, times, "done")


@task(executor="process")
def tells(path: str) -> None:
    job = current_job()
    Path(path).write_text(f"{job.id} {job.attempt} {cancel_requested()} {job.origin}")


@task(executor="process")
def logs(word: str) -> None:
    logger.debug("quiet %s", word)
    try:
        raises("flaky")
    except Flaky:
        logger.exception("loud %s", word, extra={"shade": "blue"})


def session() -> Iterator[str]:
    progress(1)
    yield "a session"
    progress(2, note="closed")


def other_session() -> str:
    return "another"


Session = Annotated[str, Depends(session)]


@task(executor="process")
def depends(path: str, db: Session) -> None:
    Path(path).write_text(db)


@task(executor="process")
async def depends_async(path: str, db: Session) -> None:
    tell(path, db)


@task(executor="process")
def leaves_a_note(path: str) -> None:
    atexit.register(lambda: Path(path).write_text("ended"))


@task(executor="process")
def forks(path: str) -> None:
    """Dies while what it has forked goes on, with all its descriptors."""
    number = os.fork()
    if not number:
        os.setpgid(0, 0)
        time.sleep(30)
        os._exit(0)
    Path(path).write_text(str(number))
    os._exit(4)


@task(executor="pool", timeout=5)
def outlives_its_timeout() -> None:
    seen.append(current_job())
    never.wait(60)


@task(executor="pool")
def in_pool(path: str) -> None:
    seen.append(current_job())
    progress(1, 2, "in the pool")
    Path(path).write_text(f"{os.getpid()} {cancel_requested()}")


@task(executor="pool")
async def in_pool_async(path: str, db: Session) -> None:
    await asyncio.sleep(0)
    tell(path, f"{os.getpid()} {db}")


@task(executor="pool", retries=1, backoff=60, retry_on=Flaky)
def raises_in_pool() -> Never:
    raise Flaky(code=1)


@task(executor="pool")
def dies_in_pool() -> None:
    os._exit(5)


@task(executor="pool", timeout=5)
def waits_in_pool(gate: str, begun: str) -> None:
    waits_for_gate(gate, begun)


@task(executor="poll")
def misspelt() -> None: ...


tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


@task(executor="process", retries=1, backoff=60)
def saves() -> dict[str, int]:
    before = current_job().saved or {"page": 0}
    current_job().blocking.save({"page": before["page"] + 1})
    if before["page"] == 0:
        raise Flaky(code=1)
    return dict(before)


@task(executor="process")
async def saves_async(path: str) -> str:
    await current_job().save([1, 2])
    tell(path, "saved")
    await asyncio.Event().wait()
    return "never"


@task(executor="process")
def names_tenant() -> str:
    return tenant.get()


@task(executor="process")
def sees_request() -> dict[str, str]:
    return _request()


@task(executor="pool")
def sees_request_in_pool() -> dict[str, str]:
    return _request()


def _request() -> dict[str, str]:
    job = current_job()
    own = {"pid": str(os.getpid()), "tenant": tenant.get(), "request": job.request_id}
    return own | {str(name): str(value) for name, value in job.origin.items()}


@task(executor="pool")
def saves_in_pool() -> None:
    current_job().blocking.save(1)
