"""`postlude dashboard` and `postlude dashboard-link`: in, once, with what is printed."""

import re
import socket
from contextlib import ExitStack
from pathlib import Path

import httpx

from tests.cli.conftest import APP, Desk
from tests.cli.test_running import following


def test_the_dashboard_is_served_alone_and_let_into_by_its_link(desk: Desk) -> None:
    with following(desk, "dashboard", APP, "--port", "0", url=False) as lines:
        link = next(lines).strip()
        root = link.partition("/sign-in")[0]
        assert root.startswith("http://127.0.0.1:")
        with httpx.Client(base_url=root, headers={"Origin": root}, follow_redirects=True) as browser:
            form = dict(re.findall(r'name="(\w+)" value="([^"]+)"', browser.get(link).text))
            assert browser.post("/sign-in", data=form).status_code == 200
            assert "Workers" in browser.get("/workers").text
            assert browser.get("/audit").text.count("dashboard-link") == 1
        assert httpx.get(f"{root}/workers").status_code in {401, 403}


def test_a_page_that_is_open_does_not_hold_up_the_end(desk: Desk, tmp_path: Path) -> None:
    said = tmp_path / "said"
    with (
        ExitStack() as page,
        said.open("w") as errors,
        following(desk, "dashboard", APP, "--port", "0", url=False, errors=errors) as lines,
    ):
        link = next(lines).strip()
        root = link.partition("/sign-in")[0]
        browser = page.enter_context(httpx.Client(base_url=root, headers={"Origin": root}))
        browser.post("/sign-in", data=dict(re.findall(r'name="(\w+)" value="([^"]+)"', browser.get(link).text)))
        told = page.enter_context(browser.stream("GET", "/live")).iter_lines()
        assert next(told) == "event: changed"
    assert said.read_text() == "imported\n"


def test_a_link_is_made_for_a_dashboard_elsewhere(either: Desk) -> None:
    made = either.answers("dashboard-link", "--at", "https://shop.example/postlude/", "--role", "view", "--who", "ada")
    assert made["link"].startswith("https://shop.example/postlude/sign-in?token=")
    (line,) = either.on_store(lambda store: store.gate.audit(limit=9))
    assert (line.action, line.target) == ("dashboard-link", "ada")
    assert made["link"].partition("=")[2] not in str(line)


def test_everybody_is_signed_out(either: Desk) -> None:
    either.says("dashboard-link")
    assert either.answers("dashboard-link", "--revoke") == {"revoked": True}
    line, _ = either.on_store(lambda store: store.gate.audit(limit=9))
    assert (line.role, line.action) == ("cli", "sign everybody out")
    assert either.on_store(lambda store: store.gate.forget_tokens()) == 0


def test_a_port_that_is_taken_is_named(desk: Desk) -> None:

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"--port {port} cannot be listened on" in desk.refuses("dashboard", APP, "--port", port, code=1)
