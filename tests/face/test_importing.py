"""`import postlude` brings what declares and adds tasks, and not what runs them: that comes when a store is opened."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

IMPORTED = """
import gc, sys
import fastapi
before = set(sys.modules)
gc.collect()
gc.freeze()
gc.disable()
import postlude
print(len(gc.get_objects()))
print(*sorted(set(sys.modules) - before))
"""
MOST_MODULES = 85
"""A module that is added here is paid for by every process of every user, and most need it only once something runs:
then it belongs behind `postlude.lifetime.starting`, or is imported where it is first wanted, as in `app.py`."""
MOST_OBJECTS = 11_500
"""Objects of which the garbage collector knows. The fewer, the less likely a full collection falls into the import, and
makes it a third longer: with Python 3.11 and FastAPI 0.165 it came after 14,280, counting those that were freed again.
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, set[str]]:
    """The objects that the import has made after that of FastAPI, and the modules that it has brought."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POSTLUDE_")}
    printed = subprocess.check_output(
        [sys.executable, "-c", IMPORTED],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env=environment,
        text=True,
        timeout=60,
    )
    objects, modules = printed.splitlines()
    return int(objects), set(modules.split())


def test_it_brings_no_other_library(imported: tuple[int, set[str]]) -> None:
    """Of the standard library's, too: FastAPI has imported what it needs of that already."""
    assert {name for name in imported[1] if name.partition(".")[0] != "postlude"} == set()


def test_it_brings_nothing_that_runs_jobs_or_shows_them(imported: tuple[int, set[str]]) -> None:
    late = {
        "lifetime.starting",
        "lifetime.process",
        "lifetime.introduction",
        "lifetime.supervisor",
        "running",
        "services",
    }
    late |= {"executors.processes", "stores.contract", "stores.sqlite", "schedules", "client.timetable"}
    late |= {"api", "views", "dashboard"}
    assert imported[1].isdisjoint({f"postlude.{name}" for name in late})


def test_it_does_not_grow_unnoticed(imported: tuple[int, set[str]]) -> None:
    objects, modules = imported
    assert len(modules) <= MOST_MODULES
    assert objects <= MOST_OBJECTS


def test_what_runs_jobs_comes_with_the_first_that_is_opened(tmp_path: Path) -> None:
    program = """
import sys
from fastapi import FastAPI
from fastapi.testclient import TestClient
from postlude import Postlude

app = FastAPI()
durable = Postlude(app)
print("postlude.lifetime.starting" in sys.modules)
with TestClient(app):
    print("postlude.lifetime.starting" in sys.modules)
"""
    printed = subprocess.check_output([sys.executable, "-c", program], cwd=tmp_path, text=True, timeout=60)
    assert printed.split() == ["False", "True"]
