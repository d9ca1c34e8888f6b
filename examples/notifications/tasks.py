"""The work after the request: wait for the recipient's turn, send the mail, write down that it is on its way."""

import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from fastapi import Depends
from pydantic import BaseModel

from notifications.messages import Mail, compose
from notifications.sending import Answers, Sender, sender
from notifications.settings import settings
from postlude import Jobs, RetryPolicy, current_job, task
from postlude.errors import StoreUnavailable
from postlude.retries import Exponential

logger = logging.getLogger(__name__)

ONCE = timedelta(days=31)
"""For so long a mail keeps others of its template, recipient and period from being sent."""


class NotYet(Exception):
    """The other side cannot take it now, in its own words."""


class Refused(Exception):
    """No recipient will ever get it, in the words of the other side."""


class PerhapsSent(Exception):
    """Nobody knows whether the server has taken it, and it is not to be sent twice without a person's word."""


TWO_DAYS = RetryPolicy(
    retries=20,
    backoff=Exponential(first=60, factor=2, most=4 * 3600),
    retry_on=(NotYet, OSError, StoreUnavailable),  # a full disk and a database that is away are nobody's refusal
)
"""1, 2, 4, … minutes, then every four hours: as long as mail servers try themselves, about."""


class Progress(BaseModel):
    """What is known of a mail that is under way; saved for the next attempt."""

    accepted: dict[str, str] = {}
    refused: dict[str, str] = {}
    in_data: int = 0
    """The attempt that has begun DATA, as long as it is not known what the server made of it; 0: none."""

    def after(self, attempt: int, answers: Answers) -> "Progress":
        return Progress(
            accepted=self.accepted | {to: words for to, (said, words) in answers.items() if said == "accepted"},
            refused=self.refused | {to: words for to, (said, words) in answers.items() if said == "refused"},
            in_data=attempt if any(said == "unknown" for said, _ in answers.values()) else 0,
        )


class Delivery(BaseModel):
    """What has become of a mail, for each recipient in the words of the server that took or refused it."""

    message_id: str
    accepted: dict[str, str]
    refused: dict[str, str]


def once(mail: Mail) -> str | None:
    return None if mail.period is None else f"{mail.template} {mail.to} {mail.period}"


@task(name="notifications.take_turn", queue="mail", rate=settings().mail_recipient_rate, partition_by=lambda to: to)
async def take_turn(to: str) -> None:
    """Wait until `to` may have one more mail: a task has one partition, so the second limit is a task in front."""


@task(
    name="notifications.send_mail",
    queue="mail",
    retries=TWO_DAYS,
    rate=settings().mail_domain_rate,
    partition_by=lambda mail: mail.to.rpartition("@")[2],
    key=once,
    key_period=ONCE,
)
async def send_mail(mail: Mail, by: Sender = Depends(sender), jobs: Jobs = Depends()) -> Delivery:
    """Send it to those who have not got it yet. May run twice: see the README."""
    job = current_job()
    known = Progress.model_validate(job.saved or {})
    if known.in_data:
        if settings().mail_interrupted == "hold" and not await _was_decided(jobs, job.id, since=known.in_data):
            advice = f"the server may have it: look for Message-ID {job.id} there, and retry the job if it has not"
            raise PerhapsSent(advice)
        logger.warning("sent once more: the server may have it already, under the same Message-ID")

    async def before_data() -> None:
        await job.save(known.model_copy(update={"in_data": job.attempt}).model_dump())

    message = compose(mail, job.id)
    missing = [each for each in mail.recipients if each not in known.accepted | known.refused]
    answers = await by.send(message, missing, key=str(job.id), before_data=before_data)
    known = known.after(job.attempt, answers)
    if later := [f"{to}: {words}" for to, (said, words) in answers.items() if said in {"later", "unknown"}]:
        await job.save(known.model_dump())
        raise NotYet("; ".join(later))
    if not known.accepted:
        raise Refused("; ".join(f"{to}: {words}" for to, words in known.refused.items()))
    for to, words in known.refused.items():
        logger.warning("refused for %s: %s", to, words)
    return Delivery(message_id=message["Message-ID"], accepted=known.accepted, refused=known.refused)


async def _was_decided(jobs: Jobs, mail: UUID, *, since: int) -> bool:
    """Whether a person has decided that it is sent, since that attempt.

    Only a retry by hand comes after a `PerhapsSent`, and the history has that from the very commit of the failure. A
    mark of our own would be on disk before it, and a process that dies in between would be taken for a decision.
    """
    held = f"{PerhapsSent.__module__}.{PerhapsSent.__qualname__}"
    return any(each.number >= since and each.failure and each.failure.type == held for each in await jobs.history(mail))


@task(name="notifications.acknowledge", queue="mail", retries=True, key=lambda key: key, key_period=ONCE)
def acknowledge(job_id: UUID, to: str, template: str, key: str) -> None:  # noqa: ARG001 - the key is the job's
    """Append one line for the mail: one, however often this runs, since a repeat looks for it first.

    Args:
        job_id: of the mail.
        to: its recipient.
        template: what was sent.
        key: the same for calls of which only one is to be written down.
    """
    job = current_job()
    path = Path("acknowledged.txt")
    path.touch()
    if job.saved is None:
        job.blocking.save(path.stat().st_size)
    else:  # an attempt before this one had come so far: its line is behind this place, or nowhere
        with path.open("rb") as file:
            file.seek(job.saved)
            if str(job_id).encode() in file.read():
                return
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {job_id} {to} {template}\n")
        file.flush()
        os.fsync(file.fileno())
