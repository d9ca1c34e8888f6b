"""Mail that goes nowhere: a file for each message, to be looked at."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from email.message import EmailMessage
from pathlib import Path

from notifications.sending import Answer, Answers


class FolderSender:
    """Writes `<key>.eml`. A repeat writes the same file once more, so there is never a second one."""

    def __init__(self, path: str) -> None:
        self.folder = Path(path.removeprefix("/"))

    async def send(
        self,
        message: EmailMessage,
        recipients: Sequence[str],
        *,
        key: str,
        before_data: Callable[[], Awaitable[None]],  # noqa: ARG002 - a repeat does no harm
    ) -> Answers:
        await asyncio.to_thread(self._write, self.folder / f"{key}.eml", message.as_bytes())
        return dict.fromkeys(recipients, Answer("accepted", f"in {self.folder}/{key}.eml"))

    def _write(self, path: Path, content: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".half")
        half.write_bytes(content)
        os.replace(half, path)  # whoever looks sees all of it or nothing

    async def close(self) -> None: ...
