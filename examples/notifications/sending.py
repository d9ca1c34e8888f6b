"""How a message leaves this service: the protocol of the senders, and the one that the settings ask for."""

from collections.abc import Awaitable, Callable, Sequence
from email.message import EmailMessage
from functools import cache
from typing import Literal, NamedTuple, Protocol

from notifications.settings import settings

Verdict = Literal["accepted", "later", "unknown", "refused"]
"""`later`: it was not taken now; `unknown`: the connection was lost when it may have been taken."""


MOST_WORDS = 300
"""Letters that are kept of what the other side says: they are saved with the job, for each recipient."""


class Answer(NamedTuple):
    """What became of the message for one recipient, in the words of the other side."""

    verdict: Verdict
    words: str


Answers = dict[str, Answer]


class Sender(Protocol):
    async def send(
        self,
        message: EmailMessage,
        recipients: Sequence[str],
        *,
        key: str,
        before_data: Callable[[], Awaitable[None]],
    ) -> Answers:
        """Send it, and say for each recipient what became of it. What the other side says is never raised.

        Args:
            message: the same for every attempt.
            recipients: to whom it goes now, which may be fewer than it names.
            key: what a repeat is known by, where the other side knows such keys.
            before_data: awaited where from then on a repeat could send the message twice; not at all if it never could.
        """

    async def close(self) -> None:
        """Let go of its connections."""


@cache
def sender() -> Sender:
    """That of this process. Tasks ask for it by `Depends(sender)`."""
    from notifications.by_api import APISender  # noqa: PLC0415 - of these only one is needed
    from notifications.by_folder import FolderSender  # noqa: PLC0415
    from notifications.by_smtp import SMTPSender  # noqa: PLC0415

    url = settings().url
    if url.scheme == "file":
        return FolderSender(url.path)
    if url.scheme in {"smtp", "smtps"}:
        return SMTPSender(url)
    return APISender(url.geturl(), settings().mail_token)
