"""Who may come in, and what they did: tokens and the audit log; the clauses go on from `seeing`.

Gate
    63. **Tokens.** A token is found by its hash until it expires. `redeem` takes a link away and puts a session in its
        place, with the link's role, in one commit: of two that redeem the same link, one gets None.
    64. **Written down.** `add_audit` keeps a line; `audit` gives them newest first, page by page. The newest `LINES`
        are kept.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

Role: TypeAlias = Literal["view", "act"]
"""Who may look, and who may also cancel, retry, delete, pause and run."""

TokenKind: TypeAlias = Literal["link", "session"]
"""A link is used once, and makes a session."""

LINES: Final = 10_000
"""How many lines of the audit log are kept."""


class Token(NamedTuple):
    """What lets somebody in; the store never has the secret itself."""

    hash: str
    """Of the secret, in hexadecimal."""
    kind: TokenKind
    role: Role
    who: str
    """Whom the audit log names; for people."""
    created_at: float
    expires_at: float
    """Seconds since the epoch."""


class AuditLine(NamedTuple):
    """Something that somebody did."""

    at: float
    """Seconds since the epoch."""
    who: str
    role: str
    """`view`, `act`, `caller` for one of the routes for callers, `cli` for one who has the URL of the store."""
    action: str
    """Such as `retry`, `cancel`, `delete`, `pause`, `resume`, `run`, `sign in`."""
    target: str
    """Of what: an id, a name, or how many and which."""
    details: str | None = None
    """JSON; None: there is nothing more to say."""
    number: int = 0
    """Its place in the log; given by the store."""

    @classmethod
    def of(cls, at: float, who: str, role: str, action: str, target: str = "", /, **details: Any) -> AuditLine:
        """A line with whatever else there is to say of it; what is None is left out."""
        told = {name: value for name, value in details.items() if value is not None}
        return cls(at, who, role, action, target, json.dumps(told, ensure_ascii=False, default=str) if told else None)


class GateStore(Protocol):
    """The operations on tokens and on the audit log."""

    async def add_token(self, token: Token) -> None:
        """Remember a token; forget those that have expired by `token.created_at` (clause 63)."""
        ...

    async def token(self, hash: str, *, kind: TokenKind, now: float) -> Token | None:  # noqa: A002 - that is what it is
        """The token with this hash, if it is of that kind and has not expired (clause 63)."""
        ...

    async def redeem(self, hash: str, session: Token, *, now: float) -> Token | None:  # noqa: A002
        """Take the link with this hash away for this session; returns the session with the role and who of the link.

        None: there is no such link, or none any more (clause 63).
        """
        ...

    async def forget_tokens(self, hash: str | None = None) -> int:  # noqa: A002
        """Remove the token with this hash, or all; returns how many there were."""
        ...

    async def add_audit(self, line: AuditLine) -> None:
        """Write a line down (clause 64)."""
        ...

    async def audit(self, *, limit: int, before: int | None = None) -> Sequence[AuditLine]:
        """The newest lines, or those before the line with that number, newest first (clause 64)."""
        ...
