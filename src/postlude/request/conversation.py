"""One WebSocket: what is added during it is committed and run at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postlude.request.exchange import WANTED_SINCE, Exchange

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from starlette.background import BackgroundTasks
    from starlette.types import Message

    from postlude.calls import Call


class Conversation(Exchange):
    """One WebSocket. It has no answer that could be sealed, so each call is committed and run at once, by itself."""

    sealed = True
    _only: Sequence[Call] = ()
    """Calls that are wanted only if it ends with an exception, which is known at its end."""

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on to the client, when all that was promised before it is on disk."""
        if self._held:
            return self._send_held(message)
        if message["type"] == "websocket.close":
            self._answered = True
        return self._send(message)

    def _take_late(self, tasks: BackgroundTasks) -> None:
        for call in self.take(tasks, WANTED_SINCE):
            if call.options.if_raised == "only" and not self.over:
                self._only = [*self._only, call]
            else:
                self._launch(call)

    async def _finish(self) -> None:
        self._answered = True
        if self._commits is not None:
            self._commits.too_late = True
        only, self._only = self._only, ()
        if self.raised is None:
            if only:
                self.desk.discard(only, None)
        else:
            for call in only:
                self._launch(call)
        await super()._finish()
