"""The stores on which the conformance suite runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from postlude.stores.postgres.notifications import Notifications
from tests.stores.bouncer import bouncer, needs_pgbouncer
from tests.stores.places import new_namespace


@pytest.fixture(scope="session")
def pooled(postgres: str) -> Iterator[str]:
    """PgBouncer before that server, in transaction mode and with few sessions."""
    with bouncer(postgres, "transaction") as dsn:
        yield dsn


@pytest.fixture(
    params=[
        "sqlite",
        "postgres",
        pytest.param("unheard", marks=pytest.mark.soak),
        pytest.param("pgbouncer", marks=[needs_pgbouncer, pytest.mark.soak]),
    ]
)
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place for a store of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/jobs.db"
    postgres: str = request.getfixturevalue("postgres")
    if request.param == "pgbouncer":
        return f"{new_namespace(request.getfixturevalue('pooled'))}#{postgres}"
    if request.param == "unheard":
        if request.node.path.name == "test_notifying.py":
            pytest.skip("nobody hears a notification there")
        # Whatever is told is lost: what a hint is needed for, beside being quick, does not work then.
        monkeypatch.setattr(Notifications, "listen", lambda *_: None)
    return new_namespace(postgres)
