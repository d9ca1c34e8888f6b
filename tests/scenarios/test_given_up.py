"""A process that others have given up for dead, and that lives: what it ran is theirs, and it goes on as another."""

import json
import signal
from collections import Counter

from postlude import JobState
from tests.scenarios.conftest import Serve
from tests.scenarios.look import Look
from tests.scenarios.server import Server, uvicorn
from tests.scenarios.waiting import let_pass, wait_until


def add(server: Server, kind: str, name: str) -> str:
    job_id: str = json.loads(server.post(f"/add/{kind}/{name}").body)
    server.await_effect("started", name)
    return job_id


def test_stopped_for_longer_than_its_lease_and_continued(serve: Serve, database: dict[str, str]) -> None:
    """Its jobs run elsewhere meanwhile. Then what can be ended there is, the rest is refused, and it works again."""
    stopped = serve(uvicorn("hasty"), **database).start()
    for kind in ("on_loop", "in_thread"):
        add(stopped, kind, kind)
    with Look.into(stopped) as look:
        wait_until(lambda: look.states() == [JobState.RUNNING] * 2, "the attempts are recorded")
        other = serve(uvicorn("hasty"), **database).start()
        stopped.signal(signal.SIGSTOP)
        for kind in ("on_loop", "in_thread"):
            other.await_effect("started", kind, times=2, seconds=8)
        assert len(other.says("was interrupted", "it runs again")) == 2

        stopped.signal(signal.SIGCONT)
        wait_until(lambda: stopped.says("this process was given up for dead"), "it has learnt of that")
        stopped.await_effect("CancelledError", "on_loop")
        assert stopped.effects("CancelledError") == ["on_loop"], "the one that was stopped, and not the other's"
        for kind in ("on_loop", "in_thread"):
            stopped.open_gate(kind)
        wait_until(lambda: look.states() == [JobState.SUCCEEDED] * 2, "the other has done both")
        wait_until(lambda: stopped.says("was not recorded: its claim was no longer ours"), "what came late is refused")
        assert Counter(stopped.effects("ended")) == {"on_loop": 1, "in_thread": 2}, "a thread cannot be ended"
        assert [(job.attempts, job.interruptions) for job in look.jobs()] == [(2, 1)] * 2

        # It is another worker now, with a lease that it extends.
        add(stopped, "on_loop", "later")
        let_pass(2.5)
        stopped.open_gate("later")
        stopped.await_effect("ended", "later")
        wait_until(lambda: look.count(JobState.SUCCEEDED) == 3, "and it is settled")
    assert stopped.effects("started", "later") == ["later"]
    assert len(stopped.says("this process was given up for dead")) == 1
    assert not other.says("given up for dead")
