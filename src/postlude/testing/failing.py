"""What tasks raise, raised in the test."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from postlude.events import AttemptFailed, EphemeralFailed
from postlude.testing.engine import engine_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postlude.events import Event
    from postlude.testing.engine import Tested


@contextlib.contextmanager
def raise_failures(tested: Tested) -> Iterator[None]:
    """Raise, at the end of the block, what tasks have raised in it.

    Only what made a job fail: an attempt that is tried again has not failed yet. One exception is raised as it is,
    several in an `ExceptionGroup`. If the block itself raises, that goes on, with a note about each of them.

    Args:
        tested: the application, or what `Postlude(app)` returned.

    Raises:
        NotTestable: it has no Postlude, or Postlude is disabled.
    """
    errors: list[BaseException] = []

    def hear(event: Event) -> None:
        if not isinstance(event, AttemptFailed | EphemeralFailed) or event.error is None:
            return
        if isinstance(event, EphemeralFailed) or event.again_in is None:
            event.error.add_note(f"raised by the task {event.task}")
            errors.append(event.error)

    end = engine_of(tested).events.subscribe(hear)
    try:
        yield
    except BaseException as error:
        for failure in errors:
            error.add_note(f"Before that, a task failed: {failure!r}, {', '.join(failure.__notes__)}")
        raise
    finally:
        end()
    if len(errors) == 1:
        raise errors[0]
    if errors:
        message = "tasks failed"
        raise BaseExceptionGroup(message, errors)
