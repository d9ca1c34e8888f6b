"""Who is let in, what they may do, and what keeps others out."""

import html
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from postlude import Jobs, Postlude
from postlude.dashboard import Visitor
from postlude.dashboard.application import PAGES
from postlude.dashboard.headers import HEADERS
from postlude.errors import CallError, SettingsError
from tests.dashboard.conftest import Visit

SHOWN = ["", "jobs", "tasks", "queues", "schedules", "workers", "audit"]
CHANGES = [page.path.replace("{job_id}", "0192f0c1-2345-7890-abcd-0123456789ab")[1:] for page in PAGES if page.changes]


def let_in(x_role: Annotated[str | None, Header()] = None) -> Any:
    return x_role


def test_a_dashboard_without_authorize_is_closed_and_says_how_to_get_in(visit: Visit) -> None:
    visited = visit()
    for page in [*SHOWN, "jobs/0192f0c1-2345-7890-abcd-0123456789ab", "bulk?do=retry", "live", "live/jobs/x"]:
        answer = visited.get(page)
        assert answer.status_code == 401
        assert "postlude dashboard-link" in answer.text
        assert "--at http://app.example/postlude<" in answer.text
        assert "authorize=" in answer.text


def test_where_it_is_mounted_makes_no_line_of_its_code_too_long_to_be_shown(visit: Visit) -> None:
    visited = visit()
    visited.app.mount("/internal/operations/postlude", visited.dashboard)
    page = visited.client.get("/internal/operations/postlude/").text
    code = re.findall(r"<pre.*?>(.*?)</pre>", page, re.DOTALL)[-1]
    assert "/internal/operations/postlude" in code
    assert max(map(len, html.unescape(code).splitlines())) <= 54, "as many characters as there is room for"


def test_a_link_is_used_once_and_not_by_who_only_looks_at_it(visit: Visit) -> None:
    visited = visit()
    token = visited.link()
    for _ in range(2):
        assert "Sign in to this browser" in visited.get(f"sign-in?token={token}").text
    answer = visited.post("sign-in", token=token)
    assert (answer.status_code, answer.headers["location"]) == (303, "/postlude/")
    assert visited.get("").status_code == 200
    visited.client.cookies.clear()
    assert visited.get("").status_code == 401
    answer = visited.post("sign-in", token=token)
    assert answer.status_code == 401
    assert "does not work any more" in answer.text


def test_who_has_signed_in_stays_signed_in_when_the_server_is_started_again_until_they_sign_out(visit: Visit) -> None:
    visited, after_reload = visit(), visit()
    visited.sign_in(who="ada")
    after_reload.client.cookies = visited.client.cookies
    assert "ada" in after_reload.get("").text
    assert after_reload.post("sign-out").status_code == 303
    assert visited.client.get("/postlude/", headers={}).status_code == 401


@pytest.mark.parametrize("alone", [False, True], ids=["another store", "alone"])
def test_dashboards_on_one_host_leave_one_another_signed_in(visit: Visit, tmp_path: Path, alone: bool) -> None:
    here = visit()
    there = visit(alone=True) if alone else visit(place=f"sqlite:///{tmp_path / 'another.db'}")
    here.sign_in(who="ada")
    there.client.cookies = here.client.cookies  # of one host, whatever the port
    there.sign_in(who="bob")
    here.client.cookies = there.client.cookies
    assert ">ada<" in here.get("").text
    assert ">bob<" in there.get("").text
    assert there.post("sign-out").status_code == 303
    here.client.cookies = there.client.cookies
    assert ">ada<" in here.get("").text


@pytest.mark.parametrize("terminal", [True, False])
def test_a_link_is_written_on_the_terminal_and_into_no_log(
    visit: Visit, terminal: bool, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    caplog.set_level("INFO")
    visited = visit()
    with visited.client:
        tokens = re.findall(r"/postlude/sign-in\?token=(\S+)", capsys.readouterr().err)
        assert len(tokens) == terminal
        assert "token=" not in caplog.text
        assert "dashboard: /postlude" in caplog.text
        assert "not covered" not in caplog.text
        assert [visited.post("sign-in", token=token).status_code for token in tokens] == [303] * terminal


def test_who_is_let_in_is_written_down(visit: Visit) -> None:
    visited = visit()
    visited.sign_in(who="ada")
    assert visited.post("sign-out").status_code == 303
    visited.sign_in(who="ada")
    assert visited.post("sign-out-everybody").status_code == 303
    lines = visited.durable._portal.call(visited.dashboard.site.views.audit())
    written = [(line.who, line.role, line.action) for line in reversed(lines)]
    link, sign_in = ("ada", "cli", "dashboard-link"), ("ada", "act", "sign in")
    assert written == [link, sign_in, ("ada", "act", "sign out"), link, sign_in, ("ada", "act", "sign everybody out")]


def test_everybody_is_signed_out_by_who_may_act(visit: Visit) -> None:
    ada, eve = visit(), visit()
    eve.sign_in("view", who="eve")
    assert ">Sign everybody out<" not in eve.get("audit").text
    assert eve.post("sign-out-everybody").status_code == 403
    ada.sign_in()
    token = ada.link()
    assert ">Sign everybody out<" in ada.get("audit").text
    answer = ada.post("sign-out-everybody")
    page = ada.client.get(answer.headers["location"])
    assert (page.status_code, "Everybody is signed out" in page.text) == (401, True)
    assert eve.get("").status_code == 401
    assert ada.post("sign-in", token=token).status_code == 401


@pytest.mark.parametrize("empty_place", ["sqlite"], indirect=True)
def test_the_store_has_no_token_that_could_be_used(visit: Visit, tmp_path: Path) -> None:
    visited = visit()
    token = visited.link()
    visited.sign_in()
    (session,) = [value for name, value in visited.client.cookies.items() if name.startswith("postlude_session")]
    visited.durable.blocking.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("jobs.db*"))
    assert token.encode() not in kept
    assert session.encode() not in kept
    assert b"session" in kept, "it is that file"


