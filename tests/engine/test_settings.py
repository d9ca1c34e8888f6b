"""Settings: arguments before the environment before defaults, and every problem named at once."""

import json
from collections.abc import Mapping
from datetime import timedelta
from multiprocessing import Process
from pathlib import Path
from typing import Any

import pytest
from uvicorn._subprocess import get_subprocess
from uvicorn.config import Config

from postlude.errors import SettingsError
from postlude.retention import Retention
from postlude.settings import DEFAULT_URL, Concurrency, Settings, read_settings, unknown_variables
from postlude.stores import open_store
from postlude.stores.postgres import PostgresStore


@pytest.fixture(autouse=True)
def started_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["uvicorn", "main:app"])


def test_the_defaults() -> None:
    assert read_settings({}, {}) == Settings(
        url=DEFAULT_URL,
        mode="durable",
        worker="embedded",
        tasks=(),
        allow=(),
        concurrency=Concurrency(loop=100, threads=16),
        strict=False,
        ordered=True,
        interrupted="rerun",
        on_store_error="refuse",
        shutdown_grace=8.0,
        disabled=False,
    )


def test_every_setting_can_come_from_the_environment() -> None:
    environ = {
        "POSTLUDE_URL": "postgresql://db/jobs",
        "POSTLUDE_DIRECT_URL": "postgresql://direct/jobs",
        "POSTLUDE_NAMESPACE": "shop",
        "POSTLUDE_SCHEMA": "jobs",
        "POSTLUDE_PASSWORD": "hunter2",
        "POSTLUDE_MIGRATE": "never",
        "POSTLUDE_MODE": "observe",
        "POSTLUDE_WORKER": "off",
        "POSTLUDE_TASKS": "app.tasks, app.more",
        "POSTLUDE_ALLOW": "os:remove,shutil:rmtree",
        "POSTLUDE_CARRY": "app.context:tenant, app.context:user",
        "POSTLUDE_CONCURRENCY": "loop=5, threads=6",
        "POSTLUDE_STRICT": "yes",
        "POSTLUDE_ORDERED": "0",
        "POSTLUDE_INTERRUPTED": "hold",
        "POSTLUDE_ON_STORE_ERROR": "run_unsaved",
        "POSTLUDE_RETENTION": "succeeded=60, failed=3600",
        "POSTLUDE_MASK": "customer_number, iban",
        "POSTLUDE_DASHBOARD": "/postlude",
        "POSTLUDE_SHUTDOWN_GRACE": "2.5",
        "POSTLUDE_DISABLED": "1",
    }
    assert read_settings({}, environ) == Settings(
        url="postgresql://db/jobs",
        direct_url="postgresql://direct/jobs",
        namespace="shop",
        schema="jobs",
        password="hunter2",
        migrate="never",
        mode="observe",
        worker="off",
        tasks=("app.tasks", "app.more"),
        allow=("os:remove", "shutil:rmtree"),
        carry=("app.context:tenant", "app.context:user"),
        concurrency=Concurrency(loop=5, threads=6),
        strict=True,
        ordered=False,
        interrupted="hold",
        on_store_error="run_unsaved",
        retention=Retention(succeeded=60.0, failed=3600.0),
        mask=("customer_number", "iban"),
        dashboard="/postlude",
        shutdown_grace=2.5,
        disabled=True,
    )
    assert set(environ) == {f"POSTLUDE_{name.upper()}" for name in Settings.__dataclass_fields__}, "none is forgotten"


def test_an_argument_wins_over_the_environment_and_none_is_no_argument() -> None:
    environ = {"POSTLUDE_URL": "sqlite:///environment.db", "POSTLUDE_ORDERED": "0", "POSTLUDE_STRICT": "1"}
    given = {"url": "sqlite:///argument.db", "ordered": True, "strict": None}
    settings = read_settings(given, environ)
    assert (settings.url, settings.ordered, settings.strict) == ("sqlite:///argument.db", True, True)


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert read_settings({}, {"POSTLUDE_URL": "", "POSTLUDE_SHUTDOWN_GRACE": "  "}) == Settings()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"concurrency": 7}, Settings(concurrency=Concurrency(loop=7))),
        ({"concurrency": Concurrency(threads=1)}, Settings(concurrency=Concurrency(threads=1))),
        ({"shutdown_grace": timedelta(seconds=3)}, Settings(shutdown_grace=3.0)),
        ({"shutdown_grace": 0}, Settings(shutdown_grace=0)),
        ({"tasks": ["a", "b"]}, Settings(tasks=("a", "b"))),
    ],
    ids=str,
)
def test_what_an_argument_may_be(given: dict[str, Any], expected: Settings) -> None:
    assert read_settings(given, {}) == expected


