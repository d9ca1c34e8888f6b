"""Queued jobs as JSON: what a caller's connection carries, whichever library it is of, and what an outbox keeps.

A release reads what the next one wrote, and the other way round: names may be added, and one that is missing means what
it means in a job that was added plainly.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

from postlude.errors import StoreError
from postlude.job import DEFAULT_QUEUE, JobState, Key, NewJob, Terms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def text_of(jobs: Sequence[NewJob], head: Mapping[str, object]) -> str:
    """The one parameter of the statement that adds jobs: what `head` says, and under `jobs` an object for each."""
    return json.dumps({**head, "jobs": [_columns(job) for job in jobs]}, separators=(",", ":"))


def _columns(job: NewJob) -> dict[str, object]:
    """A job by the names of the columns that it has in a store, and what is said with its key."""
    terms, key = job.terms, job.terms.key
    columns: dict[str, object] = {
        "id": str(job.id),
        "task": job.task,
        "arguments": job.arguments,
        "state": job.state.value,
        "created_at": job.created_at,
        "run_at": job.run_at,
        "policy": job.policy,
        "origin": job.origin,
        "chain": None if job.chain is None else str(job.chain),
        "after": None if job.after is None else str(job.after),
        "waiting": job.after is not None,
        "queue": terms.queue,
        "rank": terms.rank,
        "expires_at": terms.expires_at,
        "partition": terms.partition,
    }
    if key is not None:
        columns |= {"key": key.value, "on_conflict": key.on_conflict, "key_until": key.until}
    return columns


def job_of(text: str) -> NewJob:
    """The job that `text_of` wrote.

    Raises:
        StoreError: it is none; somebody else has written it, or changed it.
    """
    try:
        return _job(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # Not the text itself: it has the arguments.
        message = f"expected a job as Postlude writes it, got something else ({type(error).__name__}: {error})"
        raise StoreError(message) from error


def _job(columns: Mapping[str, Any]) -> NewJob:
    key = columns.get("key")
    return NewJob(
        id=UUID(columns["id"]),
        task=columns["task"],
        arguments=columns["arguments"],
        state=JobState(columns["state"]),
        created_at=columns["created_at"],
        run_at=columns["run_at"],
        policy=columns.get("policy"),
        origin=columns.get("origin"),
        chain=_id(columns.get("chain")),
        after=_id(columns.get("after")),
        terms=Terms(
            queue=columns.get("queue", DEFAULT_QUEUE),
            rank=columns.get("rank", 0),
            expires_at=columns.get("expires_at"),
            partition=columns.get("partition"),
            key=None if key is None else Key(key, columns.get("on_conflict", "return"), columns.get("key_until")),
        ),
    )


def _id(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)
