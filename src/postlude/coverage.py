"""Which routes of an application the hooks reach, and which they cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import fastapi.routing
from fastapi import FastAPI
from starlette.routing import Host, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp

    IsHook = Callable[[object], bool]


class Inviting(Protocol):
    """A dashboard, as an application is mounted."""

    async def invite(self, path: str) -> str:
        """What is said of it when the application starts; `path` is where it is mounted."""
        ...


class Coverage(NamedTuple):
    """How many routes have durable background tasks, and a line for each route or mount that has none."""

    covered: int
    gaps: list[str]
    dashboards: Sequence[tuple[str, Inviting]] = ()
    """Those that are mounted, with their paths. They have no tasks of their own."""


def coverage(app: FastAPI, is_hook: IsHook) -> Coverage:
    """Walk all routes of `app` and of the applications mounted in it.

    Args:
        is_hook: whether a dependency is the one that makes a route's background tasks durable.
    """
    covered, gaps = 0, []
    for reached, line in _walk(app, "", is_hook):
        if reached:
            covered += 1
        else:
            gaps.append(line)
    return Coverage(covered, gaps, tuple(_dashboards(app, "")))


def _walk(app: FastAPI, prefix: str, is_hook: IsHook) -> Iterator[tuple[bool, str]]:
    own = {app.openapi_url, app.docs_url, app.redoc_url, app.swagger_ui_oauth2_redirect_url}
    for route in _with_included(app.routes):
        kind = getattr(route, "original_route", route)
        path = prefix + (getattr(route, "path", None) or "")
        dependant = getattr(route, "dependant", None)
        if dependant is not None:
            methods = sorted(getattr(route, "methods", None) or ["WS"])
            reached = any(is_hook(dependency.call) for dependency in dependant.dependencies)
            yield reached, f"{' '.join(methods)} {path}: declared before Postlude was installed"
        elif isinstance(kind, Mount | Host):
            place = path or f"{prefix}{getattr(route, 'host', '')}"
            yield from _walk_mounted(route.app, place or "/", is_hook)
        elif isinstance(kind, Route | WebSocketRoute) and path.removeprefix(prefix) not in own:
            yield False, f"{path}: a Starlette route, which FastAPI gives no background tasks"


def _walk_mounted(mounted: ASGIApp, path: str, is_hook: IsHook) -> Iterator[tuple[bool, str]]:
    app = _unwrapped(mounted)
    if _is_dashboard(app):
        return
    if isinstance(app, FastAPI):
        if any(is_hook(depends.dependency) for depends in app.router.dependencies):
            yield from _walk(app, path.rstrip("/"), is_hook)
        else:
            yield False, f"{path}: a mounted FastAPI application; install Postlude in it as well"
    elif not isinstance(app, StaticFiles) and not hasattr(app, "adds_no_tasks"):
        yield False, f"{path}: a mounted {type(app).__name__}, which is not a FastAPI application"


def _dashboards(app: FastAPI, prefix: str) -> Iterator[tuple[str, Inviting]]:
    for route in app.routes:
        if isinstance(route, Mount):
            mounted, path = _unwrapped(route.app), f"{prefix}{route.path}"
            if _is_dashboard(mounted):
                yield path, mounted
            elif isinstance(mounted, FastAPI):
                yield from _dashboards(mounted, path)


def _unwrapped(mounted: ASGIApp) -> Any:  # noqa: ANN401 - any ASGI application
    """A mounted application without the middlewares around it, which by custom keep it under this name."""
    app: Any = mounted
    while not isinstance(app, FastAPI) and hasattr(app, "app"):
        app = app.app
    return app


def _is_dashboard(app: object) -> bool:
    # By what it can do: its module is imported only where there is one.
    return hasattr(app, "invite")


def _with_included(routes: Iterable[BaseRoute]) -> Iterable[Any]:
    """The routes, and in the place of an included router its own, which FastAPI keeps as one route since 0.137.

    There, what comes is not a route but has its attributes, and the `original_route`.
    """
    walk = getattr(fastapi.routing, "iter_route_contexts", None)
    return routes if walk is None else walk(routes)


def first_endpoint(app: FastAPI) -> str | None:
    """The first route of `app` that FastAPI gives background tasks, if there is any yet; for people."""
    for route in app.routes:
        if not isinstance(route, Route | WebSocketRoute | Mount | Host) or hasattr(route, "dependant"):
            return str(getattr(route, "path", None) or "an included router")
    return None