@pytest.mark.parametrize(
    ("text", "concurrency"),
    [("12", Concurrency(loop=12)), ("threads=3", Concurrency(threads=3)), ("loop=1,threads=2", Concurrency(1, 2))],
)
def test_concurrency_in_the_environment(text: str, concurrency: Concurrency) -> None:
    assert read_settings({}, {"POSTLUDE_CONCURRENCY": text}).concurrency == concurrency


@pytest.mark.parametrize(
    ("given", "environ", "problem"),
    [
        ({"worker": "on"}, {}, "worker: expected one of 'embedded', 'process', 'off', got 'on'"),
        ({"interrupted": "x"}, {}, "interrupted: expected one of 'rerun', 'hold', got 'x'"),
        ({"on_store_error": "x"}, {}, "on_store_error: expected one of 'refuse', 'run_unsaved', got 'x'"),
        (
            {"concurrency": 0},
            {},
            f"concurrency: expected whole numbers, at least one of each, got {Concurrency(loop=0)!r}",
        ),
        ({"shutdown_grace": -1}, {}, "shutdown_grace: expected seconds, 0 or more, got -1"),
        ({"migrate": "yes"}, {}, "migrate: expected one of 'auto', 'never', got 'yes'"),
        ({"namespace": ""}, {}, "namespace: expected 1 to 100 printable characters, got ''"),
        (
            {},
            {"POSTLUDE_SCHEMA": "my jobs"},
            (
                "POSTLUDE_SCHEMA: expected up to 63 small letters, digits and underscores that begin with neither a "
                "digit nor pg_, got 'my jobs'"
            ),
        ),
        ({"password": 1234}, {}, "password: expected a string, or a function that gives one, got int"),
        ({"shutdown_grace": float("inf")}, {}, "shutdown_grace: expected seconds, 0 or more, got inf"),
        ({"shutdown_grace": float("nan")}, {}, "shutdown_grace: expected seconds, 0 or more, got nan"),
        ({"allow": ["remove"]}, {}, "allow: expected 'module:name', such as 'os:remove', got 'remove'"),
        ({"allow": "os:remove"}, {}, "allow: expected a sequence of strings, got the single string 'os:remove'"),
        ({"carry": ["tenant"]}, {}, "carry: expected a ContextVar, or 'module:name' of one, got 'tenant'"),
        ({"carry": [5]}, {}, "carry: expected a ContextVar, or 'module:name' of one, got 5"),
        ({"carry": "a:b"}, {}, "carry: expected a sequence of context variables, got the single string 'a:b'"),
        ({"tasks": "app.tasks"}, {}, "tasks: expected a sequence of strings, got the single string 'app.tasks'"),
        ({"shutdown_grace": "8"}, {}, "shutdown_grace: expected seconds, 0 or more, got '8'"),
        (
            {"concurrency": "8"},
            {},
            "concurrency: expected a number or Concurrency(loop=, threads=, processes=), got '8'",
        ),
        ({"strict": "no"}, {}, "strict: expected True or False, got 'no'"),
        ({}, {"POSTLUDE_STRICT": "maybe"}, "POSTLUDE_STRICT: expected 1 or 0, got 'maybe'"),
        ({}, {"POSTLUDE_SHUTDOWN_GRACE": "8s"}, "POSTLUDE_SHUTDOWN_GRACE: expected a number of seconds, got '8s'"),
        ({}, {"POSTLUDE_WORKER": "none"}, "POSTLUDE_WORKER: expected one of 'embedded', 'process', 'off', got 'none'"),
        (
            {},
            {"POSTLUDE_CONCURRENCY": "many"},
            "POSTLUDE_CONCURRENCY: expected loop=NUMBER,threads=NUMBER,processes=NUMBER, got 'many'",
        ),
        (
            {},
            {"POSTLUDE_CONCURRENCY": "fibers=3"},
            "POSTLUDE_CONCURRENCY: expected loop=NUMBER,threads=NUMBER,processes=NUMBER, got 'fibers=3'",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_problem_says_what_was_expected_and_what_came(
    given: Mapping[str, Any], environ: Mapping[str, str], problem: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings(given, environ)
    assert raised.value.problems == (problem,)
    assert str(raised.value) == f"Postlude cannot start with these settings:\n  - {problem}"


def test_all_problems_are_named_at_once() -> None:
    environ = {"POSTLUDE_DISABLED": "perhaps", "POSTLUDE_SHUTDOWN_GRACE": "-3"}
    with pytest.raises(SettingsError) as raised:
        read_settings({"worker": "on", "tasks": "app"}, environ)
    assert len(raised.value.problems) == 4
    assert str(raised.value).count("\n  - ") == 4


@pytest.mark.parametrize(
    ("argv", "grace"),
    [
        (["uvicorn", "main:app", "--reload"], 0.0),
        (["/bin/fastapi", "dev"], 0.0),
        (["fastapi", "dev", "main.py"], 0.0),
        (["fastapi", "dev", "--no-reload"], 8.0),
        (["/site-packages/fastapi/__main__.py", "dev", "main.py"], 0.0),
        (["/site-packages/fastapi/__main__.py", "run"], 8.0),
        (["/app/__main__.py", "dev"], 8.0),
        (["__main__.py", "dev"], 8.0),
        (["fastapi", "run"], 8.0),
        (["uvicorn", "main:app"], 8.0),
        ([""], 8.0),
        ([], 8.0),
    ],
    ids=str,
)
def test_nobody_waits_at_a_reload(monkeypatch: pytest.MonkeyPatch, argv: list[str], grace: float) -> None:
    monkeypatch.setattr("sys.argv", argv)
    assert read_settings({}, {}).shutdown_grace == grace
    assert read_settings({"shutdown_grace": 5}, {}).shutdown_grace == 5


@pytest.mark.parametrize(("reload", "grace"), [(True, 0.0), (False, 8.0)])
def test_nor_at_one_that_a_script_asked_for(monkeypatch: pytest.MonkeyPatch, reload: bool, grace: float) -> None:
    """As `uvicorn.run("main:app", reload=True)` does it; the scenarios have it with a real one."""
    made = get_subprocess(Config("main:app", reload=reload), print, [])
    monkeypatch.setattr("multiprocessing.process._current_process", made)
    assert read_settings({}, {}).shutdown_grace == grace


def test_a_process_that_is_made_for_something_else_is_no_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    for made in (Process(target=print), Process(target=print, kwargs={"config": None})):
        monkeypatch.setattr("multiprocessing.process._current_process", made)
        assert read_settings({}, {}).shutdown_grace == 8.0


FORMS = "sqlite:///relative/jobs.db with three slashes, or sqlite:////absolute/jobs.db with four"
ALL_FORMS = f"{FORMS}, or postgresql://user@host:5432/database"


def url_problem(url: Any) -> str:
    with pytest.raises(SettingsError) as raised:
        open_store(url)
    (problem,) = raised.value.problems
    return problem


@pytest.mark.parametrize("url", ["", "sqlite", "redis://cache"])
def test_a_url_that_names_no_store(url: str) -> None:
    assert url_problem(url) == f"url: expected {ALL_FORMS}; got {url!r}"


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("sqlite:x.db", "sqlite:///x.db"),
        ("sqlite://x.db", "sqlite:///x.db"),
        ("sqlite+aiosqlite:///x.db", "sqlite:///x.db"),
        ("sqlite+pysqlite:////srv/x.db", "sqlite:////srv/x.db"),
        ("SQLite:///x.db", "sqlite:///x.db"),
        ("x.db", "sqlite:///x.db"),
        ("/srv/x.db", "sqlite:////srv/x.db"),
    ],
)
def test_a_url_that_is_nearly_one(url: str, meant: str) -> None:
    assert url_problem(url) == f"url: expected {FORMS}; got {url!r}: did you mean {meant!r}?"


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite://:memory:",
        "sqlite:///:memory:",
        "sqlite+aiosqlite://",
        "sqlite:///file::memory:?cache=shared",
        "sqlite:///file:jobs?mode=memory&uri=true",
        ":memory:",
    ],
)
def test_a_store_in_memory_is_none(url: str) -> None:
    assert url_problem(url) == (
        f"url: expected a file, got {url!r}, which is kept in memory, where nothing would survive: write {FORMS}; "
        'in a test, a file in a temporary folder, such as f"sqlite:///{tmp_path}/jobs.db"'
    )


