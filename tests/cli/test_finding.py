"""Which application `postlude worker` runs the jobs of, and what it says where there is none."""

import sys
from pathlib import Path

import pytest

from postlude.errors import ApplicationNotFound, StartedInChild
from postlude.standalone.finding import Found, find
from tests.cli.conftest import Desk

APP = """
from fastapi import FastAPI
from postlude import Postlude

{name} = FastAPI()
durable = Postlude({name})
"""


@pytest.fixture(autouse=True)
def here(importable: Path) -> Path:
    return importable


def write(path: str, text: str = APP.format(name="app")) -> None:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")


def made_in(found: Found, path: str) -> bool:
    return sys.modules[found.text.partition(":")[0]].__file__ == str(Path(path).resolve())


@pytest.mark.parametrize("path", ["main.py", "app.py", "api.py", "app/main.py", "app/app.py", "app/api.py"])
def test_the_usual_places(path: str) -> None:
    write(path)
    assert made_in(find(None), path)


def test_the_first_of_the_usual_places() -> None:
    for path in ("app/api.py", "api.py", "app.py"):
        write(path)
    assert made_in(find(None), "app.py")


def test_the_one_that_pyproject_names() -> None:
    write("main.py")
    write("backend/service.py", APP.format(name="shop"))
    write("pyproject.toml", '[tool.fastapi]\nentrypoint = "backend.service:shop"\n')
    assert find(None).text == "backend.service:shop"
    assert find("main.py").text == "main:app", "what is said on the command line wins"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("shop.service:app", "shop.service:app"),
        ("shop.service", "shop.service:app"),
        ("shop/service.py", "shop.service:app"),
        ("shop/service.py:app", "shop.service:app"),
        ("shop", "shop:app"),
        ("shop/__init__.py", "shop:app"),
    ],
)
def test_every_way_to_name_one(given: str, text: str) -> None:
    write("shop/service.py")
    write("shop/__init__.py", "from shop.service import app")
    assert find(given).text == text


def test_one_by_its_path_from_outside_of_its_packages(here: Path) -> None:
    write("src/shop/__init__.py", "")
    write("src/shop/service.py")
    assert find("src/shop/service.py").text == "shop.service:app"
    assert sys.path[0] == str(here / "src")


def test_one_of_another_name() -> None:
    write("main.py", APP.format(name="shop"))
    assert find(None).text == "main:shop"


def test_one_that_a_function_makes() -> None:
    body = "\n    ".join(APP.format(name="app").strip().splitlines())
    write("main.py", f"def create_app():\n    {body}\n    return app\n")
    assert find("main:create_app").app.title == "FastAPI"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "has none of main.py, app.py, api.py, app/main.py, app/app.py, app/api.py"),
        ("shop", "There is no module 'shop'"),
        ("shop.service:app", "There is no module 'shop'"),
        ("shop.py", "There is no .*/shop.py"),
        ("shop service", "Expected main:app, the path of a file or package"),
        (":app", "Expected main:app, .*, got ':app'"),
        ("", "Expected main:app, .*, got ''"),
    ],
)
def test_where_there_is_none(given: str | None, said: str) -> None:
    with pytest.raises(ApplicationNotFound, match=said):
        find(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("main:ap", r"main has no 'ap'\. Did you mean 'app'\?"),
        ("main:shop", r"main has no 'shop'\. It has app\."),
        ("main:durable", "main:durable is <postlude.app.Postlude .*>: expected a FastAPI application"),
        ("main:makes", "main:makes is <function makes .*>: expected a FastAPI application, or a function that makes"),
        ("main:number", r"main:number\(\) was to make a FastAPI application, and made 3"),
    ],
)
def test_what_is_none(given: str, said: str) -> None:
    write("main.py", APP.format(name="app") + "def makes(name): ...\ndef number(): return 3\n")
    with pytest.raises(ApplicationNotFound, match=said):
        find(given)


def test_a_module_without_one() -> None:
    write("main.py", "")
    with pytest.raises(ApplicationNotFound, match="main has no FastAPI application: name it"):
        find(None)


def test_an_application_without_postlude() -> None:
    write("main.py", "from fastapi import FastAPI\napp = FastAPI()\n")
    with pytest.raises(ApplicationNotFound, match=r"main:app has no Postlude.* put durable = Postlude\(app\) right"):
        find(None)


def test_one_in_which_it_is_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTLUDE_DISABLED", "1")
    write("main.py")
    with pytest.raises(ApplicationNotFound, match="POSTLUDE_DISABLED is set"):
        find(None)


def test_one_that_is_only_observed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTLUDE_MODE", "observe")
    write("main.py")
    with pytest.raises(ApplicationNotFound, match=r"only observed .* `postlude audit` says"):
        find(None)


def test_without_it_a_command_goes_on_only_with_a_store_that_is_named(desk: Desk) -> None:
    write("main.py", "from fastapi import FastAPI\napp = FastAPI()\n")
    done = desk.run("jobs", "list")
    assert done.exit_code == 0
    assert "Going on without the application, with the store that POSTLUDE_URL names. main:app has" in done.stderr
    desk.env["POSTLUDE_URL"] = None
    assert desk.refuses("jobs", "list", code=2).startswith("main:app has no Postlude")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tool.fastapi]\nentrypoint = 'main'", "expected module:name, such as 'main:app', got 'main'"),
        ("[tool", "pyproject.toml cannot be read"),
    ],
)
def test_a_pyproject_that_says_it_wrongly(text: str, said: str) -> None:
    write("main.py")
    write("pyproject.toml", text)
    with pytest.raises(ApplicationNotFound, match=said):
        find(None)


def test_what_the_module_raises_is_shown_as_it_is() -> None:
    write("main.py", "import a_module_that_is_not_there\n")
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
        find(None)


def test_a_module_that_starts_its_server_at_import() -> None:
    write("main.py", APP.format(name="app") + "def work(): ...\ndurable.blocking.enqueue(work)\n")
    with pytest.raises(StartedInChild, match='under `if __name__ == "__main__":`'):
        find(None)
