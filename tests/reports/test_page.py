"""The pages in a real Chromium: what a manager clicks, waits for and reads."""

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it comes without
from playwright.sync_api import Page, expect, sync_playwright

from tests.reports.conftest import many_parts
from tests.scenarios.server import ROOT, Server, uvicorn

CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs an installed Chromium")]

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
PATIENCE = 30_000
"""Milliseconds."""
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def server(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service, with the flights that come along, and a table that takes long."""
    folder = tmp_path_factory.mktemp("service")
    shown = folder / "data"
    shutil.copytree(EXAMPLES / "reports" / "data", shown)
    shutil.copytree(data / many_parts(data, "long", 600), shown / "long", symlinks=True)
    env = {"PYTHONPATH": f"{ROOT}:{EXAMPLES}", "REPORTS_DATA": str(shown)}
    with Server(folder, uvicorn("reports.main:app"), env) as server:
        yield server.start()


@pytest.fixture(scope="module")
def page(server: Server) -> Iterator[Page]:
    """A browser that asks nobody but the service, and has nothing to complain about."""
    here = f"http://127.0.0.1:{server.port}"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = chromium.new_context(base_url=here).new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if not request.url.startswith(here) else None)
        page.goto("/reports")
        page.get_by_role("button", name="Which airlines are late, by month?").click()
        page.wait_for_url("**/page")
        yield page
        chromium.close()
    assert [text for text in said if "favicon" not in text and "404" not in text] == []


def test_the_answer_comes_without_a_reload(page: Page) -> None:
    expect(page.locator(".answer")).to_contain_text(
        "AirTran Airways Corporation has the highest average delay at arrival: 20.1 min", timeout=PATIENCE
    )
    expect(page.locator("svg path.series")).to_have_count(11)
    expect(page.locator("svg text.name")).to_have_count(5)
    row = page.locator("table").first.locator("tbody tr").nth(1)
    expect(row).to_have_text("ExpressJet Airlines Inc. 15.8 31.4 77.0 54,173", use_inner_text=True)
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV for a spreadsheet").click()
    assert download.value.suggested_filename == "report.csv"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_by_everybody(page: Page, scheme: str) -> None:
    expect(page.locator("figure")).to_be_visible(timeout=PATIENCE)
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_it_fits_a_phone(page: Page) -> None:
    expect(page.locator("figure")).to_be_visible(timeout=PATIENCE)
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.set_viewport_size({"width": 1280, "height": 800})


def test_names_at_the_ends_of_lines_cover_nobody(page: Page) -> None:
    expect(page.locator("figure")).to_be_visible(timeout=PATIENCE)
    boxes = [box for name in page.locator("svg text.name").all() if (box := name.bounding_box())]
    tops = sorted(box["y"] for box in boxes)
    assert all(below - above >= 14 for above, below in pairwise(tops))
    picture = page.locator("svg").bounding_box()
    assert picture is not None
    assert all(box["x"] + box["width"] <= picture["x"] + picture["width"] for box in boxes)


def test_what_is_wrong_is_told_beside_what_was_filled_in(page: Page) -> None:
    other = page.context.new_page()
    other.goto("/reports")
    other.select_option("select[name=data]", "flights.parquet")
    other.fill("input[name=of]", "arival_delay")
    other.get_by_role("button", name="Ask", exact=True).click()
    said = "There is no column 'arival_delay': did you mean 'arrival_delay'?"
    expect(other.get_by_role("alert")).to_have_text(said, timeout=PATIENCE)
    expect(other.locator("input[name=of]")).to_have_value("arival_delay")
    table = {"name": "sales.csv", "mimeType": "text/csv", "buffer": b"shop,amount\nnorth,12\nsouth\n"}
    other.set_input_files("input[type=file]", table)  # type: ignore[arg-type]  # one of its three forms
    other.get_by_role("button", name="Ask", exact=True).click()
    said = "Line 3 has 1 value, and the first line names 2 columns."
    expect(other.get_by_role("alert")).to_have_text(said, timeout=PATIENCE)
    other.close()


def test_the_progress_moves_and_the_report_can_be_cancelled(page: Page) -> None:
    other = page.context.new_page()
    other.goto("/reports")
    assert Axe().run(other).violations_count == 0
    other.select_option("select[name=data]", "long")
    other.select_option("select[name=what]", "max")
    other.fill("input[name=of]", "amount")
    other.fill("input[name=group_by]", "shop")
    other.get_by_role("button", name="Ask", exact=True).click()
    expect(other.locator("progress[value]")).to_be_visible(timeout=PATIENCE)
    first = other.locator("progress").get_attribute("value")
    expect(other.locator("progress")).not_to_have_attribute("value", first or "", timeout=PATIENCE)
    other.get_by_role("button", name="Cancel").click()
    expect(other.locator(".answer")).to_have_text("The report was cancelled.", timeout=PATIENCE)
    other.close()
