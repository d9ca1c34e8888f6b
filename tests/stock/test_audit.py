"""`postlude audit`: what was lost, what could not be stored and what should not be done twice, each with its place."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, model_serializer

from postlude import Postlude, task
from postlude.stock.audit import Audited, audit

COMMAND = Path(sys.executable).with_name("postlude")
HERE = Path(__file__)

tries: list[int] = []


class Counted(BaseModel):
    number: int

    @model_serializer
    def counted(self) -> dict[str, int]:
        tries.append(self.number)
        return {"number": self.number}


class Odd(BaseModel):
    @model_serializer
    def never(self) -> None:
        message = "not today"
        raise RuntimeError(message)


@dataclass
class Slotted:
    value: object


def plain(name: str, times: int = 1) -> None: ...


def counted(what: Counted) -> None: ...


def slotted(what: Slotted) -> None: ...


def charge(order: int) -> None: ...


@task(interrupted="hold")
def refund(order: int) -> None: ...


def observed(folder: Path, add: Callable[[BackgroundTasks, int], object], *, requests: int = 1) -> list[Audited]:
    """What the audit says of the call sites in `add`, which is called in each request with its number."""
    app = FastAPI()
    durable = Postlude(app, f"sqlite:///{folder}/jobs.db", mode="observe")

    @app.get("/{number}")
    def endpoint(number: int, tasks: BackgroundTasks) -> None:
        add(tasks, number)

    client = TestClient(app, raise_server_exceptions=False)
    for number in range(requests):
        client.get(f"/{number}")
    durable._observer.here()[0].close()
    found = audit(folder / "jobs.db-observed")
    assert found is not None
    return sorted(found.sites.values(), key=lambda each: each.site)


def line_of(text: str) -> int:
    """Where in this file that is."""
    return 1 + next(number for number, line in enumerate(HERE.read_text().splitlines()) if text in line)


def test_each_call_site_has_its_file_and_line(tmp_path: Path) -> None:
    def add(tasks: BackgroundTasks, number: int) -> None:
        tasks.add_task(plain, "one", times=number)
        functions: list[Callable[..., None]] = [plain, charge]
        for each in functions:
            tasks.add_task(each, "here are two")

    first, *both = observed(tmp_path, add, requests=3)
    assert (first.site.file, first.site.line) == (__file__, line_of('"one", times='))
    assert (first.site.source, first.site.name, first.site.first_line) == (__file__, "plain", line_of("def plain("))
    assert [each.site.line for each in both] == [line_of('"here are two")')] * 2
    assert [each.site.task.rpartition(":")[2] for each in (first, *both)] == ["plain", "charge", "plain"]
    assert [each.fates.total() for each in (first, *both)] == [3, 3, 3]


def test_why_a_call_could_not_be_stored(tmp_path: Path) -> None:
    def add(tasks: BackgroundTasks, number: int) -> None:
        tasks.add_task(plain, "fits")
        tasks.add_task(lambda: None)
        tasks.add_task(slotted, Slotted(object()))
        tasks.add_task(slotted, tasks)  # type: ignore[arg-type]
        tasks.add_task(plain)  # type: ignore[call-arg]
        tasks.add_task(print, "elsewhere")

    fits, *others = observed(tmp_path, add)
    assert fits.refused is None
    reasons = [each.refused and each.refused.reason for each in others]
    assert reasons[0] == "it is a lambda"
    assert all(str(reason).startswith("argument 'what': ") for reason in reasons[1:3])
    assert "missing 'name'" in str(reasons[3])
    assert str(reasons[4]).startswith("it lies outside the application's source root")


def test_one_call_in_many_that_could_not_be_stored_is_enough(tmp_path: Path) -> None:
    """Its arguments are of other types, so it is tried when it comes."""

    def add(tasks: BackgroundTasks, number: int) -> None:
        name: Any = object() if number == 6 else "fits"
        tasks.add_task(plain, name)

    (site,) = observed(tmp_path, add, requests=9)
    assert site.refused is not None


def test_of_calls_that_are_alike_ever_fewer_are_tried(tmp_path: Path) -> None:
    tries.clear()
    observed(tmp_path, lambda tasks, number: tasks.add_task(counted, Counted(number=number + 1)), requests=20)
    assert sorted(set(tries)) == [1, 2, 4, 8, 16]


def test_what_the_users_own_code_raises_is_recorded(tmp_path: Path) -> None:
    (site,) = observed(tmp_path, lambda tasks, _: tasks.add_task(odd, Odd()))
    assert site.refused is not None
    assert site.fates == {"succeeded": 1}


def odd(what: Odd) -> None: ...


def test_what_looks_unsafe_unless_somebody_has_decided(tmp_path: Path) -> None:
    def add(tasks: BackgroundTasks, number: int) -> None:
        tasks.add_task(charge, number)
        tasks.add_task(refund, number)

    observed(tmp_path, add)
    found = audit(tmp_path / "jobs.db-observed")
    assert found is not None
    (unsafe,) = found.unsafe
    assert unsafe.signs == [(line_of("def charge("), "its name says that it charges")]


# -- the command

PROGRAM = textwrap.dedent(
    """\
    import os, signal

    from fastapi import BackgroundTasks, FastAPI
    from fastapi.testclient import TestClient
    from postlude import Postlude

    app = FastAPI()
    Postlude(app, mode="observe")


    def send_receipt(to: str) -> None:
        if to == "eve":
            app.state.observed()
            os.kill(os.getpid(), signal.SIGKILL)


    @app.post("/{to}")
    def order(to: str, tasks: BackgroundTasks) -> None:
        tasks.add_task(send_receipt, to)
        tasks.add_task(lambda: None)


    def begun() -> None:
        from pathlib import Path
        while sum(path.read_bytes().count(b"begun") for path in Path().glob(".postlude/*/*.jsonl")) < 3:
            pass


    app.state.observed = begun
    client = TestClient(app)
    client.post("/ada")
    client.post("/eve")
    """
)

SAID = """\
1 restart lost 2 tasks; 1 of 2 call sites storable; 1 looks unsafe to run twice

