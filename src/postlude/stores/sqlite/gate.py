"""Tokens and the audit log. Fulfils `stores.gate.GateStore`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from postlude.stores.gate import LINES, AuditLine, Token
from postlude.stores.sqlite.statements import sql

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Sequence

    from apsw import Connection

    from postlude.stores.gate import TokenKind
    from postlude.stores.sqlite.rows import Row

    Submit = Callable[[Callable[[Connection], Any]], Future[Any]]

_NEWER_THAN_ALL = 2**63 - 1


class Gate:
    """The gate of one store.

    Args:
        write: carries out what is written.
        read: carries out what is read.
    """

    def __init__(self, write: Submit, read: Submit) -> None:
        self._write = write
        self._read = read

    async def add_token(self, token: Token) -> None:
        """Clause 63."""

        def add(connection: Connection) -> None:
            connection.execute(sql("gate/delete_expired"), (token.created_at,))
            connection.execute(sql("gate/add_token"), token)

        await self._write(add)

    async def token(self, hash: str, *, kind: TokenKind, now: float) -> Token | None:  # noqa: A002 - the contract's
        """Clause 63."""

        def find(connection: Connection) -> Token | None:
            row: Row | None = connection.execute(sql("gate/token"), (hash, kind, now)).fetchone()
            return None if row is None else Token(*row)

        found: Token | None = await self._read(find)
        return found

    async def redeem(self, hash: str, session: Token, *, now: float) -> Token | None:  # noqa: A002
        """Clause 63."""

        def exchange(connection: Connection) -> Token | None:
            rows: list[Row] = connection.execute(sql("gate/redeem"), (hash, "link", now)).fetchall()
            if not rows:
                return None
            link = Token(*rows[0])
            redeemed = session._replace(kind="session", role=link.role, who=link.who)
            connection.execute(sql("gate/add_token"), redeemed)
            return redeemed

        redeemed: Token | None = await self._write(exchange)
        return redeemed

    async def forget_tokens(self, hash: str | None = None) -> int:  # noqa: A002
        """Clause 63."""

        def forget(connection: Connection) -> int:
            connection.execute(sql("gate/forget_tokens"), (hash,))
            return connection.changes()

        forgotten: int = await self._write(forget)
        return forgotten

    async def add_audit(self, line: AuditLine) -> None:
        """Clause 64."""

        def add(connection: Connection) -> None:
            connection.execute(sql("gate/add_audit"), line[:-1])
            connection.execute(sql("gate/cut_audit"), (LINES,))

        await self._write(add)

    async def audit(self, *, limit: int, before: int | None = None) -> Sequence[AuditLine]:
        """Clause 64."""

        def read(connection: Connection) -> list[AuditLine]:
            place = _NEWER_THAN_ALL if before is None else before
            return [AuditLine(*row) for row in connection.execute(sql("gate/audit"), (place, limit))]

        lines: list[AuditLine] = await self._read(read)
        return lines
