"""What an attempt in another process came to, as plain data: exceptions stay where they were raised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from postlude.control import Retry
from postlude.errors import RaisedElsewhere
from postlude.job import Cancelled, Failed, Failure, Interrupted, Snoozed, Succeeded
from postlude.retries import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from postlude.job import Outcome


def packed(outcome: Outcome, declared: RetryPolicy | None, number: int) -> dict[str, Any]:
    """The outcome, judged where the exception is.

    Args:
        outcome: what the attempt came to, in this process.
        declared: what its task says of retries; None: nothing.
        number: of the coming retry, for a backoff that is a function.
    """
    match outcome:
        case Succeeded(result):
            return {"outcome": "succeeded", "result": result}
        case Snoozed(after):
            return {"outcome": "snoozed", "after": after}
        case Cancelled(reason):
            return {"outcome": "cancelled", "reason": reason}
        case Interrupted(reason):
            return {"outcome": "interrupted", "reason": reason}
        case Failed(failure, error):
            return {"outcome": "failed", "failure": failure, **_judged(error, declared, number)}
        case _:
            assert_never(outcome)


def _judged(error: BaseException | None, declared: RetryPolicy | None, number: int) -> dict[str, Any]:
    if error is None:
        return {}
    if isinstance(error, Retry):
        return {"asks": {"reason": error.reason, "after": error.after}}
    policy = declared or RetryPolicy()
    if not policy.retries_after(error):
        return {"retried": False}
    if not callable(policy.backoff):
        return {"retried": True}
    try:
        return {"retried": True, "wait": policy.asked(number, error)}
    except Exception as broken:  # noqa: BLE001 - a function of the user's: raised again where it is decided
        return {"retried": True, "broken": repr(broken)}


def outcome_of(data: Mapping[str, Any]) -> Outcome:  # noqa: PLR0911 - a table: one line for each outcome
    """The outcome that `packed` took apart.

    Raises:
        ValueError: it is none of those.
    """
    match data:
        case {"outcome": "succeeded", "result": result}:
            return Succeeded(result)
        case {"outcome": "snoozed", "after": after}:
            return Snoozed(after)
        case {"outcome": "cancelled", "reason": reason}:
            return Cancelled(reason)
        case {"outcome": "interrupted", "reason": reason}:
            return Interrupted(reason)
        case {"outcome": "failed", "failure": failure, "asks": {"reason": reason, "after": after}}:
            return Failed(Failure(*failure), Retry(reason, after=after))
        case {"outcome": "failed", "failure": failure, "retried": retried}:
            kept = Failure(*failure)
            error = RaisedElsewhere(
                kept.type, kept.message, retried=retried, wait=data.get("wait"), broken=data.get("broken")
            )
            error.add_note(kept.traceback)
            return Failed(kept, error)
        case {"outcome": "failed", "failure": failure}:
            return Failed(Failure(*failure))
        case _:
            message = f"expected an outcome, got {data!r}"
            raise ValueError(message)
