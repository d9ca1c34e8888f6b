"""SIGKILL under load, of an application that is only observed: the audit says what the clients and the tasks know.

What really was lost is known from outside: by the clients, who have their answers, and by the process that hears of
each task that ends. The audit knows the same from the record that the killed processes have left.
"""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.crash import counter
from tests.crash.test_crash import SEED, Account, Load
from tests.scenarios.server import Server, uvicorn
from tests.scenarios.waiting import let_pass, wait_until

COMMAND: Final = Path(sys.executable).with_name("postlude")
OFF_BY: Final = 5
"""By how many tasks a kill may put the audit off: those that were added or ended in the last milliseconds."""
BETWEEN: Final = 0.12
"""Seconds that a client waits between two requests, most of which are for long tasks: much is lost by each kill, and
little of it happens in its last moment."""
WEIGHTS: Final = (15, 15, 20, 45, 5)


def audit(server: Server) -> dict[str, Any]:
    """What `postlude audit --json` prints in the folder of the server."""
    ended = subprocess.run([COMMAND, "audit", "--json"], cwd=server.folder, capture_output=True, text=True, check=False)
    assert ended.returncode in {0, 1}, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    assert ended.returncode == bool(found["lost"])
    return found


@pytest.mark.parametrize(
    ("workers", "kills"),
    [(1, 2), (3, 2), *(pytest.param(n, 40, marks=[pytest.mark.soak, pytest.mark.timeout(600)]) for n in (1, 3))],
)
def test_the_audit_says_what_was_lost(
    tmp_path: Path, workers: int, kills: int, capsys: pytest.CaptureFixture[str]
) -> None:
    moments = random.Random(SEED)
    with (
        counter.Counter(tmp_path / "counter") as counting,
        Server(
            tmp_path,
            uvicorn("tests.crash.service:app", "--workers", str(workers)),
            {"COUNTER": str(counting.path), "POSTLUDE_MODE": "observe"},
        ) as server,
    ):
        server.start()
        with Load(server, between=BETWEEN, weights=WEIGHTS) as load:
            for _ in range(kills):
                let_pass(moments.uniform(1.0, 1.8))
                if workers > 1:
                    server.kill_worker(load.busiest)
                else:
                    server.kill()
                    server.start()
        wait_until(lambda: not audit(server)["tasks"]["open"], "all that was left has ended")
        found = audit(server)
        heard = counting.report()

    account = Account(load, heard)
    lost = found["tasks"]["interrupted"] + found["tasks"]["unbegun"]
    with capsys.disabled():
        print(f"\n{kills} x SIGKILL of a stock server with {workers} workers: {account}; the audit: {lost} lost")
    assert account.refused == []
    assert len(account.lost) > 3 * OFF_BY * kills / workers, "or nothing was to be seen"
    assert abs(lost - len(account.lost)) <= OFF_BY * kills
    assert lost == found["lost"] == sum(each["lost"] for each in found["restarts"])
    assert len(found["restarts"]) <= kills
    assert abs(sum(found["tasks"].values()) - len(account.promised)) <= OFF_BY * kills
    assert found["missed"] == 0
    # Each task is added at one line there, whatever it is.
    assert found["storable"] == found["call_sites"] == 4