def test_another_database_is_refused_without_showing_its_password() -> None:
    assert url_problem("mysql://app:hunter2@db/jobs") == f"url: expected {ALL_FORMS}; got 'mysql://***@db/jobs'"


@pytest.mark.parametrize(
    "url",
    ["postgresql//app:hunter2@db.internal/jobs", "app:hunter2@db.internal/jobs", "db.internal/jobs?password=hunter2"],
)
def test_a_server_without_its_scheme_is_not_taken_for_a_file_nor_its_password_shown(url: str) -> None:
    problem = url_problem(url)
    assert problem.startswith(f"url: expected {ALL_FORMS}; got ")
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:hunter2@b@db/jobs",
        "postgresql://app:hunter2/b@db/jobs",
        "postgresql://app:p@hunter2/b@db/jobs",
        "postgresql://app:12/hunter2@db/jobs",
        "postgresql://app:12?hunter2@db/jobs",
        "postgresql://app:hunter2#b@db/jobs",
        "postgresql://app:hunter2?b@db/jobs",
        "postgresql://app:[hunter2@db/jobs",
        "postgresql://app:hunter2@db:port/jobs",
        "postgresql+psycopg_async://app:hunter2@db:port/jobs",
        "postgresql://app:hunter2@db:65536/jobs",
        "postgresql://app:hunter2@/jobs?host=db&port=65536",
        "postgresql://app:hunter2@/jobs?host=db&port=high",
        "postgres:app:hunter2@db/jobs?password=hunter2",
    ],
)
def test_a_password_that_breaks_the_url_is_not_shown(url: str) -> None:
    problem = url_problem(url)
    assert problem.startswith("url: expected postgresql://user@host:5432/database; got 'postgres")
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    "url",
    [
        "postgres://db/jobs",
        "postgresql+asyncpg://app:p%40ss@db:5432/jobs?sslmode=require",
        "postgresql+psycopg://[::1]:5432/jobs",
        "postgresql+psycopg_async://app:p%40ss@db:65535/jobs?password=p@ss",
        "postgresql:///jobs?host=/var/run/postgresql",
        "postgresql://one:5432,two/jobs",
        "postgresql:///jobs?host=one,two&port=5432,5433",
    ],
)
def test_a_database_may_be_spelled_in_many_ways(url: str) -> None:
    assert isinstance(
        open_store(url, direct_url=url, namespace="a", schema="b", password="c", migrate="never"), PostgresStore
    )


