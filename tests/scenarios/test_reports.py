"""What a task logged and saved outlives its process."""

from postlude import JobState
from tests.scenarios.conftest import Serve, on_both_stores, postgres_in_the_long_form
from tests.scenarios.look import Look
from tests.scenarios.server import uvicorn
from tests.scenarios.waiting import wait_until


@on_both_stores
def test_what_was_reported_before_sigkill_is_kept_and_the_next_attempt_appends(serve: Serve) -> None:
    """Seen while the task runs, from another process. The killed attempt's stay, and the next one's follow."""
    with serve(uvicorn("logging_tasks")).start() as server:
        server.post("/work/first")
        server.await_effect("saved", "first")
        with Look.into(server) as look:
            wait_until(lambda: look.logs(look.job()), "its lines are there while it runs")
            wait_until(lambda: look.job().state is JobState.RUNNING, "it is recorded as started")
        server.kill()
        server.start()
        server.await_effect("saved", "first", times=2)
        server.open_gate("first")
        server.await_effect("ended", "first")
        with Look.into(server) as look:
            wait_until(lambda: look.job().state is JobState.SUCCEEDED, "it has succeeded")
            job = look.job()
            assert (job.interruptions, job.saved) == (1, {"attempt": 2})
            assert [(line.logger, line.message, line.attempt) for line in look.logs(job)] == [
                ("shop", "begins with None", 1),
                ("shop", "begins with {'attempt': 1}", 2),
                ("shop", "ends", 2),
            ]


@postgres_in_the_long_form
def test_what_is_saved_is_on_disk_when_save_returns(serve: Serve) -> None:
    """Killed in the next moment: long before anything is reported by itself."""
    with serve(uvicorn("logging_tasks")).start() as server:
        server.post("/work/first")
        server.await_effect("saved", "first")
        server.kill()
        with Look.into(server) as look:
            assert look.job().saved == {"attempt": 1}
