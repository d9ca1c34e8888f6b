"""The answer to a request whose work is done later: 202, with the address where its job can be asked after."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response
from starlette.routing import NoMatchFound

from postlude.errors import InstallError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from postlude.client.handle import Job

STATUS: Final = "postlude_job"
EVENTS: Final = "postlude_job_events"
"""The names of two routes of `durable.router()`."""
RETRY_AFTER: Final = 1
"""Seconds until it is worth asking after a job that has not ended."""


def accepted(job: Job[Any]) -> Response:
    """An answer for an endpoint to return: 202, `Location` and `Retry-After`, and the addresses as JSON.

    The body is `{"id": …, "status": "/jobs/…", "events": "/jobs/…/events"}`, of the routes that
    `app.include_router(durable.router(...))` has added, wherever they are. The addresses have no host, so they hold
    behind any proxy that is known to the server by `root_path`.

    Raises:
        InstallError: when it is sent, and the request's tasks are discarded: there are no such routes.
    """
    return Accepted(job)


class Accepted(Response):
    """See `accepted`. The addresses are found out when it is sent: only then is it known which application answers."""

    media_type: str | None = "application/json"

    def __init__(self, job: Job[Any]) -> None:
        super().__init__(status_code=202, headers={"retry-after": str(RETRY_AFTER), "cache-control": "no-store"})
        self._job_id = str(job.id)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        status = path_of(scope, STATUS, self._job_id)
        addresses = {"id": self._job_id, "status": status, "events": path_of(scope, EVENTS, self._job_id)}
        self.body: bytes = json.dumps(addresses).encode()
        self.headers["content-length"] = str(len(self.body))
        self.headers["location"] = status
        await super().__call__(scope, receive, send)


def path_of(scope: Scope, name: str, job_id: str) -> str:
    """The path under which the outside reaches a route, by the route's name."""
    # The outermost router, for which `app_root_path` is what the server says, and the application that answers.
    for provider, root in (
        (scope.get("router"), scope.get("app_root_path", scope.get("root_path", ""))),
        (scope.get("app"), scope.get("root_path", "")),
    ):
        try:
            if provider is not None:
                return f"{root.rstrip('/')}{provider.url_path_for(name, job_id=job_id)}"
        except NoMatchFound:
            continue
    message = (
        "accepted(job) says where to ask after the job, and this application has no such place. "
        "Add one with app.include_router(durable.router(authorize=...))."
    )
    raise InstallError(message)
