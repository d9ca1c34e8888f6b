"""The mail service, which kills itself as hard as a process can be ended, at the points that `DIES` asks for."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from email.message import EmailMessage

from notifications.main import app, durable
from notifications.sending import Answers, Sender, sender
from postlude.events import AttemptFailed, Event
from postlude.job import JobState, Settlement
from postlude.stores.sqlite import SQLiteStore

DIES = os.environ["DIES"]
there: list[str] = []
"""Who has come to a point at which the process is to die."""


async def die(who: str, *, of: int) -> None:
    """Die when so many are there; the others wait for that."""
    there.append(who)
    if len(there) == of:
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.Event().wait()


class Dying:
    """Comes, with each mail, to the point that its recipient is called after."""

    def __init__(self, inner: Sender) -> None:
        self._inner = inner

    async def send(
        self,
        message: EmailMessage,
        recipients: Sequence[str],
        *,
        key: str,
        before_data: Callable[[], Awaitable[None]],
    ) -> Answers:
        point = recipients[0].partition("@")[0]

        async def marking() -> None:
            if point == "unmarked":
                await die(point, of=3)
            await before_data()
            if point == "marked":
                await die(point, of=3)

        if DIES == "holding":
            await asyncio.Event().wait()  # this life is about those that are not sent
        answers = await self._inner.send(message, recipients, key=key, before_data=marking)
        await die(point, of=3)
        return answers

    async def close(self) -> None:
        await self._inner.close()


def hear(event: Event) -> None:
    if isinstance(event, AttemptFailed):
        there.append(event.task)
        if len(there) == 2:
            os.kill(os.getpid(), signal.SIGKILL)


settle = SQLiteStore.settle


async def never_failed(store: SQLiteStore, settlements: Sequence[Settlement]) -> frozenset[object]:
    if any(each.state is JobState.FAILED for each in settlements):
        await asyncio.Event().wait()
    return await settle(store, settlements)


if DIES:
    app.dependency_overrides[sender] = lambda: Dying(sender())
if DIES == "holding":
    durable.on_event(hear)
    SQLiteStore.settle = never_failed  # type: ignore[method-assign, assignment]
