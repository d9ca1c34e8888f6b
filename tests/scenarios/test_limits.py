"""Limits that hold for all processes together, and work that one process leaves for another."""

from collections import Counter

from postlude import JobState
from tests.scenarios.conftest import Serve, on_both_stores, postgres_in_the_long_form
from tests.scenarios.look import Look
from tests.scenarios.server import Server, uvicorn
from tests.scenarios.waiting import wait_until


@on_both_stores
def test_31_never_more_than_two_at_once(serve: Serve) -> None:
    """`max_running=2`, ten jobs, two processes on one file: in the order of what happened never three are open."""
    one, other = serve(uvicorn("limited")).start(), serve(uvicorn("limited")).start()
    for number in range(10):
        (one, other)[number % 2].post(f"/add/{number}")
    wait_until(lambda: len(one.effects("ended")) == 10, "all have run", seconds=30)
    assert most_at_once(one) == 2, "never more, and both places were used"
    assert Counter(one.effects("ended")) == Counter(map(str, range(10)))
    with Look.into(one) as look:
        wait_until(lambda: look.count(JobState.SUCCEEDED) == 10, "all are settled")


SLACK = 0.6
"""Seconds that may pass on a busy machine from a start, as the store counts it, to the first line of the task."""


@on_both_stores
def test_a_rate_counts_the_starts_in_all_processes(serve: Serve) -> None:
    """`rate="2/s"`, six jobs, two processes: in no second more than two of them begin."""
    one, other = serve(uvicorn("limited")).start(), serve(uvicorn("limited")).start()
    for number in range(6):
        (one, other)[number % 2].post(f"/rated/{number}")
    wait_until(lambda: len(one.effects("began")) == 6, "all have run", seconds=30)
    began = sorted(map(float, one.effects("began")))
    assert all(third - first > 1 - SLACK for first, third in zip(began, began[2:], strict=False)), began


@on_both_stores
def test_each_partition_has_its_own_place_for_all_processes(serve: Serve) -> None:
    """`max_running=1` for each tenant, two processes: one tenant's jobs run one by one, and keep no other's waiting."""
    one, other = serve(uvicorn("limited")).start(), serve(uvicorn("limited")).start()
    for number in range(4):
        for tenant in ("acme", "zeta"):
            (one, other)[number % 2].post(f"/of/{tenant}/{number}")
    one.await_effect("started", "acme")
    one.open_gate("zeta")
    one.await_effect("ended", "zeta", times=4)
    assert one.effects("started", "acme") == ["acme"], "the others of acme wait for it, wherever they were added"
    one.open_gate("acme")
    one.await_effect("ended", "acme", times=4)
    assert [most_at_once(one, tenant) for tenant in ("acme", "zeta")] == [1, 1]


@postgres_in_the_long_form
def test_27_a_stub_is_run_by_the_process_that_has_the_code(serve: Serve) -> None:
    with_stub = serve(uvicorn("limited")).start()
    with_stub.post("/render/page")
    with Look.into(with_stub) as look:
        wait_until(lambda: look.job().state is JobState.QUEUED, "it is left for others")
        with_code = serve(uvicorn("limited"), HAS_CODE="1").start()
        wait_until(lambda: look.job().state is JobState.SUCCEEDED, "the other has run it")
    assert with_stub.effects("rendered") == ["page"]
    assert with_stub.processes() == {str(with_code.pid)}


def most_at_once(server: Server, name: str | None = None) -> int:
    """How many tasks, or tasks that noted this name, were open at the same time, in the order of what they noted."""
    open_at_once, most = 0, 0
    for event, noted in happened(server):
        if name in {None, noted}:
            open_at_once += 1 if event == "started" else -1
            most = max(most, open_at_once)
    return most


def happened(server: Server) -> list[tuple[str, str]]:
    """What the tasks noted, in the order in which they did."""
    lines = (line.split() for line in (server.folder / "effects.log").read_text().splitlines())
    return [(event, name) for _, event, name in lines]
