"""The jobs that clients follow, in a PostgreSQL whose workers are given up for dead after two seconds of silence."""

from functools import partial

import postlude.stores.postgres as driver
from postlude.stores.postgres.presence import Patience

HASTY = Patience(lease=2.0, extend_every=0.5, second_look=0.5, calm=0.0)
driver.PostgresStore = partial(driver.PostgresStore, patience=HASTY)  # type: ignore[assignment,misc]

from tests.scenarios.apps.controlled import app  # noqa: E402 - which makes the store

__all__ = ["app"]
