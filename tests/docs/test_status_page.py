"""The two pages that the page about states shows do what it says, in a real browser."""

import re
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect, sync_playwright

from tests.docs.pages import ROOT
from tests.scenarios.server import Server

CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs an installed Chromium")]

BLOCK = re.compile(r"^```(python|html)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVED = """
    from fastapi.responses import HTMLResponse

    @app.get("/pages/{number}")
    async def page(number: int) -> HTMLResponse:
        answer = HTMLResponse("<!doctype html>" + PAGES[number])
        answer.set_cookie("session", "cookie of ann")
        return answer
"""
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The application of the page, and its pages."""
    folder: Path = tmp_path_factory.mktemp("status")
    blocks = BLOCK.findall((ROOT / "docs" / "status.md").read_text("utf-8"))
    python = "\n\n".join(text for kind, text in blocks if kind == "python")
    pages = [text for kind, text in blocks if kind == "html"]
    (folder / "main.py").write_text(f"{python}\nPAGES = {pages!r}\n{textwrap.dedent(SERVED)}")
    command = ("uvicorn", "main:app", "--host", "127.0.0.1", "--port", "{port}", "--app-dir", str(folder))
    with Server(folder, command) as server:
        yield server.start()


@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[BrowserContext]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield chromium.new_context(base_url=f"http://127.0.0.1:{server.port}")
        chromium.close()


@pytest.mark.parametrize("number", [0, 1], ids=["polls", "listens"])
def test_the_page_shows_how_far_it_is_and_the_result(browser: BrowserContext, number: int) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"/pages/{number}")
    expect(page.locator("#said")).to_have_text("12 pages", timeout=20_000)
    expect(page.locator("#bar")).to_have_attribute("max", "12")
    page.close()
    assert [text for text in said if "favicon" not in text and "404" not in text] == []
