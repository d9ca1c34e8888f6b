"""Scenarios 33 and 34 between machines that have a network of their own each, which swallows packets."""

import json
import random
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import pytest

from postlude import Job, JobState
from tests.scenarios.look import Look
from tests.scenarios.network import Machine, machines
from tests.scenarios.server import Server, uvicorn
from tests.scenarios.test_workers import NO_SERVER, pids, worker
from tests.scenarios.waiting import let_pass, wait_until
from tests.stores.cluster import Cluster


class Site(NamedTuple):
    """A server beside the database, and workers on two machines that have a cable to it."""

    database: Cluster
    server: Server
    workers: Sequence[Server]
    machines: Sequence[Machine]

    def takes(self, name: str) -> str:
        """The id of a job that is acknowledged; empty if it is not."""
        answer = self.server.post(f"/add/on_loop/{name}")
        return str(json.loads(answer.body)) if answer.status == 200 else ""

    def at_work(self, name: str, times: int = 1) -> int:
        """The number of the machine on which it has started last."""
        self.server.await_effect("started", name, times=times)
        lines = (line.split() for line in (self.server.folder / "effects.log").read_text().splitlines())
        last = [int(pid) for pid, event, noted in lines if (event, noted) == ("started", name)][-1]
        return [each.pid for each in self.workers].index(last)

    def look(self) -> Look:
        return Look.into(self.server)


def found(look: Look, job_id: str) -> Job[Any]:
    return next(job for job in look.jobs() if str(job.id) == job_id)


def has_started(worker: Server) -> bool:
    return not worker.alive or bool(worker.says("health: "))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all tests here. Who is silent for two seconds there is given up."""
    folder = tmp_path_factory.mktemp("site")
    namespace = uuid.uuid4().hex
    with machines(2) as (database, hosts), ExitStack() as stack:
        # The socket leads from one namespace to another, as all that is a file does.
        near = {"POSTLUDE_URL": database.dsn, "POSTLUDE_NAMESPACE": namespace, **NO_SERVER}
        server = stack.enter_context(Server(folder, uvicorn("hasty"), near))
        workers = []
        for host in hosts:
            own = folder / host.name
            own.mkdir()
            # What processes of one machine know of each other they know by a file in its temporary folder.
            far = {"POSTLUDE_URL": host.url, "POSTLUDE_NAMESPACE": namespace, "TMPDIR": str(own)}
            workers.append(stack.enter_context(Server(folder, worker(app="hasty"), far, prefix=host.prefix)).launch())
        server.start()
        for each in workers:
            wait_until(partial(has_started, each), "the worker has started")
            assert each.alive, each.text
        yield Site(database, server, workers, hosts)


def test_33_a_worker_behind_a_cut_cable_loses_its_job_to_the_other(site: Site) -> None:
    """It goes on meanwhile, since it cannot know. What it comes to is refused, and then it is another worker."""
    job_id = site.takes("a")
    cut_off = site.at_work("a")
    site.machines[cut_off].cut()
    assert site.at_work("a", times=2) != cut_off
    site.server.open_gate("a")
    site.server.await_effect("ended", "a", times=2)
    with site.look() as look:
        wait_until(lambda: found(look, job_id).state.finished, "the other has settled it")
        job = found(look, job_id)
        assert (job.state, job.attempts, job.interruptions) == (JobState.SUCCEEDED, 2, 1)
        site.machines[cut_off].mend()
        wait_until(lambda: site.workers[cut_off].says("given up for dead"), "it has learnt of that")
        job = found(look, job_id)
        assert (job.state, job.attempts, job.interruptions) == (JobState.SUCCEEDED, 2, 1)
    # Both take jobs again.
    names = [f"b{number}" for number in range(30)]
    for name in names:
        site.server.open_gate(name)
        assert site.takes(name)
    wait_until(lambda: set(names) <= set(site.server.effects("ended")), "all have run")
    assert pids(site.server, "ended") == {each.pid for each in site.workers}


def test_34_the_machine_of_the_database_is_gone_and_comes_back(site: Site) -> None:
    """Without a word to anybody, in the middle of jobs: what was acknowledged is done, and nobody starts anything."""
    names = [f"c{number}" for number in range(20)]
    acknowledged = [name for name in names[:10] if site.takes(name)]
    for name in acknowledged:
        site.at_work(name)
    for each in site.machines:
        each.cut()
    site.database.kill()
    assert not site.takes("refused")
    let_pass(1.0)
    site.database.start()
    for each in site.machines:
        each.mend()
    for name in names:
        site.server.open_gate(name)
    for name in names[10:]:
        wait_until(partial(site.takes, name), "it is taken")
    acknowledged += names[10:]
    wait_until(lambda: set(acknowledged) <= set(site.server.effects("ended")), "all have run")
    with site.look() as look:
        wait_until(lambda: not look.count(JobState.QUEUED, JobState.RUNNING, JobState.STAGED), "all are settled")
        assert look.count(JobState.FAILED, JobState.CANCELLED) == 0
    assert all(each.alive for each in (site.server, *site.workers))


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_33_cables_that_are_cut_again_and_again(site: Site) -> None:
    """One worker or both are cut off at random moments: each job runs, and is settled by one of them."""
    dice = random.Random(33)
    names = [f"d{number}" for number in range(200)]
    with site.look() as look:
        before = look.count(JobState.SUCCEEDED)
        for number, name in enumerate(names):
            assert site.takes(name)
            if number % 20 == 10:
                cut = dice.sample(site.machines, dice.choice([1, 1, 2]))
                for each in cut:
                    each.cut()
                let_pass(dice.uniform(0.1, 5.0))
                for each in cut:
                    each.mend()
            site.server.open_gate(name)
        wait_until(lambda: look.count(JobState.SUCCEEDED) == before + len(names), "all have succeeded", seconds=120)
        again = sum(count - 1 for name, count in Counter(site.server.effects("ended")).items() if name in names)
        assert look.count(*JobState) == before + len(names)
    print(f"10 cuts, {len(names)} jobs, {again} done twice")
