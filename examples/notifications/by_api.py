"""Mail through a service that takes it as JSON over HTTP and knows idempotency keys."""

import base64
from collections.abc import Awaitable, Callable, Sequence
from email.message import EmailMessage
from typing import Any

import httpx

from notifications.sending import MOST_WORDS, Answer, Answers

LATER = {408, 409, 425, 429}
"""Answers that are no refusal: too slow, the same key is being worked on, too early, too many."""


class APISender:
    """Posts each message to the URL. The services differ in the names of the fields: `_fields` is what to change."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._client = httpx.AsyncClient(timeout=60, headers={"Authorization": f"Bearer {token}"} if token else {})

    async def send(
        self,
        message: EmailMessage,
        recipients: Sequence[str],
        *,
        key: str,
        before_data: Callable[[], Awaitable[None]],  # noqa: ARG002 - the key makes a repeat harmless
    ) -> Answers:
        try:
            response = await self._client.post(
                self._url, json=_fields(message, recipients), headers={"Idempotency-Key": key}
            )
        except httpx.HTTPError as error:
            return dict.fromkeys(recipients, Answer("later", f"{self._url}: {error or type(error).__name__}"))
        words = f"{response.status_code} {response.text[:MOST_WORDS]}"
        if response.is_success:
            return dict.fromkeys(recipients, Answer("accepted", words))
        later = response.is_server_error or response.status_code in LATER
        return dict.fromkeys(recipients, Answer("later" if later else "refused", words))

    async def close(self) -> None:
        await self._client.aclose()


def _fields(message: EmailMessage, recipients: Sequence[str]) -> dict[str, Any]:
    text, page = message.get_body(["plain"]), message.get_body(["html"])
    return {
        "from": str(message["From"]),
        "to": list(recipients),
        "subject": str(message["Subject"]),
        "text": text.get_content() if text else "",
        "html": page.get_content() if page else "",
        "headers": {"Message-ID": str(message["Message-ID"]), "Date": str(message["Date"])},
        "attachments": [
            {
                "name": each.get_filename(),
                "type": each.get_content_type(),
                "content": base64.b64encode(each.get_payload(decode=True)).decode(),  # type: ignore[arg-type]  # bytes, of a part
            }
            for each in message.iter_attachments()
        ],
    }
