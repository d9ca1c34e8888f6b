"""A report apart from the others: more memory than it may have, on a cluster, of files that are nowhere on a disk."""

from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import fsspec  # type: ignore[import-untyped]
import pytest
from distributed import LocalCluster
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from reports.answer import answer
from reports.main import durable
from reports.numbers import numbers
from reports.question import Question
from reports.service import _beside, _questions
from reports.settings import HERE, Settings
from reports.storage import Files, Folder, data_set, data_sets, files_of
from reports.table import opened
from tests.reports.conftest import Serve

SMALL = b"shop,amount\nnorth,1\nsouth,5\nnorth,2\n"
BY_SHOP: dict[str, Any] = {"measures": [{"what": "sum", "of": "amount"}], "group_by": ["shop"]}


def test_more_memory_than_it_may_have_fails_it_alone(serve: Serve) -> None:
    with serve(memory_mb="40") as service:
        question = {"measures": [{"what": "median", "of": "amount"}], "group_by": ["shop"]}
        large, small = service.ask(question, "wide.parquet"), service.send(BY_SHOP, SMALL)
        status = service.ended(large)
        assert status["problem"] == (
            "This report needs more than the 40 MB of memory that one may use. Ask for fewer groups, a coarser bucket, "
            "a shorter time, or no median and percentile."
        )
        assert service.answer(small)["groups"][0]["names"] == ["south"]


def test_it_has_no_more_threads_than_it_may_have(serve: Serve, data: Path) -> None:
    with serve(threads="1"), opened(Files([str(data / "one.parquet")], "parquet")) as table:
        found = table.rows.query("shops", "SELECT current_setting('threads')")
        assert found is not None
        assert found.fetchall() == [(1,)]


# On a cluster


@pytest.fixture(scope="module")
def by_month(data: Path) -> Path:
    """The flights as a data set of twelve files."""
    folder = data / "by-month"
    folder.mkdir()
    with duckdb.connect() as connection:
        flights = f"CREATE TABLE flights AS SELECT * FROM read_csv('{data}/flights.csv', nullstr='NA')"
        connection.execute(flights)
        for month in range(1, 13):
            connection.table("flights").filter(f"month = {month}").write_parquet(str(folder / f"{month:02}.parquet"))
    return folder


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the cluster's own, as it ends
def test_the_same_answer_from_two_workers_of_a_cluster(serve: Serve, data: Path, by_month: Path) -> None:
    """Everything that can be measured, of twelve files: some groups are in some of them only."""
    question = {
        "measures": [
            {"what": "mean", "of": "arr_delay"},
            {"what": "share_above", "of": "arr_delay", "above": 15},
            {"what": "percentile", "of": "arr_delay", "percentile": 90},
            {"what": "median", "of": "dep_delay"},
            {"what": "max", "of": "dep_delay"},
            {"what": "count", "of": "arr_delay"},
        ],
        "group_by": ["carrier", "origin"],
        "bucket": {"column": "time_hour", "by": "quarter"},
        "filters": [{"column": "distance", "is": ">", "value": 300}],
        "at_least": 50,
        "top": 30,
    }
    asked_alone, files = Question.model_validate(question), Files(sorted(map(str, by_month.iterdir())), "parquet")
    alone = answer(asked_alone, by_month.name, numbers(asked_alone, files, lambda *_: None)).model_dump(mode="json")
    cluster = LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=2, threads_per_worker=1, dashboard_address=None, env={"REPORTS_DATA": str(data)}
    )
    with cluster, serve(cluster=cluster.scheduler_address) as service:
        client = cluster.get_client()  # type: ignore[no-untyped-call]
        if "cluster" not in durable.executors:
            durable.executors.register("cluster", client.get_executor())
        asked = service.ask(question, by_month.name)
        together = service.answer(asked)
        assert durable.blocking.jobs.get(asked.json()["id"]).task == "make-report-on-cluster"
        client.close()
    assert len(alone["groups"]) == 30
    assert together == alone


# Elsewhere than in a folder


def test_a_table_that_fsspec_reads() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/reports/sales.csv", SMALL)
    files = Folder("memory://reports").files(["sales.csv"], "csv")
    assert files == Files(["memory:///reports/sales.csv"], "csv", memory)
    told: list[float] = []
    found = numbers(Question.model_validate(BY_SHOP), files, lambda share, _: told.append(share))
    assert [names for names, _ in found.groups] == [("south",), ("north",)]
    assert told[0] == 0


class AwayError(Exception):
    """Known to the library of a storage alone."""


def away(*_: object, **__: object) -> None:
    message = "no endpoint"
    raise AwayError(message)


def test_a_storage_that_is_away_is_tried_again_and_callers_are_told(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `retry_on=OSError`, whatever its library raises."""
    fsspec.filesystem("memory").pipe_file("/tables/sales.csv", SMALL)
    files = Folder("memory://tables").files(["sales.csv"], "csv")
    with serve(data="memory://tables") as service:
        table = data_set("sales.csv")
        with monkeypatch.context() as broken:
            for name in ("ls", "exists", "_open"):
                broken.setattr(MemoryFileSystem, name, away)
            with pytest.raises(OSError, match="no endpoint"):
                files_of(table, UUID(int=0))
            with pytest.raises(OSError, match="no endpoint"):
                numbers(Question.model_validate(BY_SHOP), files, lambda *_: None)
            asked, page = service.ask(BY_SHOP, "sales.csv"), service.client.get("/reports")
        for answer in (asked, page):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
            assert answer.json()["detail"].startswith("The tables cannot be reached just now.")


def test_questions_that_are_written_wrongly_are_no_outage(serve: Serve) -> None:
    fsspec.filesystem("memory").pipe({"/wrong/sales.csv": SMALL, "/wrong/sales.csv.questions.json": b"[{]"})
    with serve(data="memory://wrong") as service, pytest.raises(ValueError, match="Expecting property name"):
        service.client.get("/reports")


def test_a_storage_that_goes_away_beside_an_upload_is_told_as_such(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was kept cannot be removed then: the schedule does that."""
    with serve(storage="memory://uploads") as service, monkeypatch.context() as broken:
        for name in ("exists", "rm"):
            broken.setattr(MemoryFileSystem, name, away)
        asked = service.send(BY_SHOP, SMALL)
        assert (asked.status_code, asked.headers["retry-after"]) == (503, "30")


def test_settings_name_each_problem() -> None:
    with pytest.raises(ValueError, match="REPORTS_THREADS: expected a whole number, 1 or more, got 'two'"):
        Settings.of({"REPORTS_THREADS": "two"})
    with pytest.raises(ValueError, match=r"(?s)MEMORY_MB: expected .*, got 0.*UPLOAD_MB: expected"):
        Settings.of({"REPORTS_MEMORY_MB": "0", "REPORTS_UPLOAD_MB": "0"})


def test_the_questions_that_lie_beside_the_data_can_be_answered() -> None:
    asked = [(name, question) for name in data_sets() for question in _questions(_beside(name))]
    assert len(asked) == 3
    for name, question in asked:
        assert numbers(question, Files([str(HERE / "data" / name)], "parquet"), lambda *_: None).groups
