"""Adding one job by hand, to a store that is open for that alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from postlude.adding import Given
    from postlude.calls import CallOptions
    from postlude.cli.opened import Opened
    from postlude.client.handle import Job

ORIGIN: Final = json.dumps({"command": "postlude enqueue"})
"""What is stored as that which has added it."""


async def add(opened: Opened, call: Given, options: CallOptions) -> Job[Any]:
    """Commit a job; returns it, or the one that has its key and answers in its place.

    Raises:
        PostludeError: as for `durable.enqueue`.
    """
    staging = opened.engine.adding.staging
    staging.find_carried()
    prepared = [staging.prepare_stored(*call, options)]
    answered = await opened.store.insert(staging.queue(prepared, ORIGIN))
    opened.store.notify("queued")
    return await opened.jobs.get(answered.get(prepared[0].id, prepared[0].id))
