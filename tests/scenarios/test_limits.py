"""Limits that hold for all processes together, and work that one process leaves for another."""

from collections import Counter

from postlude import JobState
from tests.scenarios.conftest import Serve
from tests.scenarios.look import Look
from tests.scenarios.server import Server, uvicorn
from tests.scenarios.waiting import wait_until


def test_31_never_more_than_two_at_once(serve: Serve) -> None:
    """`max_running=2`, ten jobs, two processes on one file: in the order of what happened never three are open."""
    one, other = serve(uvicorn("limited")).start(), serve(uvicorn("limited")).start()
    for number in range(10):
        (one, other)[number % 2].post(f"/add/{number}")
    wait_until(lambda: len(one.effects("ended")) == 10, "all have run", seconds=30)
    open_at_once, most = 0, 0
    for event in happened(one):
        open_at_once += 1 if event == "started" else -1
        most = max(most, open_at_once)
    assert most == 2, "never more, and both places were used"
    assert Counter(one.effects("ended")) == Counter(map(str, range(10)))
    with Look(one.folder) as look:
        wait_until(lambda: look.count(JobState.SUCCEEDED) == 10, "all are settled")


def test_27_a_stub_is_run_by_the_process_that_has_the_code(serve: Serve) -> None:
    with_stub = serve(uvicorn("limited")).start()
    with_stub.post("/render/page")
    with Look(with_stub.folder) as look:
        wait_until(lambda: look.job().state is JobState.QUEUED, "it is left for others")
        with_code = serve(uvicorn("limited"), HAS_CODE="1").start()
        wait_until(lambda: look.job().state is JobState.SUCCEEDED, "the other has run it")
    assert with_stub.effects("rendered") == ["page"]
    assert with_stub.processes() == {str(with_code.pid)}


def happened(server: Server) -> list[str]:
    """What the tasks noted, in the order in which they did."""
    return [line.split()[1] for line in (server.folder / "effects.log").read_text().splitlines()]
