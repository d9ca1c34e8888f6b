"""Machines whose clocks do not agree, on one database: due is what is due by the database's."""

import time

from tests.scenarios.conftest import Serve
from tests.scenarios.look import Look
from tests.scenarios.server import Server, uvicorn
from tests.scenarios.waiting import wait_until


def test_two_machines_an_hour_wrong_agree_on_what_is_due(serve: Serve, database: dict[str, str]) -> None:
    """One is ahead and one is behind: what either adds for later runs then, and not an hour early or late."""
    ahead, behind = (serve(uvicorn("skewed"), SKEW=skew, **database).start() for skew in ("3600", "-3600"))
    for name, server in (("ahead", ahead), ("behind", behind)):
        assert server.post(f"/ring/{name}?delay=1.5").status == 200
        assert server.post("/ring/never?delay=600").status == 200
    wait_until(lambda: len(rang(ahead)) == 2, "both rang")
    assert set(rang(ahead)) == {"ahead", "behind"}
    for seconds in rang(ahead).values():
        assert 1.4 < seconds < 5
    with Look.into(ahead) as look:
        created = [job.created_at.timestamp() for job in look.jobs() if job.created_at is not None]
    assert len(created) == 4
    assert all(abs(moment - time.time()) < 60 for moment in created)
    assert ahead.says("WARNING", "This machine's clock is 3600 s ahead of the database's")
    assert behind.says("WARNING", "This machine's clock is 3600 s behind the database's")


def rang(server: Server) -> dict[str, float]:
    """How many seconds after it was asked for each rang."""
    return {name: float(seconds) for name, seconds in (each.split(":") for each in server.effects("rang"))}