def test_the_cookie_is_for_the_dashboard_alone_and_for_no_script(visit: Visit) -> None:
    visited = visit()
    cookie = visited.post("sign-in", token=visited.link()).headers["set-cookie"].lower()
    assert {"httponly", "samesite=lax", "path=/postlude", "max-age=604800"} <= {
        each.strip() for each in cookie.split(";")
    }
    assert "secure" not in cookie
    visited.client.base_url = "https://app.example"
    assert "secure" in visited.post("sign-in", token=visited.link()).headers["set-cookie"].lower()


@pytest.mark.parametrize(
    ("granted", "status"),
    [("view", 200), ("act", 200), (True, 200), (None, 403), ("", 403), (False, 403), (Visitor("eve", "view"), 200)],
)
def test_the_application_says_who_may_look(visit: Visit, granted: Any, status: int) -> None:
    visited = visit(authorize=lambda: granted)
    assert {visited.get(page).status_code for page in SHOWN} == {status}


def test_who_may_only_look_changes_nothing(visit: Visit) -> None:
    visited = visit(authorize=lambda: Visitor("eve", "view"))
    for page in CHANGES:
        answer = visited.client.post(f"/postlude/{page}", data={"queue": "default"})
        assert answer.status_code == 403
        assert "eve may look, and not act" in answer.text
    assert not visited.durable.blocking.jobs.pauses()


def test_who_may_only_look_sees_no_button_that_acts(visit: Visit) -> None:
    assert ">Pause everything<" not in visit(authorize=lambda: "view").get("queues").text
    assert ">Pause everything<" in visit(authorize=lambda: "act").get("queues").text


