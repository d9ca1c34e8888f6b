"""Take the pictures of the guide on e-mail: the outbox, and the page of a mail that the server has refused.

Needs an installed Chromium. Run as `python -m scripts.screenshots.mail`: the mail server is that of the tests.
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
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from tests.notifications.mailserver import MailServer

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "guides" / "pictures"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
SHOWN = """
from notifications.main import app, durable

app.mount("/postlude", durable.dashboard(authorize=lambda: "act"))
"""
KEY = "for the pictures"
MAILS: list[dict[str, Any]] = [
    {"to": "ada@example.com", "name": "Ada Lovelace", "template": "welcome", "values": {"message": "Good evening."}},
    {
        "to": "grace@example.com",
        "name": "Grace Hopper",
        "template": "receipt",
        "values": {"order": "1042", "total": "€ 19"},
    },
    {"to": "mary@bücher.de", "name": "Mary Shelley", "template": "welcome", "values": {"message": "It is out."}},
]


def main() -> None:
    """Ask for three mails twice, once for a folder and once for a server, and take a picture of each."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("No Chromium is installed: apt-get install chromium")
    with sync_playwright() as playwright, MailServer() as mails:
        mails.of_recipients["grace@example.com"] = ["550 5.1.1 no such user here"]
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1100, "height": 640})
        with tempfile.TemporaryDirectory(prefix="mail-") as folder:
            take(page, Path(folder), {}, "outbox")
        with tempfile.TemporaryDirectory(prefix="mail-") as folder:
            to_server = {"MAIL_URL": f"smtp://127.0.0.1:{mails.port}", "MAIL_API_KEY": KEY}
            take(page, Path(folder), to_server, "refused")
        browser.close()


def take(page: Page, folder: Path, settings: dict[str, str], picture: str) -> None:
    """Serve from the folder, so that tracebacks name none of this machine, and take the picture."""
    shutil.copytree(ROOT / "examples" / "notifications", folder / "notifications")
    (folder / "shown.py").write_text(SHOWN, "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "uvicorn", "shown:app", "--port", address.rpartition(":")[2]]
    server = subprocess.Popen(command, cwd=folder, env=os.environ | settings)
    try:
        for mail in MAILS:
            ask(f"{address}/notifications", mail)
        time.sleep(3)  # until they are sent
        if picture == "outbox":
            page.set_viewport_size({"width": 960, "height": 330})
            page.goto(f"{address}/outbox")
        else:
            page.set_viewport_size({"width": 1100, "height": 640})
            page.goto(f"{address}/postlude/jobs?state=failed")
            page.get_by_role("link", name="notifications.send_mail").click()
        page.wait_for_load_state("load")
        page.screenshot(path=PICTURES / f"{picture}.png")
    finally:
        server.terminate()
        server.wait()


def ask(url: str, mail: dict[str, Any]) -> None:
    """As soon as somebody is there."""
    request = urllib.request.Request(  # noqa: S310 - of this machine
        url, json.dumps(mail).encode(), {"Content-Type": "application/json", "X-API-Key": KEY}
    )
    for _ in range(100):
        try:
            urllib.request.urlopen(request).close()  # noqa: S310 - the same
        except OSError:
            time.sleep(0.1)
        else:
            return
    message = f"{url} did not take it"
    raise SystemExit(message)


if __name__ == "__main__":
    main()
