"""Which tasks `postlude tasks list` knows of an application that runs none of its code."""

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Desk

APP = """
import os

import letters
from fastapi import FastAPI
from postlude import Postlude, schedule

app = FastAPI()
durable = Postlude(app, tasks=["chores"], allow=["os:remove"])


@schedule("0 9 * * *", name="morning")
def wake() -> None: ...


def first() -> None: ...
def second() -> None: ...
def third() -> None: ...
def unused() -> None: ...


async def add_all(tasks) -> None:
    def inner() -> None: ...

    tasks.add_task(first)
    await durable.enqueue(second)
    await durable.enqueue_many(third, [()])
    tasks.add_task(letters.post)
    tasks.add_task(inner)
    tasks.add_task(lambda: None)
    tasks.add_task(os.getpid)
    tasks.add_task()
"""
MODULES = {
    "main.py": APP,
    "letters.py": "def post() -> None: ...\n",
    "chores.py": "from postlude import task\n\n@task(name='sweep')\ndef sweep() -> None: ...\n",
}


@pytest.fixture
def folder(importable: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That of the application."""
    found = importable / "shop"
    found.mkdir()
    for name, text in MODULES.items():
        (found / name).write_text(text, "utf-8")
    monkeypatch.chdir(found)
    return found


def test_all_that_can_run_and_nothing_else(desk: Desk, folder: Path) -> None:
    names = [each["name"] for each in desk.answers("tasks", "list")]
    own = [name for name in names if not name.startswith(("tests.", "postlude."))]
    expected = ["letters:post", "main:first", "main:second", "main:third", "main:wake", "os:remove", "sweep"]
    assert [name for name in own if name in expected] == expected
    assert not {"main:unused", "os:getpid", "posix:getpid"} & {*names}
    assert not [name for name in names if "<" in name]


def test_a_module_of_tasks_is_imported_and_what_it_lacks_is_said(desk: Desk, folder: Path) -> None:
    assert desk.says("enqueue", "sweep").strip()
    (folder / "chores.py").write_text("import nothing_like_this", "utf-8")
    del sys.modules["chores"], sys.modules["main"]
    assert "tasks='chores': No module named 'nothing_like_this'" in desk.refuses("tasks", "list", code=2)
