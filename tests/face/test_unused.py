"""What nobody asks for is not imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from fastapi import BackgroundTasks, FastAPI
from fastapi.testclient import TestClient

before = set(sys.modules)  # FastAPI itself imports the interface of OpenTelemetry
from postlude import Postlude

app = FastAPI()
durable = Postlude(app)
{asked}

async def send() -> None: ...

@app.post("/")
async def endpoint(tasks: BackgroundTasks) -> str:
    return str(tasks.add_task(send).id)

with TestClient(app) as client:
    durable.blocking.jobs.wait(client.post("/").json(), timeout=10)
print(*sorted(set(sys.modules) - before))
"""
LIBRARIES = ("opentelemetry", "prometheus_client", "sentry_sdk")
OWN = {
    "postlude.telemetry.prometheus": 'app.mount("/metrics", durable.metrics())',
    "postlude.telemetry.meters": "durable.instrument()",
    "postlude.telemetry.tracing": "durable.instrument()",
}


def loaded(folder: Path, asked: str) -> set[str]:
    """The modules that an application with one job has loaded beyond those of FastAPI."""
    (folder / "main.py").write_text(PROGRAM.format(asked=asked))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POSTLUDE_")}
    command = [sys.executable, "main.py"]
    return set(subprocess.check_output(command, cwd=folder, env=environment, text=True, timeout=60).split())


def test_nothing_of_telemetry_is_imported_where_nobody_asks_for_it(tmp_path: Path) -> None:
    modules = loaded(tmp_path, "")
    assert "postlude.telemetry" in modules
    assert [name for name in modules if name.partition(".")[0] in LIBRARIES] == []
    assert modules.isdisjoint(OWN)


def test_nothing_that_shows_or_observes_is_imported_by_who_only_runs_tasks(tmp_path: Path) -> None:
    modules = loaded(tmp_path, "")
    assert modules.isdisjoint({"difflib", "postlude.masking", "postlude.views", "postlude.stock"})


@pytest.mark.parametrize(("module", "asked"), OWN.items())
def test_what_is_asked_for_is_imported(tmp_path: Path, module: str, asked: str) -> None:
    assert module in loaded(tmp_path, asked)