def test_what_only_postgresql_has_is_refused_with_a_file() -> None:
    with pytest.raises(SettingsError) as raised:
        open_store(
            "sqlite:///x.db",
            direct_url="postgresql://db/jobs",
            namespace="a",
            schema="b",
            password="hunter2",
            migrate="never",
        )
    assert [problem.partition(":")[0] for problem in raised.value.problems] == [
        "direct_url",
        "namespace",
        "schema",
        "password",
        "migrate",
    ]
    assert raised.value.problems[1] == (
        "namespace: only PostgreSQL has it, and the store is a SQLite file: give each application a file of its own, "
        "and leave this out"
    )
    assert "hunter2" not in str(raised.value)


def test_the_way_beside_a_pooler_leads_to_a_database_too() -> None:
    with pytest.raises(SettingsError) as raised:
        open_store("postgresql://db/jobs", direct_url="redis://app:hunter2@db")
    (problem,) = raised.value.problems
    assert problem == "direct_url: expected postgresql://user@host:5432/database; got 'redis://***@db'"


def test_settings_do_not_show_a_password() -> None:
    assert "hunter2" not in repr(Settings(url="postgresql://app:hunter2@db/jobs", password="hunter2"))


def test_a_path_is_no_url() -> None:
    assert url_problem(Path("/srv/x.db")) == f"url: expected {ALL_FORMS}; got {Path('/srv/x.db')!r}"


def test_a_url_from_the_environment_is_called_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTLUDE_URL", " sqlite:// ")
    assert url_problem(read_settings({}).url).startswith("POSTLUDE_URL: expected a file, got 'sqlite://', which")
    assert url_problem("sqlite:///").startswith("url: expected a file"), "that one is not the variable's"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"tasks": [json]}, "tasks: expected the dotted name of a module, such as 'app.tasks', got <module 'json'"),
        ({"tasks": 5}, "tasks: expected a sequence of strings, got 5"),
        ({"allow": [len]}, "allow: expected 'module:name', such as 'os:remove', got <built-in function len>"),
        ({"concurrency": Concurrency(loop="3")}, "concurrency: expected whole numbers, at least one of each"),  # type: ignore[arg-type]
        ({"concurrency": True}, "concurrency: expected a number or Concurrency(loop=, threads=, processes=), got True"),
        ({"shutdown_grace": True}, "shutdown_grace: expected seconds, 0 or more, got True"),
    ],
)
def test_what_is_of_another_type_is_named_and_not_a_traceback(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings(given, {})
    assert [problem in one for one in raised.value.problems] == [True]


def test_a_variable_that_is_no_setting_is_named() -> None:
    environ = {"POSTLUDE_URL": "sqlite:///x.db", "POSTLUDE_SHUTDOWN": "3", "POSTLUDE_Q": "", "HOME": "/"}
    no_name, misspelt = unknown_variables(environ)
    assert misspelt == (
        "POSTLUDE_SHUTDOWN in the environment is no setting of Postlude: did you mean POSTLUDE_SHUTDOWN_GRACE?"
    )
    assert no_name.startswith("POSTLUDE_Q in the environment is no setting of Postlude; those are POSTLUDE_URL,")
