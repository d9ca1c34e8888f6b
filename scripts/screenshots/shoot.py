"""Take the pictures in docs/images: every page in light and dark, of a shop that has had a busy morning.

Needs an installed Chromium. Writes `<page>-<light|dark>.png`, and the overview as a phone shows it.
"""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urljoin

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
PAGES = ("overview", "jobs", "job", "bulk", "tasks", "queues", "schedules", "workers", "audit", "sign-in")


def main() -> None:
    """Start the shop, let it work, take the pictures."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("No Chromium is installed: apt-get install chromium")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="shop-") as folder:
        shutil.copy(Path(__file__).with_name("shop.py"), folder)  # so that tracebacks name no folder of this machine
        command = [sys.executable, "-m", "uvicorn", "shop:app", "--port", str(port)]
        server = subprocess.Popen(command, cwd=folder)
        try:
            work(port)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
                root = f"http://127.0.0.1:{port}/postlude/"
                act(browser, root)
                for scheme in ("light", "dark"):
                    take(browser, root, scheme)
                browser.close()
        finally:
            server.terminate()
            server.wait()


def work(port: int) -> None:
    """Have the shop do its work, and wait until what can end has ended."""
    for _ in range(100):
        try:
            ask(port, "/morning")
            break
        except OSError:
            time.sleep(0.1)
    for order in range(48210, 48250):
        ask(port, f"/orders/{order}/pay")
    time.sleep(8)  # retries, and what workers say of themselves


def ask(port: int, path: str) -> None:
    """POST, and wait for the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", path)
    connection.getresponse().read()
    connection.close()


def act(browser: Browser, root: str) -> None:
    """Do a few things, for the audit log."""
    page = browser.new_page()
    for button in ("Pause images", "Resume images"):
        page.goto(f"{root}queues")
        page.get_by_label(button).first.click()
        if button.startswith("Pause"):
            page.locator(".asking[open] input[name=reason]").fill("new lenses")
            page.keyboard.press("Enter")
            page.get_by_text("Paused: queue images.").wait_for()
    page.goto(f"{root}jobs?state=failed")
    page.locator("td a.main").last.click()
    page.get_by_role("button", name="Retry").click()
    page.get_by_text("Queued: it runs again.").wait_for()
    page.context.close()


def take(browser: Browser, root: str, scheme: str) -> None:
    """One picture of each page."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    for name in PAGES:
        show(page, root, name)
        if page.locator("main[data-live]").count():
            page.locator(".live[data-state=on]").wait_for()
        page.screenshot(path=IMAGES / f"{name}-{scheme}.png")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(root)
    page.screenshot(path=IMAGES / f"phone-{scheme}.png")
    context.close()


def show(page: Page, root: str, name: str) -> None:
    """Go to the page with this name."""
    if name == "job":
        page.goto(f"{root}jobs?state=failed")
        page.locator("td a.main").first.click()
    else:
        where = {"overview": "", "bulk": "bulk?do=retry&task=shop.mail:send_receipt", "sign-in": "../closed/postlude/"}
        page.goto(urljoin(root, where.get(name, name)))


if __name__ == "__main__":
    main()
