"""The pytest plugin: its fixtures, what it says when it is not told of the application, and how little it loads."""

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

APPLICATION = """
from fastapi import FastAPI
from postlude import BackgroundTasks, Postlude

app = FastAPI()
durable = Postlude(app)
sent = []

def send(to: str) -> None:
    sent.append(to)

@app.post("/{to}")
def post(to: str, tasks: BackgroundTasks) -> None:
    tasks.add_task(send, to)
"""

CONFTEST = """
import pytest

@pytest.fixture
def durable():
    import shop
    shop.sent.clear()
    return shop.durable
"""

TESTS = """
from fastapi.testclient import TestClient

def test_calls(durable_calls):
    from shop import app, send, sent
    TestClient(app).post("/a")
    durable_calls.assert_enqueued(send, "a")
    assert sent == []

def test_store(durable_store):
    from shop import app, durable, sent
    TestClient(app).post("/a")
    assert sent == ["a"]
    assert len(durable.blocking.jobs.list()) == 1

def test_worker(durable_worker):
    from shop import app, durable, sent
    TestClient(app).post("/a")
    assert len(durable.blocking.jobs.list()) == 1
    assert sent == []
    durable_worker.run_pending()
    assert sent == ["a"]
"""


def test_the_fixtures(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(shop=APPLICATION, conftest=CONFTEST, test_shop=TESTS)
    result = pytester.runpytest_subprocess("--strict-config", "-Werror", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=3)
    assert not (pytester.path / ".postlude").exists()


def test_without_the_application_it_says_what_to_write(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(durable_calls): ...")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*Define this one in conftest.py:*", "*def durable():*"])


def test_a_run_without_its_fixtures_imports_neither_postlude_nor_fastapi(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it():
            assert "pytest_postlude" in sys.modules
            assert not {"postlude", "fastapi", "pydantic"} & sys.modules.keys()
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_the_package_itself_does_not_import_pytest() -> None:
    code = "import sys, postlude.testing; assert 'pytest' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
