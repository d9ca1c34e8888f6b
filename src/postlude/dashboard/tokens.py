"""Links that sign somebody in once, and what the browser has from then on. The store keeps only their hashes."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Final

from postlude.api.access import Visitor
from postlude.stores.gate import AuditLine, Token

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from postlude.clock import Clock
    from postlude.stores.gate import GateStore, Role, TokenKind

LINK_SECONDS: Final = 15 * 60.0
"""For how long a link works that nobody has used."""
SESSION_SECONDS: Final = 7 * 86_400.0
"""For how long a browser is signed in."""


class Tokens:
    """Makes links, and knows who has used one.

    Args:
        gate: gives what keeps tokens, opened in this process.
        clock: what time it is.
    """

    def __init__(self, gate: Callable[[], Awaitable[GateStore]], clock: Clock) -> None:
        self._gate = gate
        self._clock = clock

    async def new_link(self, *, role: Role = "act", who: str, by: str | None = None) -> str:
        """The token of a new link, for `LINK_SECONDS`; that it was made is written into the audit log.

        Args:
            role: what whoever uses it may do.
            who: what the audit log calls them.
            by: who makes it; None: they themselves.

        Raises:
            StoreError: the store did not take it.
        """
        token, row = self._new("link", role, who, LINK_SECONDS)
        gate = await self._gate()
        await gate.add_token(row)
        await gate.add_audit(AuditLine.of(row.created_at, by or who, "cli", "dashboard-link", who, role=role))
        return token

    async def sign_in(self, link: str) -> tuple[str, Visitor] | None:
        """The token of a session for who has this link, and who they are; None: it does not work, or not any more."""
        token, row = self._new("session", "view", "", SESSION_SECONDS)  # role and name are those of the link
        session = await (await self._gate()).redeem(_hash(link), row, now=self._clock.now())
        return None if session is None else (token, Visitor(session.who, session.role, by_token=True))

    async def visitor(self, session: str) -> Visitor | None:
        """Who has signed in with this; None: nobody, or too long ago."""
        found = await (await self._gate()).token(_hash(session), kind="session", now=self._clock.now())
        return None if found is None else Visitor(found.who, found.role, by_token=True)

    async def sign_out(self, session: str) -> None:
        """Let it sign nobody in any more."""
        await (await self._gate()).forget_tokens(_hash(session))

    async def sign_everybody_out(self) -> None:
        """Let nobody in any more who has signed in or has a link."""
        await (await self._gate()).forget_tokens()

    def _new(self, kind: TokenKind, role: Role, who: str, seconds: float) -> tuple[str, Token]:
        token, now = secrets.token_urlsafe(32), self._clock.now()
        return token, Token(_hash(token), kind, role, who, now, now + seconds)


def _hash(token: str) -> str:
    """Plain SHA-256: there is nothing to guess in 256 random bits, so nothing has to make guessing slow."""
    return hashlib.sha256(token.encode()).hexdigest()
