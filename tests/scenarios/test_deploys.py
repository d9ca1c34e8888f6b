"""Scenario 27: releases of an application that follow one another on one store, or run beside each other."""

from collections import Counter

import pytest

from postlude import JobState
from tests.scenarios.conftest import Serve, postgres_in_the_long_form
from tests.scenarios.look import Look
from tests.scenarios.server import Server, uvicorn
from tests.scenarios.waiting import wait_until

OLD_NAME = "tests.scenarios.apps.renamed:send_mail"


def release(serve: Serve, name: str, **env: str) -> Server:
    return serve(uvicorn("renamed"), RELEASE=name, **env).start()


def post(server: Server, kind: str, *names: str) -> None:
    for name in names:
        assert server.post(f"/{kind}/{name}").status == 200


@postgres_in_the_long_form
def test_27_a_task_is_renamed_while_its_jobs_wait(serve: Serve) -> None:
    """They stay queued and are named with the cure; others go on; the cure takes them up."""
    first = release(serve, "first", POSTLUDE_WORKER="off")
    post(first, "send_mail", "a", "b")
    post(first, "unchanged", "c")
    first.terminate()
    second = release(serve, "second")
    second.await_effect("unchanged", "c")
    post(second, "send_message", "d")
    second.await_effect("messaged", "d")
    second.terminate()
    (line,) = second.says("WARNING", f"2 jobs waiting for {OLD_NAME}, which this application does not have")
    assert f"@task(formerly={OLD_NAME!r})" in line
    with Look.into(second) as look:
        waiting = [job for job in look.jobs() if job.task == OLD_NAME]
        assert [(job.state, job.attempts) for job in waiting] == [(JobState.QUEUED, 0)] * 2
    third = release(serve, "third")
    for name in ("a", "b"):
        third.await_effect("messaged", name)
    assert not third.says("which this application does not have")
    with Look.into(third) as look:
        wait_until(lambda: set(look.states()) == {JobState.SUCCEEDED}, "all have ended well")
    assert third.effects("mailed") == []
    assert Counter(third.effects("messaged")) == Counter("abd")


@postgres_in_the_long_form
@pytest.mark.parametrize("first_to_come", ["first", "second"])
def test_27_old_and_new_code_run_together(serve: Serve, first_to_come: str) -> None:
    """Each job goes to a process that knows it, whichever of them looks first; what both know goes to any."""
    both = release(serve, "both", POSTLUDE_WORKER="off")
    names = [str(number) for number in range(6)]
    for kind in ("send_mail", "send_message", "unchanged"):
        post(both, kind, *names)
    both.terminate()
    later = "second" if first_to_come == "first" else "first"
    done = {"first": "mailed", "second": "messaged"}
    servers = {first_to_come: release(serve, first_to_come)}
    wait_until(lambda: len(both.effects(done[first_to_come])) == 6, "its own have run")
    assert both.effects(done[later]) == []
    servers[later] = release(serve, later)
    post(servers["first"], "send_mail", "late")
    post(servers["second"], "send_message", "late")
    wait_until(lambda: len(both.effects("mailed") + both.effects("messaged")) >= 14, "all have run")
    with Look.into(both) as look:
        wait_until(lambda: look.count(JobState.SUCCEEDED) == 20, "all have ended well")
    for name, server in servers.items():
        assert Counter(both.effects(done[name])) == Counter([*names, "late"])
        assert ran_in(both, done[name]) == {str(server.pid)}
    assert Counter(both.effects("unchanged")) == Counter(names)


def ran_in(server: Server, event: str) -> set[str]:
    """The processes that noted this."""
    lines = (line.split() for line in (server.folder / "effects.log").read_text().splitlines())
    return {pid for pid, noted, _ in lines if noted == event}
