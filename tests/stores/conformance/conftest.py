"""The stores on which the conformance suite runs."""

from pathlib import Path

import pytest

from tests.stores.places import new_namespace


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place for a store of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/jobs.db"
    return new_namespace(request.getfixturevalue("postgres"))
