"""The dashboard in a real Chromium, of a real server: what people do, and what must never happen."""

import http.client
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it comes without
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.dashboard.conftest import CHROMIUM, NO_CHROMIUM
from tests.dashboard.shop import HOSTILE
from tests.scenarios.server import ROOT, Server

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)]

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
PAGES = ["", "?span=day", "jobs", "jobs?state=failed", "jobs?text=nothing+like+it", "tasks", "queues", "schedules"]
PAGES += ["workers", "audit", "bulk?do=delete", "nowhere"]
DIFFERENT = [page for page in PAGES if not page.startswith(("?", "jobs?"))]
"""Without those that are made of the same parts as another."""


class Shop:
    """The server, from outside."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = f"http://127.0.0.1:{server.port}/postlude/"

    def ask(self, method: str, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        connection.request(method, path)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        assert answer.status == 200, text
        return text

    def link(self, role: str = "act") -> str:
        token = self.ask("GET", f"/link?role={role}").strip('"')
        return f"{self.url}sign-in?token={token}"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder: Path = tmp_path_factory.mktemp("shop")
    command = ("uvicorn", "tests.dashboard.shop:app", "--port", "{port}", "--app-dir", str(ROOT))
    with Server(folder, command) as server:
        yield Shop(server.start())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def signed_in(browser: Browser, shop: Shop) -> Any:
    """What a browser has kept when somebody has signed in by a link."""
    page = browser.new_page()
    page.goto(shop.link())
    expect(page.get_by_role("button")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    state = page.context.storage_state()
    page.context.close()
    return state


@pytest.fixture
def context(browser: Browser, shop: Shop, signed_in: Any) -> Iterator[BrowserContext]:
    """A browser in which somebody has signed in. Whatever it complains of fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, storage_state=signed_in)
    context.set_default_timeout(15_000)
    wrong: list[str] = []
    context.on("console", lambda message: wrong.append(message.text) if message.type in {"error", "warning"} else None)
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("request", lambda request: None if request.url.startswith(shop.url) else wrong.append(request.url))
    yield context
    context.close()
    assert [each for each in wrong if "status of 404" not in each] == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def newest(page: Page, shop: Shop, task: str) -> None:
    """Go to the newest job of a task."""
    page.goto(f"{shop.url}jobs?task={task}")
    page.locator("td a.main").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(task)


def state(page: Page) -> Any:
    return page.locator(".title .state")


def test_progress_moves_and_the_result_comes_without_a_reload(page: Page, shop: Shop) -> None:
    shop.ask("POST", "/count")
    newest(page, shop, "shop:count")
    page.evaluate("window.isStillThisPage = true")
    expect(page.locator("progress")).to_have_attribute("value", "1")
    expect(page.get_by_text("1 of 4 · 25 % · first step")).to_be_visible()
    expect(page.locator(".live")).to_have_text("Live")
    shop.ask("POST", "/let-go")
    expect(state(page)).to_have_text("succeeded")
    expect(page.get_by_label("Result as JSON")).to_have_text("4")
    assert page.evaluate("window.isStillThisPage")


def test_a_failure_is_read_retried_and_seen_to_succeed(page: Page, shop: Shop) -> None:
    shop.ask("POST", "/pay/17")
    newest(page, shop, "shop:pay")
    expect(state(page)).to_have_text("failed")
    expect(page.get_by_role("main")).to_contain_text("the provider refused order 17")
    expect(page.locator(".events pre")).to_contain_text("raise ConnectionError(message)")
    expect(page.get_by_label("Log lines")).to_contain_text("order 17: asking the provider")
    expect(page.locator(".chain")).to_contain_text("shop:echo")
    shop.ask("POST", "/mend/17")
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_text("Queued: it runs again.")).to_be_visible()
    expect(state(page)).to_have_text("succeeded")
    expect(page.get_by_label("Result as JSON")).to_contain_text("R-17")
    page.goto(f"{shop.url}audit")
    expect(page.get_by_role("row").nth(1)).to_contain_text("retry")
    expect(page.get_by_role("row").nth(1)).to_contain_text("ada")


def test_secrets_do_not_reach_the_browser(page: Page, shop: Shop) -> None:
    shop.ask("POST", "/mend/18")
    shop.ask("POST", "/pay/18")
    newest(page, shop, "shop:pay")
    expect(state(page)).to_have_text("succeeded")
    shown = page.content()
    for secret in ("4111-1111", "CN-77", "key-123", "tok-secret-4711"):
        assert secret not in shown
    assert shown.count("[masked]") >= 4
    page.goto(f"{shop.url}jobs?text=4111-1111")
    expect(page.get_by_text("No job matches")).to_be_visible()


def test_jobs_are_filtered_counted_and_cancelled_together(page: Page, shop: Shop) -> None:
    shop.ask("POST", "/mails/60")
    page.goto(f"{shop.url}jobs")
    page.keyboard.press("/")
    page.keyboard.type("user-7@")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_label("Text in arguments or error").fill("")
    page.get_by_label("Queue").fill("mail")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tbody tr")).to_have_count(50)
    page.get_by_role("link", name="Older →").click()
    expect(page.locator("tbody tr")).to_have_count(10)
    page.get_by_role("link", name="← Newer").click()
    expect(page.locator("tbody tr")).to_have_count(50)
    page.locator("tbody input").nth(0).check()
    page.locator("tbody input").nth(1).check()
    expect(page.get_by_text("2 chosen")).to_be_visible()
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Cancel 2 jobs").click()
    expect(page.get_by_text("2 jobs were cancelled")).to_be_visible()
    page.get_by_role("button", name="Cancel…").click()
    expect(page.get_by_role("heading", name="Cancel 58 jobs?")).to_be_visible()
    page.get_by_role("button", name="Cancel 58 jobs").click()
    expect(page.get_by_text("58 jobs were cancelled")).to_be_visible()
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("button", name="Delete 60 jobs").click()
    expect(page.get_by_text("No job matches")).to_be_visible()


