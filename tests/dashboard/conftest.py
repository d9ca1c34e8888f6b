"""A dashboard over HTTP, as a browser asks for it; and an installed Chromium."""

import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from postlude import Postlude
from postlude.dashboard.application import Dashboard

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NO_CHROMIUM = "no Chromium is installed here, so NOTHING IS TRIED IN A BROWSER: apt-get install chromium"

Visit = Callable[..., "Visited"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what a dot or an `s` does not."""
    if CHROMIUM is None:
        terminalreporter.write_line(f"SKIPPED: {NO_CHROMIUM}", red=True)


class Visited:
    """An application with a dashboard, and who asks it for pages."""

    def __init__(self, app: FastAPI, durable: Postlude, dashboard: Dashboard, root: str) -> None:
        self.app = app
        self.root = root
        self.durable = durable
        self.dashboard = dashboard
        self.client = TestClient(app, base_url="http://app.example", follow_redirects=False)

    def link(self, role: Any = "act", who: str = "ada") -> str:
        """The token of a link that was just made."""
        made: str = self.durable._portal.call(self.dashboard.site.tokens.new_link(role=role, who=who))
        return made

    def sign_in(self, role: str = "act", who: str = "ada") -> None:
        assert self.post("sign-in", token=self.link(role, who)).status_code == 303

    def get(self, page: str = "", **headers: str) -> Any:
        return self.client.get(f"{self.root}/{page}", headers=headers)

    def token(self) -> dict[str, str]:
        """What a form of this browser carries."""
        for page in ("sign-in?token=x", "queues"):  # there is no signing in where the application lets people in
            token = re.search(r'name="form_token" value="(\w+)"', self.get(page).text)
            if token is not None:
                return {"form_token": token[1]}
        raise AssertionError

    def post(self, page: str, /, *, headers: dict[str, str] | None = None, **fields: str) -> Any:
        """Send a form as a page of the dashboard does."""
        return self.client.post(f"{self.root}/{page}", data={**self.token(), **fields}, headers=headers)


@pytest.fixture
def url(empty_place: str) -> str:
    """Where the store is."""
    return empty_place


@pytest.fixture
def visit(url: str) -> Iterator[Visit]:
    """A dashboard at `/postlude` of an application, or alone; `authorize` as given."""
    made: list[Postlude] = []

    def visit(
        authorize: Callable[..., Any] | None = None, *, place: str = url, alone: bool = False, **options: Any
    ) -> Visited:
        app = FastAPI()
        durable = Postlude(app, place, **options)
        made.append(durable)
        dashboard = durable.dashboard(authorize=authorize)
        if alone:
            return Visited(dashboard, durable, dashboard, "")
        app.mount("/postlude", dashboard)
        return Visited(app, durable, dashboard, "/postlude")

    yield visit
    for durable in made:
        durable.blocking.close()
