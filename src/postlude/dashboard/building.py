"""Puts a dashboard together from what an application has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from postlude.dashboard.application import Dashboard
from postlude.dashboard.files import Files
from postlude.dashboard.rendering import Pages
from postlude.dashboard.site import Site
from postlude.dashboard.together import Together
from postlude.dashboard.tokens import Tokens
from postlude.stores.urls import place_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from postlude.runtime import Runtime
    from postlude.services.streams import Hub
    from postlude.stores.gate import GateStore


def build(runtime: Runtime, hub: Hub, authorize: Callable[..., Any] | None) -> Dashboard:
    """The dashboard of an application; see `Postlude.dashboard`."""

    async def gate() -> GateStore:
        return (await runtime.store()).gate

    settings, files = runtime.settings, Files()
    site = Site(
        views=runtime.views,
        jobs=runtime.jobs,
        schedules=runtime.schedules,
        hub=hub,
        tokens=Tokens(gate, runtime.clock),
        clock=runtime.clock,
        files=files,
        pages=Pages(files, runtime.clock),
        gate=gate,
        store=f"{place_of(settings.url)}\0{settings.schema}\0{settings.namespace}",
        together=Together(),
    )
    return Dashboard(site, authorize)
