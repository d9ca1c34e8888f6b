"""Whichever process Prometheus reaches, it is told of the work of all, also of those that are gone."""

import re
from functools import partial

from tests.scenarios.conftest import Serve, postgres_in_the_long_form
from tests.scenarios.server import Server, uvicorn
from tests.scenarios.waiting import wait_until

SUCCEEDED = 'postlude_attempts_total{outcome="succeeded",task="send"}'


def scraped(server: Server) -> dict[str, float]:
    answer = server.get("/metrics/")
    assert answer.status == 200
    found = re.findall(r"^(postlude_\w+(?:\{.*\})?) (\S+)$", answer.body, re.MULTILINE)
    return {name: float(value) for name, value in found}


def knows_of_six(server: Server) -> bool:
    return scraped(server).get(SUCCEEDED) == 6


@postgres_in_the_long_form
def test_every_process_tells_of_the_work_of_all(serve: Serve) -> None:
    first, second = (serve(uvicorn("measured")).start() for _ in range(2))
    for number in range(3):
        first.post(f"/send/{number}")
        second.post(f"/send/{number}")
    for server in (first, second):
        wait_until(partial(knows_of_six, server), "it knows of all six")
    first.kill()
    found = scraped(second)
    assert found[SUCCEEDED] == 6, "it does not fall when a process is gone"
    assert found['postlude_start_latency_seconds_bucket{le="+Inf",task="send"}'] == 6
    assert found['postlude_run_seconds_bucket{le="+Inf",task="send"}'] == 6
    workers = {name for name in found if name.startswith("postlude_worker_loop_lag_seconds")}
    assert any(f":{second.pid}" in name for name in workers)
    second.terminate()
    second.start()
    assert scraped(second)[SUCCEEDED] == 6, "nor with all of them"
