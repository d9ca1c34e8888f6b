"""Where and when Postlude can be installed; every refusal says what to do."""

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse

from postlude.errors import InstallError, PostludeError
from postlude.fastapi import install
from tests.dropin.recording import RecordingDesk, adds, durable, request


def _endpoint(app: FastAPI) -> None:
    app.get("/items/{item}")(lambda item: item)


def _websocket(app: FastAPI) -> None:
    app.websocket("/items/{item}")(lambda item: item)


def test_after_a_route() -> None:
    app = FastAPI()
    _endpoint(app)
    with pytest.raises(InstallError, match=r"already has routes \(/items/{item}\).*Move Postlude\(app\) up"):
        install(app, RecordingDesk())


def test_after_a_websocket() -> None:
    app = FastAPI()
    _websocket(app)
    with pytest.raises(InstallError, match=r"already has routes \(/items/{item}\)"):
        install(app, RecordingDesk())


def test_after_an_included_router() -> None:
    app, router = FastAPI(), APIRouter()
    router.get("/items")(lambda: 1)
    app.include_router(router)
    with pytest.raises(InstallError, match="already has routes"):
        install(app, RecordingDesk())


def test_after_routes_that_are_not_fastapis(tmp_path: Any) -> None:
    """Those of the documentation, static files and mounts have no background tasks to cover."""
    app = FastAPI()
    app.mount("/static", StaticFiles(directory=tmp_path))
    app.mount("/starlette", Starlette())
    app.add_route("/plain", lambda _: PlainTextResponse("x"))
    desk = RecordingDesk()
    install(app, desk)
    adds(app)
    request(app)
    assert desk.ran == ["job"]


def test_twice() -> None:
    app, desk = durable()
    for each in (desk, RecordingDesk()):
        with pytest.raises(InstallError, match="already installed in this application: keep one"):
            install(app, each)


def test_after_the_first_request() -> None:
    app = FastAPI()
    request(app, "/docs")
    with pytest.raises(InstallError, match=r"already answered requests.*right after app = FastAPI\(\)"):
        install(app, RecordingDesk())


@pytest.mark.parametrize("other", [APIRouter(), Starlette(), FastAPI, None])
def test_in_something_else(other: Any) -> None:
    with pytest.raises(InstallError, match="is installed in a FastAPI application, and got") as caught:
        install(other, RecordingDesk())
    assert repr(other) in str(caught.value)


def test_what_the_error_is() -> None:
    assert issubclass(InstallError, PostludeError)
    assert issubclass(InstallError, RuntimeError)


def test_a_refusal_leaves_the_application_alone() -> None:
    app = FastAPI()
    _endpoint(app)
    with pytest.raises(InstallError):
        install(app, RecordingDesk())
    assert app.user_middleware == []
    assert app.router.dependencies == []
    assert request(app, "/items/1").json() == "1"
