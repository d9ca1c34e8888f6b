"""Reads once what several pages ask for at the same moment, as those do that were told of the same news."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from postlude.loops import in_background

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    View: TypeAlias = Callable[..., Awaitable[Any]]
    Key: TypeAlias = tuple[asyncio.AbstractEventLoop, View, tuple[Hashable, ...], tuple[tuple[str, Hashable], ...]]

T = TypeVar("T")


class Together:
    """Who comes while something is read shares the reading after that, as commits are shared.

    So nobody is shown what is older than their own request: after an action the next page has it.
    """

    def __init__(self) -> None:
        self._going: dict[Key, asyncio.Task[Any]] = {}
        self._next: dict[Key, asyncio.Task[Any]] = {}

    async def read(self, view: Callable[..., Awaitable[T]], *arguments: Hashable, **named: Hashable) -> T:
        """What the view gives, read after this was called."""
        key = (asyncio.get_running_loop(), view, arguments, tuple(named.items()))
        reading = self._next.get(key)
        if reading is None:
            reading = self._next[key] = in_background(self._read(key))
        # Whoever leaves does not take it away from the others.
        found: T = await asyncio.shield(reading)
        return found

    async def _read(self, key: Key) -> Any:  # noqa: ANN401 - whatever the view gives
        before = self._going.get(key)
        if before is not None:
            await asyncio.wait({before})
        _, view, arguments, named = key
        self._going[key] = self._next.pop(key)
        try:
            return await view(*arguments, **dict(named))
        finally:
            del self._going[key]
