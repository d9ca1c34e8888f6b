"""What `postlude worker` says, in one line, where it cannot run.

The exit code is 2 where the command line makes no sense, and else 1.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

APP = """
from fastapi import FastAPI
from postlude import Postlude, task

app = FastAPI()
durable = Postlude(app)


@task(queue="mail")
def send() -> None: ...
"""


def run(folder: Path, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    (folder / "main.py").write_text(APP)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("POSTLUDE_")} | env
    command = [sys.executable, "-m", "postlude", "worker", *options]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("options", "env", "said"),
    [
        ((), {}, "There is no store: {folder}/.postlude/jobs.db, its default place, is not there."),
        ((), {"POSTLUDE_URL": "sqlite:////nowhere/jobs.db"}, "The store cannot be kept at /nowhere/jobs.db"),
        ((), {"POSTLUDE_URL": "mysql://host/jobs"}, "POSTLUDE_URL: expected sqlite:///"),
        (("main:ap",), {}, "main has no 'ap'. Did you mean 'app'?"),
        (("--concurrency", "many"), {"POSTLUDE_URL": "sqlite:///j.db"}, "--concurrency: expected loop=NUMBER"),
        (("--concurrency", "0"), {"POSTLUDE_URL": "sqlite:///j.db"}, "concurrency: expected whole numbers"),
        (("--queues", "mial"), {"POSTLUDE_URL": "sqlite:///j.db"}, "queue 'mial' is nearly the queue 'mail'"),
        (("--queues", "post"), {"POSTLUDE_URL": "sqlite:///j.db"}, "queue 'post'. There are default, mail."),
        (("--queues", "mail:0"), {"POSTLUDE_URL": "sqlite:///j.db"}, "at least one job at once, got 'mail:0'"),
        (("--queues", "mail,,"), {"POSTLUDE_URL": "sqlite:///j.db"}, "--queues: queue must be printable text"),
        ((), {"POSTLUDE_TASKS": "no_such_module"}, "tasks='no_such_module': No module named 'no_such_module'"),
        (("--queues", "mail:²"), {"POSTLUDE_URL": "sqlite:///j.db"}, "queue 'mail:²'"),
        (("--concurrency", "loop=²"), {"POSTLUDE_URL": "sqlite:///j.db"}, "--concurrency: expected loop=NUMBER"),
    ],
)
def test_what_stands_in_its_way(tmp_path: Path, options: tuple[str, ...], env: dict[str, str], said: str) -> None:
    done = run(tmp_path, *options, **env)
    assert done.returncode == (2 if any(option.startswith("--") for option in options) else 1)
    assert said.format(folder=tmp_path) in done.stderr
    assert "Traceback" not in done.stderr


def test_what_the_application_raises_at_import_is_shown_whole(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    done = run(tmp_path, "broken:app")
    assert done.returncode == 1
    assert "The application could not be imported" in done.stderr
    assert 'broken.py", line 1' in done.stderr