def test_authorize_is_a_dependency_like_others(visit: Visit) -> None:
    def staff(role: Annotated[str | None, Depends(let_in)]) -> Any:
        if role is None:
            raise HTTPException(303, headers={"location": "/login"})
        if role == "nobody":
            raise HTTPException(401, "Sign in first", headers={"www-authenticate": "Bearer"})
        return role

    visited = visit(authorize=staff)
    assert visited.get("jobs").headers["location"] == "/login"
    assert visited.get("jobs", **{"x-role": "view"}).status_code == 200
    answer = visited.get("jobs", **{"x-role": "nobody"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "Sign in first" in answer.text


class Sessions:
    """As Starlette's own, which needs another package to sign its cookie."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"] = {"user": 7}
        await self.app(scope, receive, send)


def test_authorize_sees_the_application_that_the_dashboard_is_mounted_in(visit: Visit) -> None:
    def staff(request: Request, asked: Annotated[str, Depends(let_in)], jobs: Jobs) -> Any:
        assert request.url_for("login").path == "/login"
        assert jobs is visited.durable.jobs
        assert request.state.asked == asked
        return Visitor(request.app.state.users[request.session["user"]], "act")

    visited = visit(authorize=staff)
    visited.app.state.users = {7: "ada"}

    @visited.app.get("/login", name="login")
    async def login() -> None: ...

    @visited.app.middleware("http")
    async def note(request: Request, call_next: Any) -> Any:
        request.state.asked, request.state.visitor = request.headers.get("x-role"), "the application's own"
        return await call_next(request)

    visited.app.add_middleware(Sessions)
    assert ">ada<" in visited.get("jobs", **{"x-role": "any"}).text
    assert visited.get("nowhere", **{"x-role": "any"}).status_code == 404
    visited.app.dependency_overrides[staff] = lambda: Visitor("grace", "view")
    assert ">grace<" in visited.get("jobs").text


def test_what_authorize_gives_by_mistake_opens_nothing(visit: Visit) -> None:
    visited = visit(authorize=lambda: "admin")
    with pytest.raises(CallError, match=r"expected it to give 'act'.* got 'admin'"):
        visited.get("jobs")


def test_authorize_has_to_be_a_function(visit: Visit) -> None:
    with pytest.raises(CallError, match=r"expected a dependency.* got 'act'"):
        visit(authorize="act")


# Other sites


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
    ],
)
def test_a_form_of_another_site_is_refused_even_with_the_right_token(visit: Visit, headers: dict[str, str]) -> None:
    visited = visit(authorize=lambda: "act")
    answer = visited.post("queues/pause", queue="default", headers=headers)
    assert answer.status_code == 403
    assert "This was not sent by a page of app.example" in answer.text
    assert not visited.durable.blocking.jobs.pauses()


@pytest.mark.parametrize("token", ["", "0" * 64, "ä"])
def test_a_form_without_its_token_is_refused(visit: Visit, token: str) -> None:
    visited = visit()
    visited.sign_in()
    for page in [*CHANGES, "sign-in", "sign-out"]:
        answer = visited.client.post(f"/postlude/{page}", data={"form_token": token, "queue": "default"})
        assert answer.status_code == 403
        assert "does not carry the token" in answer.text
    assert visited.get("").status_code == 200


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "same-origin"}, {"origin": "http://app.example"}, {}])
def test_a_form_of_our_own_is_taken(visit: Visit, headers: dict[str, str]) -> None:
    visited = visit(authorize=lambda: "act")
    assert visited.post("queues/pause", queue="default", headers=headers).status_code == 303
    assert [each.name for each in visited.durable.blocking.jobs.pauses()] == ["default"]


def test_a_form_that_is_too_large_is_not_read_to_its_end(visit: Visit) -> None:
    answer = visit(authorize=lambda: "act").post("queues/pause", queue="a" * 70_000)
    assert answer.status_code == 403
    assert "65,536 bytes" in answer.text


@pytest.mark.parametrize("page", ["", "nowhere", "jobs/no-id", "jobs?state=odd", "static/0/page.js"])
def test_every_answer_has_the_headers(visit: Visit, page: str) -> None:
    answer = visit(authorize=lambda: "view").get(page)
    assert HEADERS.items() <= dict(answer.headers).items()
    assert answer.headers["cache-control"] == ("no-cache" if page.startswith("static") else "no-store")


# Mistakes


@pytest.mark.parametrize(
    ("page", "status", "text"),
    [
        ("nowhere", 404, "no such page"),
        ("jobs/0192f0c1-2345-7890-abcd-0123456789ab", 404, "No job has the id"),
        ("jobs/no-id", 400, "Expected the id of a job"),
        ("jobs?state=odd", 400, "expected one of staged, queued"),
        ("jobs?since=ever", 400, "expected one of 15m, 1h"),
        ("jobs?place=nowhere", 400, ""),
        ("jobs?task=a%00b", 400, "task: expected text without the character NUL"),
        ("jobs?text=%00", 400, "text: expected text without the character NUL"),
        ("jobs?place=%00", 400, ""),
        ("jobs/a%00b", 400, "Expected the id of a job"),
        ("bulk?do=retry&key=%00", 400, "key: expected text without the character NUL"),
        ("bulk?do=eat", 400, "expected one of retry, cancel, delete"),
        ("audit?before=x", 400, "expected the number of a line"),
    ],
)
def test_what_is_not_understood_is_said_on_a_page(visit: Visit, page: str, status: int, text: str) -> None:
    answer = visit(authorize=lambda: "act").get(page)
    assert answer.status_code == status
    assert text in answer.text
    assert "<h1>" in answer.text


# Mounting


def test_it_is_mounted_by_a_setting() -> None:
    app = FastAPI()
    durable = Postlude(app, dashboard="/ops/jobs")
    assert "/ops/jobs" in [getattr(route, "path", None) for route in app.routes]
    assert durable.settings.dashboard == "/ops/jobs"


@pytest.mark.parametrize("path", ["", "postlude", "/", "/a b", "/a/", "/{x}"])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(SettingsError, match="dashboard: expected a path such as '/postlude'"):
        Postlude(dashboard=path)


def test_where_there_is_none_nothing_of_it_is_imported() -> None:
    program = (
        "import sys; from fastapi import FastAPI; from postlude import Postlude; Postlude(FastAPI());"
        "print([name for name in sys.modules if name.startswith(('jinja2', 'markupsafe', 'postlude.dashboard'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_it_needs_is_named_where_it_is_missing() -> None:
    program = (
        "import sys; sys.modules['jinja2'] = None; from postlude import Postlude\n"
        "try: Postlude().dashboard()\nexcept Exception as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'postlude[dashboard]'" in done.stdout
