"""Every statement that is executed again and again finds its rows by an index, with 100,000 jobs there."""

import re
from pathlib import Path

import apsw
import pytest

from postlude.ids import new_job_id
from postlude.job import JobState, NewJob
from postlude.stores.contract import Filter
from postlude.stores.paging import search_of
from postlude.stores.sqlite import location
from postlude.stores.sqlite.connection import connect
from postlude.stores.sqlite.lanes import all_lanes
from postlude.stores.sqlite.migrations import migrate, transaction
from postlude.stores.sqlite.searching import search_in, text_on
from postlude.stores.sqlite.statements import FOLDER, sql_for
from postlude.stores.sqlite.writing import insert

ROWS = 100_000

BY_HAND = {
    # A move, once: all over the table, and over the small index of what has an owner.
    "count_to_move",
    "owned",
    # A copy for keeps, once; nobody works on it.
    "count_jobs",
}
SMALL = (
    "SCAN workers",
    "SCAN pauses",
    "SCAN migrations",
    "SCAN schedules",
    "SCAN outboxes",
    "SCAN departures",
    "SCAN behind",
    "SCAN cancelled",
    "SCAN root",
    "SCAN claimable",
    "SCAN owner",
    "SCAN watched",
    "SCAN CONSTANT",
    "jobs_alone",
)
"""What may be read whole: as many rows as there are workers, schedules, outboxes, names, or suspects."""


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> apsw.Connection:
    path: Path = tmp_path_factory.mktemp("plans") / "jobs.db"
    location.prepare(path)
    connection = connect(path, vfs=None)
    migrate(connection, path)
    states = list(JobState)
    with transaction(connection):
        jobs = [
            NewJob(
                new_job_id(), f"app:t{n % 7}", "[]", states[n % len(states)], 1.0, float(n % 100), owner=n % 5, claim=n
            )
            for n in range(ROWS)
        ]
        insert(connection, [jobs])
    return connection


def plan(connection: apsw.Connection, name: str) -> list[str]:
    return explained(connection, sql_for(name, 4))


def explained(connection: apsw.Connection, text: str) -> list[str]:
    numbered = max(map(int, re.findall(r"\?(\d+)", text)), default=0)
    named = dict.fromkeys(re.findall(r":(\w+)", text))
    values = named or (None,) * (numbered or text.count("?"))
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.sql")))
def test_no_statement_reads_the_jobs_one_by_one(connection: apsw.Connection, name: str) -> None:
    steps = plan(connection, name)
    scans = [step for step in steps if step.startswith("SCAN") and not any(small in step for small in SMALL)]
    scans = [step for step in scans if "VALUES CLAUSE" not in step and "ROW" not in step]
    if name in BY_HAND:
        return
    assert not scans, f"{name}: {steps}"


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("succeed", "sqlite_autoindex_jobs_1"),
        ("next_lane", "jobs_claimable ((queue,task,rank)>(?,?,?))"),
        ("next_lane_limited", "jobs_claimable_limited ((queue,task,rank)>(?,?,?))"),
        ("next_partition", "jobs_partitioned (queue=? AND task=? AND rank=? AND partition>?"),
        ("due_in_partition", "jobs_partitioned (queue=? AND task=? AND rank=? AND partition=? AND run_at<?"),
        ("running_of", "jobs_limited"),
        ("adopt_due", "jobs_claimable (queue=? AND task=? AND rank=? AND run_at<?)"),
        ("running_without_partition", "jobs_claimed (owner>?)"),
        ("starts_of", "PRIMARY KEY (task=? AND partition=? AND at>?)"),
        ("delete_starts", "starts_until (until<?)"),
        ("holder", "keys_held (task=? AND key=?)"),
        ("lose_key", "keys_held (task=? AND key=?)"),
        ("keeps_key", "PRIMARY KEY (job=?)"),
        ("keyed_behind", "jobs_cancelled_by"),
        ("alias", "PRIMARY KEY (id=?)"),
        ("delete_aliases", "aliases_of_job"),
        ("answers_others", "aliases_of_job"),
        ("delete_jobs", "sqlite_autoindex_jobs_1"),
        ("chain_goes_on", "jobs_of_chain"),
        ("move_chain", "jobs_of_chain"),
        ("portion", "INTEGER PRIMARY KEY"),
        ("due", "jobs_claimable"),
        ("alone", "jobs_alone"),
        ("claim", "INTEGER PRIMARY KEY"),
        ("advance", "jobs_waiting"),
        ("any_waiting", "jobs_waiting"),
        ("queue_behind", "jobs_waiting"),
        ("cancel_behind", "jobs_waiting"),
        ("revive_behind", "jobs_cancelled_by"),
        ("to_cancel", "jobs_to_cancel"),
        ("claims_of", "jobs_claimed"),
        ("dismiss", "jobs_claimed"),
    ],
)
def test_each_uses_the_index_made_for_it(connection: apsw.Connection, name: str, index: str) -> None:
    assert index in " ".join(plan(connection, name))