… to …
processes: 1 gone, 0 alive
tasks: 2 succeeded, 1 interrupted, 1 unbegun

lost
  main.py:19 main:send_receipt: 1 while they ran
  main.py:20 main:order.<locals>.<lambda>: 1 before they began

restarts
  …: 2, with process …

not storable
  main.py:20 main:order.<locals>.<lambda>: it is a lambda
    Use a function at the top level of a module, and pass what it needs as arguments.

unsafe to run twice
  main.py:19 main:send_receipt
    main.py:11: its name says that it sends
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an application that was killed while it ran a task."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "main.py").write_text(PROGRAM)
    ended = subprocess.run([sys.executable, "-W", "ignore", "main.py"], cwd=folder, check=False, capture_output=True)
    assert ended.returncode == -9, ended.stderr
    return folder


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, "audit", *options], cwd=folder, check=False, capture_output=True, text=True)


def test_what_the_command_prints(shop: Path) -> None:
    ended = run(shop)
    assert ended.returncode == 1
    said = ended.stdout.splitlines()
    for line, expected in zip(said, SAID.splitlines(), strict=True):
        *parts, last = expected.split("…")
        assert line.endswith(last)
        assert all(part in line for part in parts)


def test_the_same_for_programs(shop: Path) -> None:
    ended = run(shop, "--json")
    assert ended.returncode == 1
    found = json.loads(ended.stdout)
    assert (found["lost"], found["call_sites"], found["storable"], found["unsafe"]) == (2, 2, 1, 1)
    assert found["tasks"] == {
        "succeeded": 2,
        "failed": 0,
        "skipped": 0,
        "discarded": 0,
        "interrupted": 1,
        "unbegun": 1,
        "cancelled": 0,
        "dropped": 0,
        "open": 0,
    }
    first, second = found["sites"]
    assert (first["file"], first["line"], first["lost"]) == (str(shop / "main.py"), 19, 1)
    assert first["signs"] == [{"line": 11, "what": "its name says that it sends"}]
    assert second["not_storable"]["reason"] == "it is a lambda"


def test_where_there_is_no_record(tmp_path: Path) -> None:
    ended = run(tmp_path)
    assert ended.returncode == 2
    assert f"There is no record in {tmp_path}/.postlude/jobs.db-observed" in ended.stderr
    assert run(tmp_path, "--url", f"sqlite:///{tmp_path}/other.db").returncode == 2


@pytest.mark.parametrize(("lost", "code"), [(False, 0), (True, 1)])
def test_the_exit_code_says_whether_anything_was_lost(lost: bool, code: int, tmp_path: Path) -> None:
    def add(tasks: BackgroundTasks, number: int) -> None:
        tasks.add_task(plain, "ada")
        if lost:
            tasks.tasks, lost_ones = [], tasks.tasks
            assert len(lost_ones) == 1

    observed(tmp_path, add)
    ended = run(tmp_path, "--url", f"sqlite:///{tmp_path}/jobs.db")
    assert ended.returncode == code
    assert ended.stdout.splitlines()[0] == (
        f"{'1 task lost without a restart' if lost else 'nothing was lost'}; 1 of 1 call site storable; "
        "0 look unsafe to run twice"
    )
