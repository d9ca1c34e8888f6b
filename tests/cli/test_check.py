"""`postlude check`: each problem is found, with its cure, and nothing is changed by looking."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import apsw
import asyncpg
import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette

from postlude import Postlude, task
from postlude.checking.checks import check
from postlude.checking.hosting import Host, host
from postlude.clock import SystemClock
from postlude.findings import Finding, Looked
from postlude.standalone.finding import Found
from postlude.stores import filesystem, open_store
from postlude.stores.moments import ScheduleRow
from postlude.stores.seeing import WorkerReport
from tests.stores.bouncer import bouncer, needs_pgbouncer
from tests.stores.making import queued, staged
from tests.stores.places import server

COMMAND = Path(sys.executable).with_name("postlude")
DOCKER = Host("Docker", 10.0, "stop_grace_period")
KUBERNETES = Host("Kubernetes", 30.0, "terminationGracePeriodSeconds")


REPORT = WorkerReport("1", "3", True, "worker", {}, {}, 0, [], 0.0, 0)


class Skewed(SystemClock):
    """A clock that is off."""

    def __init__(self, seconds: float) -> None:
        self.now = lambda: SystemClock.now() + seconds


@task(name="check-greet")
async def greet(name: str, *, times: int) -> None: ...


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db"


async def look(
    url: str, *, at: Host | None = None, clock: SystemClock | None = None, **options: object
) -> Mapping[str, Looked]:
    """Check an application that has nothing of its own."""
    app = FastAPI()
    durable = Postlude(app, url=url, **options)  # type: ignore[arg-type]
    return await check(Found(app, durable._runtime, "main:app"), clock or SystemClock(), at)


def found_in(folder: Path) -> list[Path]:
    """What is there."""
    return list(folder.iterdir())


def write(path: Path, text: str) -> None:
    path.write_text(text)


def found(looked: Mapping[str, Looked]) -> dict[str, Sequence[Finding]]:
    """What is wrong, by what was looked at."""
    return {name: each.findings for name, each in looked.items() if each.findings}


async def make(url: str, *jobs: object, schedules: Sequence[ScheduleRow] = ()) -> None:
    store = open_store(url)
    await store.open()
    await store.insert(jobs)  # type: ignore[arg-type]
    await store.put_schedules(schedules)
    await store.close()


async def test_where_nothing_is_wrong_nothing_is_found(url: str) -> None:
    await make(url, queued("check-greet", arguments='{"args":["ada"],"kwargs":{"times":2}}'))
    looked = await look(url)
    assert found(looked) == {}
    assert looked["waiting jobs"].said == "1, and each can run"


async def test_a_file_that_is_not_there_is_not_made(url: str, tmp_path: Path) -> None:
    looked = await look(url)
    assert found(looked) == {}
    assert looked["file"].said.endswith("jobs.db is not there yet: whoever opens it first makes it")
    assert found_in(tmp_path) == []


# -- jobs and schedules


async def test_jobs_that_this_code_cannot_run(url: str) -> None:
    fitting = '{"args":["ada"],"kwargs":{"times":2}}'
    await make(
        url,
        queued("gone:away"),
        queued("gone:away"),
        queued("check-greet", arguments=fitting),
        queued("check-greet", arguments='{"args":["ada"],"kwargs":{}}'),
        queued("check-greet", arguments='{"args":["ada"],"kwargs":{"times":"often"}}'),
        queued("check-greet", arguments='{"args":["bob"],"kwargs":{"times":"often"}}'),
    )
    findings = found(await look(url))["waiting jobs"]
    assert all(finding.serious for finding in findings)
    said = {finding.what: finding.cure for finding in findings}
    assert len(said) == 3
    (away,) = [what for what in said if "gone:away" in what]
    assert away.startswith("2 waiting jobs of gone:away cannot run: ")
    assert "@task(formerly='gone:away')" in said[away]
    (often,) = [what for what in said if "argument 'times'" in what]
    assert often.startswith("2 waiting jobs of check-greet cannot run: argument 'times': ")
    (missing,) = said.keys() - {away, often}
    assert missing.startswith("1 waiting job of check-greet cannot run: missing a required")
    assert "default for a new parameter" in said[missing]


@pytest.mark.parametrize("number", [1, 2])
async def test_what_a_process_has_left_that_is_gone(url: str, number: int) -> None:
    store = open_store(url)
    await store.open()
    for _ in range(number):
        gone = await store.enlist()
        await store.insert([staged(gone, "check-greet")])
        await store.dismiss(gone)  # its proof of life falls, and its row stays, as when it is killed
    (finding,) = found(await look(url))["left behind"]
    jobs, processes = (
        ("1 unfinished job", "a process that is") if number == 1 else ("2 unfinished jobs", "2 processes that are")
    )
    assert finding.what == f"{jobs} of {processes} gone, and no worker is alive that takes them up"
    assert "`postlude worker`" in finding.cure
    assert not finding.serious, "the next start takes it up"
    only_adds = await store.enlist()
    await store.seeing.report_worker(only_adds, REPORT._replace(runs_jobs=False), now=1.0)
    assert "left behind" in found(await look(url))
    await store.seeing.report_worker(only_adds, REPORT, now=1.0)
    looked = await look(url)
    assert found(looked) == {}
    assert looked["left behind"].said == "a worker is alive that takes up what others leave"
    await store.close()


async def test_schedules_that_no_code_declares(url: str) -> None:
    await make(url, schedules=[ScheduleRow("nightly", "app:work", "every 60.0 s", 1e10)])
    (finding,) = found(await look(url))["schedules"]
    assert "'nightly' is in the store, and this code does not declare it" in finding.what
    assert "durable.schedules.forget('nightly')" in finding.cure
    assert not finding.serious


# -- the application and where it runs


async def test_routes_that_are_not_covered(url: str) -> None:
    app = FastAPI()
    durable = Postlude(app, url=url)
    app.include_router(APIRouter())
    app.mount("/old", Starlette())
    looked = await check(Found(app, durable._runtime, "main:app"), SystemClock(), None)
    (finding,) = found(looked)["routes"]
    assert finding.what == "/old: a mounted Starlette, which is not a FastAPI application"


async def test_a_module_that_cannot_be_imported(url: str) -> None:
    (finding,) = found(await look(url, tasks=["no.such.module"]))["modules"]
    assert finding.serious
    assert "tasks='no.such.module'" in finding.what


async def test_a_module_that_raises(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "raises_when_imported.py", "1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    (finding,) = found(await look(url, tasks=["raises_when_imported"]))["modules"]
    assert finding.serious
    assert finding.what == "tasks='raises_when_imported': ZeroDivisionError: division by zero"


async def test_a_variable_that_is_no_setting(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTLUDE_WORKERS", "4")
    (finding,) = found(await look(url))["environment"]
    assert finding.what.startswith("POSTLUDE_WORKERS in the environment is no setting of Postlude")


@pytest.mark.parametrize(("grace", "at", "wrong"), [(8.0, DOCKER, False), (9.0, DOCKER, True), (9.0, None, False)])
async def test_a_grace_that_the_platform_does_not_give(url: str, grace: float, at: Host | None, wrong: bool) -> None:
    findings = found(await look(url, shutdown_grace=grace, at=at))
    assert ("grace" in findings) == wrong
    if wrong:
        (finding,) = findings["grace"]
        assert "Docker kills 10 s after it has asked" in finding.what
        assert finding.cure == "Set stop_grace_period to 19 s or more, or shutdown_grace to less."


async def test_a_file_where_there_may_be_replicas(url: str) -> None:
    (finding,) = found(await look(url, at=KUBERNETES))["replicas"]
    assert "Run one replica" in finding.cure


def test_the_platform_is_told_by_what_it_leaves(tmp_path: Path) -> None:
    assert host(tmp_path) is None
    (tmp_path / ".dockerenv").touch()
    assert (found := host(tmp_path)) is not None
    assert found.name == "Docker"
    (tmp_path / "var/run/secrets/kubernetes.io").mkdir(parents=True)
    assert (found := host(tmp_path)) is not None
    assert found.name == "Kubernetes"


# -- files


@pytest.mark.parametrize(
    ("kind", "said"),
    [("overlay", "gone when the container is replaced"), ("tmpfs", "gone when the machine"), ("nfs4", "locks do not")],
)
async def test_a_file_system_that_forgets_or_cannot_lock(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, said: str
) -> None:
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(f"1 1 0:1 / {tmp_path} rw - {kind} none rw\n")
    monkeypatch.setattr(filesystem, "MOUNTINFO", str(mountinfo))
    (finding,) = found(await look(url))["file"]
    assert finding.serious
    assert said in finding.what


async def test_on_a_file_system_that_forgets_the_jobs_are_looked_at_too(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(url, queued("gone:away"))
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(f"1 1 0:1 / {tmp_path} rw - overlay none rw\n")
    monkeypatch.setattr(filesystem, "MOUNTINFO", str(mountinfo))
    assert found(await look(url)).keys() == {"file", "waiting jobs"}


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    (finding,) = found(await look(f"sqlite:///{tmp_path}/data/jobs.db"))["file"]
    assert finding.serious
    assert finding.what == f"there is no folder {tmp_path}/data"
    assert found(await look(f"sqlite:///{tmp_path}/.postlude/jobs.db")) == {}, "that one is made"


async def test_a_folder_above_it_that_may_not_be_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = Path.is_dir

    def is_dir(path: Path) -> bool:
        if path == tmp_path / "x":
            raise PermissionError(13, "Permission denied")
        return really(path)

    monkeypatch.setattr(Path, "is_dir", is_dir)
    looked = await look(f"sqlite:///{tmp_path}/x/jobs.db")
    (finding,) = found(looked)["file"]
    assert finding.serious
    assert finding.what == f"a folder above {tmp_path}/x may not be entered by this process"
    assert looked["waiting jobs"].said.startswith("not looked at"), "and the rest is looked at"


async def test_a_schema_of_an_earlier_release_is_left_as_it_is(url: str, tmp_path: Path) -> None:
    await make(url)
    with closing(apsw.Connection(str(tmp_path / "jobs.db"))) as database:
        database.pragma("user_version", 2)
    looked = await look(url)
    assert found(looked) == {}
    assert looked["schema"].said.startswith("2 of ")
    assert looked["waiting jobs"].said.startswith("not looked at")
    with closing(apsw.Connection(str(tmp_path / "jobs.db"))) as database:
        assert database.pragma("user_version") == 2


async def test_a_schema_of_a_later_release(url: str, tmp_path: Path) -> None:
    await make(url)
    with closing(apsw.Connection(str(tmp_path / "jobs.db"))) as database:
        database.pragma("user_version", 99)
        database.execute("INSERT INTO migrations VALUES (99, 99)")
    (finding,) = found(await look(url))["schema"]
    assert finding.serious
    assert "has schema 99" in finding.what


async def test_what_is_no_store(url: str, tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_text("not a database, and long enough to be looked at as one" * 4)
    (finding,) = found(await look(url))["schema"]
    assert finding.serious
    assert "is not a database at all" in finding.what


async def test_a_store_whose_jobs_were_moved_away(url: str, tmp_path: Path) -> None:
    await make(url, queued("gone:away"))
    move(url, f"sqlite:///{tmp_path}/there.db")
    (finding,) = found(await look(url))["schema"]
    assert finding.serious
    assert f"were moved to {tmp_path}/there.db" in finding.what


# -- PostgreSQL


async def test_a_database_where_all_is_well(postgres: str) -> None:
    looked = await look(postgres, schema="checked")
    assert found(looked) == {}
    assert "the next start of the application carries out migration 1" in looked["schema"].said
    store = open_store(postgres, schema="checked")
    await store.open()
    await store.close()
    looked = await look(postgres, schema="checked")
    assert found(looked) == {}
    assert looked["waiting jobs"].said == "none"
    assert looked["notifications"].said == "they arrive"


async def test_everything_that_is_wrong_with_a_database_is_said_at_once() -> None:
    with server() as dsn:
        admin = await asyncpg.connect(dsn)
        store = open_store(dsn)
        await store.open()
        await store.close()
        for line in (
            "ALTER SYSTEM SET fsync = off",
            "ALTER SYSTEM SET full_page_writes = off",
            "ALTER DATABASE postgres SET synchronous_commit = off",
            "ALTER DATABASE postgres CONNECTION LIMIT 3",
            "CREATE ROLE poor LOGIN",
            "GRANT USAGE ON SCHEMA postlude TO poor",
            "GRANT SELECT ON ALL TABLES IN SCHEMA postlude TO poor",
            "GRANT ALL ON postlude.jobs TO poor",
            "SELECT pg_reload_conf()",
        ):
            await admin.execute(line)
        looked = await look(dsn.replace("postlude@", "poor@"), clock=Skewed(-90.0))
        await admin.close()
    findings = found(looked)
    assert [finding.what.partition(" ")[0] for finding in findings["durability"]] == [
        "fsync",
        "full_page_writes",
        "synchronous_commit",
    ]
    (rights,) = findings["rights"]
    assert "aliases" in rights.what
    assert "jobs" not in rights.what
    assert "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA postlude" in rights.cure
    (skew,) = findings["clocks"]
    assert skew.what == "the clock of this machine is 90.0 s behind that of the database"
    (connections,) = findings["connections"]
    assert "up to 6 of each process, and 2 are free" in connections.what
    serious = {name for name, each in findings.items() if any(finding.serious for finding in each)}
    assert serious >= {"durability", "rights"}


async def test_a_schema_that_the_application_may_not_make(postgres: str) -> None:
    (finding,) = found(await look(postgres, schema="nobody_made_it", migrate="never"))["schema"]
    assert finding.serious
    assert "postlude migrate" in finding.cure


@needs_pgbouncer
async def test_a_pooler_that_shares_sessions(postgres: str) -> None:
    store = open_store(postgres, schema="pooled")
    await store.open()
    await store.close()
    with bouncer(postgres, "transaction") as pooled:
        findings = found(await look(pooled, schema="pooled"))
        (silence,) = findings["notifications"]
        assert not silence.serious
        assert "(LISTEN and NOTIFY) does not arrive" in silence.what
        (finding,) = findings["pooler"]
        assert finding.serious
        assert "gives each transaction another session" in finding.what
        assert "Set POSTLUDE_DIRECT_URL" in finding.cure
        looked = await look(pooled, schema="pooled", direct_url=postgres)
    assert found(looked) == {}
    assert looked["pooler"].said.startswith("the direct connection goes by postgresql://")
    assert looked["waiting jobs"].said == "none"


async def test_a_database_that_is_not_there() -> None:
    looked = await look("postgresql://nobody@127.0.0.1:1/none")
    (finding,) = found(looked)["database"]
    assert finding.serious
    assert looked["waiting jobs"].said.startswith("not looked at"), "and the rest is looked at"


# -- the command

APPLICATION = """
from fastapi import FastAPI
from postlude import Postlude

