"""Tokens and the audit log. Fulfils `stores.gate.GateStore`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from postlude.stores.gate import LINES, AuditLine, Token
from postlude.stores.postgres.rows import plain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from postlude.stores.gate import TokenKind
    from postlude.stores.postgres.session import Session

T = TypeVar("T")

_NEWER_THAN_ALL = 2**63 - 1


class Do(Protocol):
    """Carries out an operation."""

    async def __call__(self, operation: Callable[[Session], Awaitable[T]]) -> T:
        """What the operation gives."""
        ...


class Gate:
    """The gate of one store.

    Args:
        change: carries out what is written, in one transaction.
        do: carries out what is read.
    """

    def __init__(self, change: Do, do: Do) -> None:
        self._change = change
        self._do = do

    async def add_token(self, token: Token) -> None:
        """Clause 63."""

        async def add(session: Session) -> None:
            await session.do("gate/delete_expired", session.namespace, token.created_at)
            await session.do("gate/add_token", session.namespace, *token)

        await self._change(add)

    async def token(self, hash: str, *, kind: TokenKind, now: float) -> Token | None:  # noqa: A002 - the contract's
        """Clause 63."""
        row = await self._do(lambda session: session.row("gate/token", session.namespace, hash, kind, now))
        return None if row is None else Token(*row)

    async def redeem(self, hash: str, session: Token, *, now: float) -> Token | None:  # noqa: A002
        """Clause 63."""

        async def exchange(within: Session) -> Token | None:
            row = await within.row("gate/redeem", within.namespace, hash, "link", now)
            if row is None:
                return None
            link = Token(*row)
            redeemed = session._replace(kind="session", role=link.role, who=link.who)
            await within.do("gate/add_token", within.namespace, *redeemed)
            return redeemed

        return await self._change(exchange)

    async def forget_tokens(self, hash: str | None = None) -> int:  # noqa: A002
        """Clause 63."""
        return await self._do(lambda session: session.do("gate/forget_tokens", session.namespace, hash))

    async def add_audit(self, line: AuditLine) -> None:
        """Clause 64."""
        at, *texts, _ = line

        async def add(session: Session) -> None:
            await session.do("gate/add_audit", session.namespace, at, *map(plain, texts))
            await session.do("gate/cut_audit", session.namespace, LINES - 1)

        await self._change(add)

    async def audit(self, *, limit: int, before: int | None = None) -> Sequence[AuditLine]:
        """Clause 64."""
        place = _NEWER_THAN_ALL if before is None else before
        rows = await self._do(lambda session: session.rows("gate/audit", session.namespace, place, limit))
        return [AuditLine(*row) for row in rows]
