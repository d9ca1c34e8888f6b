"""An application on a store of its own: nothing of it is there before the block, and nothing stays after it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from postlude.testing.engine import check_not_running, clock_of, close, engine_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postlude.clock import Clock
    from postlude.runtime import Runtime
    from postlude.settings import WorkerMode
    from postlude.testing.engine import Tested


@contextlib.contextmanager
def isolated(tested: Tested) -> Iterator[None]:
    """Keep the application's jobs in a temporary file for the length of the block.

    To be begun before the application starts. What it has open before is closed first, and what it opens in the block
    is closed at its end.

    Args:
        tested: the application, or what `Postlude(app)` returned.

    Raises:
        NotTestable: it has no Postlude, Postlude is disabled, or the application has started already.
    """
    engine = engine_of(tested)
    with exchanged(engine, worker=engine.settings.worker, clock=clock_of(engine)):
        yield


@contextlib.contextmanager
def exchanged(engine: Runtime, *, worker: WorkerMode, clock: Clock) -> Iterator[None]:
    """Give the engine a temporary store, a worker mode and a clock, and put back what it had."""
    check_not_running(engine)
    with TemporaryDirectory(prefix="postlude-") as folder:
        close(engine)
        before = engine.settings
        # What only PostgreSQL knows is refused with a file.
        engine.settings = replace(
            before,
            url=f"sqlite:///{folder}/jobs.db",
            direct_url=None,
            namespace=None,
            schema=None,
            password=None,
            migrate=None,
            worker=worker,
        )
        try:
            with clock_of(engine).replaced_by(clock):
                try:
                    yield
                finally:
                    close(engine)
        finally:
            engine.settings = before
