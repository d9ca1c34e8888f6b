"""Why calls do not run, and the answer to a request whose calls could not be stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from postlude.errors import PostludeError, StoreError

if TYPE_CHECKING:
    from starlette.types import Scope, Send

_BODY: Final = b'{"detail":"The background work of this request could not be stored. Try again."}'


class CommitRefused(Exception):
    """Unwinds the application after the 503 has gone out, so that its sessions roll back. Never leaves the hooks."""


class OneBeforeFailed(PostludeError):
    """A call before them in the order of the request did not succeed. Given as a reason, never raised."""

    def __init__(self) -> None:
        super().__init__("a task before them, in the order of the request, did not succeed")


def not_stored(error: Exception) -> PostludeError:
    """The reason for not running what could not be committed."""
    if isinstance(error, PostludeError):
        return error
    reason = StoreError(f"the commit failed: {error!r}")
    reason.__cause__ = error
    return reason


async def send_refusal(scope: Scope, send: Send) -> None:
    """Answer 503, whole, in the place of the application."""
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(_BODY)),
        (b"retry-after", b"1"),
    ]
    body = b"" if scope["method"] == "HEAD" else _BODY
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def comes_of_refusal(error: BaseException) -> bool:
    """Whether a `CommitRefused` is among the causes and contexts of `error`, or in a group of them."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        if isinstance(each, CommitRefused):
            return True
        seen.add(id(each))
        left += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            left += each.exceptions
    return False