def test_a_queue_is_paused_and_resumed(page: Page, shop: Shop) -> None:
    page.goto(f"{shop.url}queues")
    page.get_by_label("Pause default").click()
    expect(page.locator(".asking[open] input[name=reason]")).to_be_focused()
    page.keyboard.type("The provider is down")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Paused: queue default.")).to_be_visible()
    expect(page.get_by_role("row", name="default")).to_contain_text("The provider is down")
    page.goto(shop.url)
    expect(page.get_by_label("Needs a person")).to_contain_text("default")
    page.goto(f"{shop.url}queues")
    page.get_by_role("button", name="Resume default").click()
    expect(page.get_by_text("Resumed: queue default.")).to_be_visible()


def test_who_may_only_look_finds_nothing_to_press(browser: Browser, shop: Shop) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(shop.link("view"))
    page.get_by_role("button", name="Sign in to this browser").click()
    expect(page.get_by_text("view only")).to_be_visible()
    for path in PAGES:
        page.goto(f"{shop.url}{path}")
        buttons = page.get_by_role("button").all_inner_texts()
        assert set(buttons) <= {"Light / dark", "Sign out", "Filter"}, path
    page.goto(shop.url)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in to see the jobs")).to_be_visible()
    context.close()


def test_html_and_script_in_everything_is_only_text(page: Page, shop: Shop) -> None:
    shop.ask("POST", "/hostile")
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    newest(page, shop, "shop:hostile")
    expect(state(page)).to_have_text("failed")
    job = page.url
    newest(page, shop, "shop:echo")
    expect(state(page)).to_have_text("succeeded")
    places = [job, page.url, *(f"{shop.url}{path}" for path in PAGES), f"{shop.url}jobs?text=%3Cscript%3E"]
    for place in places:
        page.goto(place)
        assert "owned" not in page.title(), place
        assert page.locator("img, iframe, object, embed, script:not([src])").count() == 0, place
    page.goto(job)
    body = page.get_by_role("main")
    for part in (
        page.get_by_label("Arguments as JSON"),
        page.get_by_label("Log lines"),
        body.locator("pre").first,
    ):
        expect(part).to_contain_text("<script>document.title = ")
    page.goto(f"{shop.url}queues")
    expect(page.get_by_role("main")).to_contain_text(HOSTILE[:40])
    page.get_by_role("button", name="Resume shop:mail").click()
    expect(page.get_by_text("Resumed: task shop:mail.")).to_be_visible()
    assert dialogs == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_used_without_seeing_it_or_without_a_mouse(
    context: BrowserContext, shop: Shop, scheme: Any
) -> None:
    page = context.new_page()
    page.emulate_media(color_scheme=scheme)
    shop.ask("POST", "/pay/19")
    newest(page, shop, "shop:pay")
    for place in [page.url, *(f"{shop.url}{path}" for path in DIFFERENT)]:
        page.goto(place)
        # In the dark nothing but the colours is another.
        found = Axe().run(page, options=None if scheme == "light" else {"runOnly": ["color-contrast"]})
        assert found.violations_count == 0, f"{place}\n{found.generate_report()}"
    page.goto(f"{shop.url}jobs")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


def test_no_page_is_wider_than_a_phone(context: BrowserContext, shop: Shop) -> None:
    page = context.new_page()
    page.set_viewport_size({"width": 360, "height": 740})
    shop.ask("POST", "/hostile")
    newest(page, shop, "shop:hostile")
    for place in [page.url, *(f"{shop.url}{path}" for path in PAGES)]:
        page.goto(place)
        for asking in page.locator("summary.button").all():
            asking.click()
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, place
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, place


def test_a_phone_shows_which_page_it_is_and_no_name_without_its_value(context: BrowserContext, shop: Shop) -> None:
    page = context.new_page()
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{shop.url}audit")
    expect(page.locator("nav [aria-current]")).to_be_in_viewport(ratio=0.95)
    page.goto(f"{shop.url}schedules")
    expect(page.locator("td[data-label=Next]").first).to_be_visible()
    expect(page.locator("td[data-label=Then]").first).to_be_hidden()


def test_the_colours_that_were_chosen_stay(context: BrowserContext, shop: Shop) -> None:
    page = context.new_page()
    page.emulate_media(color_scheme="light")
    page.goto(shop.url)
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Light / dark").click()
    page.goto(f"{shop.url}jobs")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light


def test_a_link_that_is_only_opened_is_not_used_up(browser: Browser, shop: Shop) -> None:
    link = shop.link()
    for _ in range(2):  # first whoever looks where a mail leads to, with all that a browser does
        context = browser.new_context()
        page = context.new_page()
        page.goto(link, wait_until="networkidle")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert Axe().run(page).violations_count == 0
        context.close()


def test_pages_are_read_without_javascript(browser: Browser, shop: Shop) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(shop.link())
    page.get_by_role("button", name="Sign in to this browser").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.locator(".live")).to_have_text(re.compile(r"As of \d\d:\d\d:\d\d"))
    page.goto(f"{shop.url}jobs")
    page.get_by_label("Task").fill("shop:nothing")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_text("No job matches")).to_be_visible()
    context.close()
