"""The dashboard: pages to see and steer jobs with. Nothing of it is imported where none is mounted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from postlude.api.access import Visitor
from postlude.errors import CallError

if TYPE_CHECKING:
    from collections.abc import Callable

    from postlude.dashboard.application import Dashboard
    from postlude.runtime import Runtime
    from postlude.services.streams import Hub

__all__ = ["Visitor", "make"]


def make(runtime: Runtime, hub: Hub, authorize: Callable[..., Any] | None) -> Dashboard:
    """An application to be mounted; see `Postlude.dashboard`.

    Raises:
        CallError: its templates need what `postlude[dashboard]` installs, or `authorize` is no function.
    """
    if authorize is not None and not callable(authorize):
        message = (
            "dashboard(authorize=...): expected a dependency, a function that gives 'view', 'act' or None, "
            f"got {authorize!r}."
        )
        raise CallError(message)
    try:
        from postlude.dashboard.building import build  # noqa: PLC0415 - links are made without templates, too
    except ModuleNotFoundError as missing:
        if missing.name not in {"jinja2", "markupsafe"}:
            raise
        message = f"The dashboard needs {missing.name}, which is not installed: pip install 'postlude[dashboard]'."
        raise CallError(message) from missing
    return build(runtime, hub, authorize)
