"""What ties a call to the request that added it: the origin stored with its job, and FastAPI's own span around it."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import fastapi
from starlette.background import BackgroundTask

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Scope

    from postlude.executors.around import Around


_TRACE: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""What W3C's Trace Context calls a valid `traceparent`, up to what later versions of it may add."""

_HEADERS: Final = {b"x-request-id": "request_id", b"traceparent": "traceparent"}

MAX_HEADER: Final = 200
"""Bytes kept of a header: a client writes it, and it is stored with every job of the request."""


def origin(scope: Scope) -> str:
    """The request as compact JSON: `request_id`, `route` and `traceparent`, as far as they are there."""
    text = _route(scope["method"] if scope["type"] == "http" else "WS", _prefix(scope) + _path(scope))
    for name, value in scope["headers"]:
        if name in _HEADERS and (name != b"traceparent" or _is_trace(value)):
            header = json.dumps(value[:MAX_HEADER].decode("latin-1"))
            text = f'{text[:-1]},"{_HEADERS[name]}":{header}}}'
    return text


def _is_trace(value: bytes) -> bool:
    found = _TRACE.match(value)
    if found is None:
        return False
    rest = value[found.end() :]
    return not rest or (rest.startswith(b"-") and not value.startswith(b"00") and len(value) <= MAX_HEADER)


@lru_cache(maxsize=1024)
def _route(method: str, path: str) -> str:
    return json.dumps({"route": f"{method} {path}"}, separators=(",", ":"), ensure_ascii=False)


def _path(scope: Scope) -> str:
    """The template under which the route was found, such as `/users/{name}`."""
    route = scope.get("route")
    # A router that was included keeps its own path since FastAPI 0.137; the whole one is in a context beside it.
    context = scope.get("fastapi", {}).get("effective_route_context")
    if context is not None and context.original_route is route:
        route = context
    path: str = getattr(route, "path", None) or scope["path"]
    return path


def _prefix(scope: Scope) -> str:
    """Where the application that answered is mounted in the one that the server knows."""
    root: str = scope.get("root_path", "")
    return root.removeprefix(scope.get("app_root_path", root))


def is_traced(scope: Scope) -> bool:
    """Whether FastAPI (0.165 and later) makes spans for this request."""
    return scope.get("fastapi.telemetry") is not None


def span_around(function: Callable[..., Any]) -> Around:
    """What runs an attempt inside the span that FastAPI gives to a background task.

    FastAPI opens it in `BackgroundTasks.__call__`, so that is how it is asked for one.
    """

    async def around(attempt: Callable[[], Awaitable[None]]) -> None:
        await fastapi.BackgroundTasks([_Traced(function, attempt)])()

    return around


class _Traced(BackgroundTask):
    """An attempt that goes by the name of its function."""

    def __init__(self, function: Callable[..., Any], attempt: Callable[[], Awaitable[None]]) -> None:
        # Not the base's: it would inspect the function, which is not what is called here.
        self.func = function
        self._attempt = attempt

    async def __call__(self) -> None:
        await self._attempt()
