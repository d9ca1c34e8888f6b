"""Take the dashboard's picture for the guide on analytics: a report whose service was killed in the middle of it.

Needs an installed Chromium. Run as `python -m scripts.screenshots.reports`.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from playwright.sync_api import sync_playwright

from scripts.screenshots.mail import FLAGS, PICTURES, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

PARTS = 400
"""Million rows: a report of some seconds."""
QUESTION = {"measures": [{"what": "sum", "of": "amount"}], "group_by": ["shop"]}
SHOWN = """
from reports.main import app, durable

app.mount("/postlude", durable.dashboard(authorize=lambda: "act"))
"""


def main() -> None:
    """Ask, kill, start again, and take the picture of the job when it has succeeded."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("No Chromium is installed: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="reports-") as name:
        folder = Path(name)
        # Served from there, so that nothing names the folders of this machine.
        shutil.copytree(ROOT / "examples" / "reports", folder / "reports")
        (folder / "shown.py").write_text(SHOWN, "utf-8")
        make_data(folder / "data" / "sales")
        server, address = serve(folder)
        asked = ask(address, "/reports", {"data": "sales", "question": QUESTION})
        until(lambda: (ask(address, f"/reports/{asked['id']}")["percent"] or 0) > 20)
        server.kill()
        server.wait()
        server, address = serve(folder)
        try:
            until(lambda: ask(address, f"/reports/{asked['id']}")["state"] == "succeeded")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
                page = browser.new_page(viewport={"width": 1100, "height": 640})
                page.goto(f"{address}/postlude/jobs/{asked['id']}")
                page.wait_for_load_state("load")
                page.screenshot(path=PICTURES / "report-killed.png")
                browser.close()
        finally:
            server.terminate()
            server.wait()


def make_data(folder: Path) -> None:
    """A data set of many rows, that takes next to nothing on the disk."""
    folder.mkdir(parents=True)
    rows = "SELECT i % 40 AS shop, hash(i) % 1000 AS amount FROM range(1000000) t(i)"
    duckdb.sql(f"COPY ({rows}) TO '{folder}/00000.parquet'")
    for number in range(1, PARTS):
        (folder / f"{number:05}.parquet").symlink_to(folder / "00000.parquet")


def serve(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """A server in the folder, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "shown:app", "--port", str(port)]
    settings = {"REPORTS_DATA": str(folder / "data")}
    return subprocess.Popen(command, cwd=folder, env=os.environ | settings), f"http://127.0.0.1:{port}"


def ask(address: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """What is answered, as soon as somebody is there."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{address}{path}", content, {"Content-Type": "application/json"})  # noqa: S310 - of this machine
    found: list[dict[str, Any]] = []

    def answered() -> bool:
        try:
            with urllib.request.urlopen(request) as response:  # noqa: S310 - the same
                found.append(json.load(response))
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionError):
                raise
        return bool(found)

    until(answered)
    return found[0]


def until(look: Callable[[], bool]) -> None:
    """Look now and then, for two minutes at most."""
    for _ in range(1200):
        if look():
            return
        time.sleep(0.1)
    sys.exit("that took too long")


if __name__ == "__main__":
    main()