@pytest.mark.parametrize(
    "name",
    [
        "next_lane",
        "next_lane_limited",
        "next_partition",
        "due",
        "due_in_partition",
        "adopt_due",
        "alone",
    ],
)
def test_what_is_ordered_is_read_in_order(connection: apsw.Connection, name: str) -> None:
    """Sorting would read all that waits before the first is given."""
    assert "TEMP B-TREE" not in " ".join(plan(connection, name))


@pytest.mark.parametrize("limited", [False, True])
def test_a_step_from_lane_to_lane_reads_past_no_jobs(connection: apsw.Connection, limited: bool) -> None:
    """What the plan does not say: where in the index a step begins."""
    steps = 0

    def count() -> bool:
        nonlocal steps
        steps += 1
        return False

    with connection:
        if limited:
            connection.execute("UPDATE jobs SET partition = '' WHERE state = 'queued'")
        lanes = [lane for lane in all_lanes(connection) if lane.limited is limited]
        connection.set_progress_handler(count, 100)
        assert list(all_lanes(connection)) == lanes
        connection.set_progress_handler(None)
        if limited:
            connection.execute("UPDATE jobs SET partition = NULL")
    assert len(lanes) == 7
    assert 100 * steps < 2_000


WAYS = {
    "newest": "SEARCH jobs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    "by_id": "SEARCH jobs USING INDEX sqlite_autoindex_jobs_1 (id>? AND id<?)",
    "of_chain": "SEARCH jobs USING INDEX jobs_of_chain (chain=? AND rowid>? AND rowid<?)",
    "of_key": "SEARCH jobs USING INDEX jobs_of_key (key=? AND rowid>? AND rowid<?)",
    "by_state": "SEARCH jobs USING INDEX jobs_by_state (state=? AND rowid>? AND rowid<?)",
    "claimed": "SEARCH jobs USING INDEX jobs_claimed (owner>?)",
}
PAGES = ("older", "newer", "edge_older", "edge_newer", "tally")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PAGES)
def test_a_search_goes_by_the_index_of_its_way(connection: apsw.Connection, name: str, way: str) -> None:
    steps = explained(connection, text_on(name, way))
    assert steps[0].replace("COVERING ", "") == WAYS[way]
    # What is claimed is little, and the tally has no order.
    assert way == "claimed" or name == "tally" or len(steps) == 1


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("count_due_free", "jobs_claimable"),
        ("count_due_limited", "jobs_claimable_limited"),
        ("count_later_free", "jobs_claimable"),
        ("count_later_limited", "jobs_claimable_limited"),
        ("count_behind", "jobs_behind"),
        ("running", "jobs_claimed"),
        ("limit_running", "jobs_limited"),
        ("limit_started", "PRIMARY KEY (task=? AND at>?)"),
        ("statistics", "PRIMARY KEY (step=? AND moment>?)"),
        ("cut_statistics", "PRIMARY KEY (step=? AND moment<?)"),
    ],
)
def test_what_is_seen_is_found_by_an_index(connection: apsw.Connection, name: str, index: str) -> None:
    steps = " ".join(plan(connection, f"seeing/{name}"))
    assert index in steps or (index.startswith("PRIMARY") and "USING PRIMARY KEY" in steps)


@pytest.mark.parametrize("name", ["count_state", "count_claimed"])
def test_states_are_counted_by_their_index(connection: apsw.Connection, name: str) -> None:
    assert " USING " in " ".join(plan(connection, f"searching/{name}"))


@pytest.mark.parametrize("newer", [False, True])
def test_a_search_looks_at_no_more_than_it_may(connection: apsw.Connection, newer: bool) -> None:
    def steps(look: int) -> int:
        count = 0

        def one_more() -> bool:
            nonlocal count
            count += 1
            return False

        search = search_of(Filter(text="no such"), limit=50, place=None, newer=newer)
        connection.set_progress_handler(one_more, 10)
        assert not search_in(connection, search, look).records
        connection.set_progress_handler(None)
        return count

    assert steps(100) < steps(1_000) < 12 * steps(100)


def test_every_index_is_of_use(connection: apsw.Connection) -> None:
    plans = " ".join(step for path in FOLDER.glob("*.sql") for step in plan(connection, path.stem))
    plans += " ".join(step for way in WAYS for step in explained(connection, text_on("older", way)))
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index'")]
    assert [name for name in names if name not in plans] == []