app = FastAPI()
durable = Postlude(app)
"""


def move(*urls: str) -> None:
    subprocess.run([COMMAND, "move", *urls], check=True, capture_output=True, timeout=60)


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """The exit code, and what it printed."""
    done = subprocess.run(
        [COMMAND, "check", *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=folder
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_the_command_finds_the_application_as_the_worker_does(tmp_path: Path) -> None:
    code, said = run(tmp_path)
    assert code == 2
    assert "No application was named" in said
    (tmp_path / "main.py").write_text(APPLICATION)
    code, said = run(tmp_path)
    assert code in {0, 1}, "1 where the folder of the tests is one that forgets"
    assert "ok       routes: 0 with durable background tasks\n" in said
    (tmp_path / "broken.py").write_text("1 / 0")
    code, said = run(tmp_path, "broken:app")
    assert code == 2
    assert "ZeroDivisionError" in said


async def test_the_exit_code_says_that_work_would_be_lost(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(APPLICATION)
    (tmp_path / ".postlude").mkdir()
    await make(f"sqlite:///{tmp_path}/.postlude/jobs.db", queued("gone:away"))
    code, said = run(tmp_path, "main:app")
    assert code == 1
    assert "problem  waiting jobs: 1 waiting job of gone:away cannot run: " in said
    assert "by which work would be lost, or never done.\n" in said
