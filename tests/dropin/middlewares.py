"""The middlewares of users that meddle with answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint

from tests.dropin.recording import Boom

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class _Middleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app


class RaiseAfter(_Middleware):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def swallow(_: Message) -> None:
            pass

        await self.app(scope, receive, swallow)
        raise Boom


class Catch(_Middleware):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except Exception:  # noqa: BLE001 - what it is about
            await JSONResponse({"caught": 1}, status_code=500)(scope, receive, send)


class Buffer(_Middleware):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self.app(scope, receive, keep)
        for message in messages:
            await send(message)


class Retry(_Middleware):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except Boom:
            await self.app(scope, receive, send)


class TimeOut(_Middleware):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            await asyncio.wait_for(self.app(scope, receive, send), 0.02)
        except TimeoutError:
            await JSONResponse({}, 504)(scope, receive, send)


class TimeOutShielded(_Middleware):
    """Lets the application go on."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        running = asyncio.ensure_future(self.app(scope, receive, send))
        try:
            await asyncio.wait_for(asyncio.shield(running), 0.02)
        except TimeoutError:
            await JSONResponse({}, 504)(scope, receive, send)
            await asyncio.wait([running])


class CopyScope(_Middleware):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(dict(scope), receive, send)


class RaiseBase(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        await call_next(request)
        raise Boom


class ReplaceBase(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        await call_next(request)
        return JSONResponse({"replaced": 1}, status_code=500)


class RebuildBase(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        response: Any = await call_next(request)
        body = b"".join([chunk async for chunk in response.body_iterator])
        await asyncio.sleep(0.02)  # time for the application to run the background of its response
        return Response(body + b"!", response.status_code)


class CatchBase(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        try:
            return await call_next(request)
        except Exception:  # noqa: BLE001 - what it is about
            return JSONResponse({"caught": 1}, status_code=500)


class TimeOutBase(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        try:
            return await asyncio.wait_for(call_next(request), 0.02)
        except TimeoutError:
            return JSONResponse({}, 504)
