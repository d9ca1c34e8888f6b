"""Clauses 23 to 25."""

import asyncio
import random
from collections import Counter
from itertools import pairwise
from math import inf
from uuid import UUID

import pytest

from postlude.job import Claim, Event, JobState, Terms
from postlude.limits import Limit, Rate
from postlude.pauses import Pause
from postlude.stores.contract import Filter, Store
from tests.stores.making import ask, ended, limited, queued, read
from tests.stores.other_process import OtherProcess

ONE = Limit(max_running=1)


def partitions(claims: list[Claim], names: dict[UUID, str]) -> list[str]:
    return [names[claim.job_id] for claim in claims]


async def test_clause_23_no_more_run_than_may_in_each_partition(store: Store, owner: int) -> None:
    other = await store.enlist()
    jobs = [limited(name) for name in "aaaaabbc"]
    names = {job.id: str(job.terms.partition) for job in jobs}
    await store.insert(jobs)
    limit = Limit(max_running=2)
    first = await ask(store, owner, limits=limit, limit=3)
    second = await ask(store, other, limits=limit)
    running = [*first.claims, *second.claims]
    assert Counter(partitions(running, names)) == {"a": 2, "b": 2, "c": 1}
    assert (await ask(store, other, limits=limit)).claims == []
    await store.dismiss(other)


@pytest.mark.parametrize(
    "event", [Event.SUCCEED, Event.FAIL, Event.CANCEL, Event.RELEASE, Event.RESCUE, Event.POSTPONE]
)
async def test_clause_23_what_runs_counts_until_its_claim_has_ended(store: Store, owner: int, event: Event) -> None:
    running, waiting = limited(), limited()
    await store.insert([running, waiting])
    (claim,) = (await ask(store, owner, limits=ONE)).claims
    await store.cancel(running.id, reason="asked", now=10.0)
    assert (await ask(store, owner, limits=ONE)).claims == []
    refused = ended(claim, event)._replace(claim=claim.id + 1)
    await store.settle([refused])
    assert (await ask(store, owner, limits=ONE)).claims == []
    await store.settle([ended(claim, event)])
    assert [claim.job_id for claim in (await ask(store, owner, limits=ONE)).claims] == [waiting.id]


async def test_clause_23_what_a_dead_worker_ran_counts_until_it_is_rescued(url: str, store: Store, owner: int) -> None:
    await store.insert([limited(), limited()])
    with OtherProcess(url) as process:
        process.do("enlist")
        assert len(process.do("claim", 1)) == 1
    assert (await ask(store, owner, limits=ONE)).claims == []
    (orphan,) = await store.orphans(limit=9)
    await store.settle([ended(orphan, Event.RESCUE)])
    assert len((await ask(store, owner, limits=ONE)).claims) == 1


async def test_clause_23_one_task_in_two_queues_and_of_two_ranks_shares_its_limit(store: Store, owner: int) -> None:
    places = [Terms(queue="one"), Terms(queue="two"), Terms(queue="one", rank=1), Terms(queue="two", rank=-1)]
    await store.insert([limited("p", terms=terms) for terms in places * 3])
    limit = Limit(max_running=3)
    assert len((await ask(store, owner, limits=limit)).claims) == 3
    assert (await ask(store, owner, limits=limit)).claims == []


async def test_clause_23_two_tasks_do_not_share_a_limit_nor_does_what_has_none(store: Store, owner: int) -> None:
    await store.insert([limited("p", task=name) for name in ("app:work", "app:alpha") * 3])
    await store.insert([queued("app:plain"), queued("app:plain")])
    limits = {"app:work": ONE, "app:alpha": Limit(max_running=2)}
    claimed = await ask(store, owner, tasks=[*limits, "app:plain"], limits=limits)
    assert Counter(claim.task for claim in claimed.claims) == {"app:work": 1, "app:alpha": 2, "app:plain": 2}


async def test_clause_23_what_was_added_before_there_was_a_limit_counts_too(store: Store, owner: int) -> None:
    """What waits and what runs, and what is added with the limit beside it."""
    other = await store.enlist()
    before = [queued(), queued(), queued(terms=Terms(rank=1)), queued(terms=Terms(queue="q")), queued("app:plain")]
    await store.insert(before)
    (first,) = (await ask(store, other, limit=1)).claims
    await store.insert([limited(), limited()])
    tasks, limit = ["app:work", "app:plain"], {"app:work": Limit(max_running=2)}
    claimed = await ask(store, owner, tasks=tasks, limits=limit)
    assert Counter(claim.task for claim in claimed.claims) == {"app:work": 1, "app:plain": 1}
    assert claimed.held_back
    assert {(await read(store, job)).partition for job in before[1:4]} == {""}
    assert (await read(store, before[4])).partition is None
    running, seen = [first, *(claim for claim in claimed.claims if claim.task == "app:work")], 1
    while running:
        await store.settle([ended(running.pop(), Event.SUCCEED)])
        found = (await ask(store, owner, tasks=tasks, limits=limit)).claims
        running += found
        seen += 1
        assert len(running) <= 2
    assert seen == 7
    await store.dismiss(other)


@pytest.mark.parametrize("alone", [False, True])
async def test_clause_23_what_ran_before_there_was_a_limit_counts_though_nothing_waits_with_it(
    store: Store, owner: int, alone: bool
) -> None:
    await store.insert([queued()])
    (running,) = (await ask(store, owner)).claims
    await store.insert([new := limited()])
    if alone:
        (claim,) = (await ask(store, owner)).claims
        await store.settle([ended(claim, Event.RESCUE, alone=True)])
    assert not (await ask(store, owner, limits=ONE, limit=0)).alone_waits
    claimed = await ask(store, owner, limits=ONE, idle=True)
    assert (claimed.claims, claimed.held_back) == ([], True)
    await store.settle([ended(running, Event.SUCCEED)])
    assert [claim.job_id for claim in (await ask(store, owner, limits=ONE, idle=True)).claims] == [new.id]


async def test_clause_23_many_that_were_added_before_there_was_a_limit(store: Store, owner: int) -> None:
    """More than one claim looks at: it says when to come back, and none is forgotten or comes out of turn."""
    jobs = [queued() for _ in range(1_200)]
    await store.insert([*jobs, queued(run_at=99.0)])
    now = 10.0
    taken: list[UUID] = []
    while len(taken) < len(jobs):
        claimed = await ask(store, owner, limits=Limit(max_running=100), now=now)
        assert claimed.claims
        assert len(taken) + len(claimed.claims) <= len(jobs)
        if not taken:
            assert claimed.again_at is not None
            assert now < claimed.again_at < now + 1
        taken += [claim.job_id for claim in claimed.claims]
        assert (await ask(store, owner, limits=Limit(max_running=100), now=now)).claims == []
        await store.settle([ended(claim, Event.SUCCEED) for claim in claimed.claims])
    assert taken == [job.id for job in jobs]


async def test_clause_23_a_suspect_that_was_added_before_there_was_a_limit(store: Store, owner: int) -> None:
    suspect, other = queued(), queued()
    await store.insert([suspect])
    (claim,) = (await ask(store, owner)).claims
    await store.settle([ended(claim, Event.RESCUE, alone=True)])
    await store.insert([other])
    (claim,) = (await ask(store, owner)).claims
    claimed = await ask(store, owner, limits=ONE, idle=True)
    assert (claimed.claims, claimed.held_back) == ([], True)
    await store.settle([ended(claim, Event.SUCCEED)])
    assert (await ask(store, owner, limits=ONE, limit=0)).alone_waits
    assert [claim.job_id for claim in (await ask(store, owner, limits=ONE, idle=True)).claims] == [suspect.id]
    await store.insert([limited()])
    assert (await ask(store, owner, limits=ONE)).claims == []


async def test_clause_23_what_holds_now_counts_and_not_what_held_when_a_job_was_added(store: Store, owner: int) -> None:
    await store.insert([limited() for _ in range(6)])
    assert len((await ask(store, owner, limits=Limit(max_running=3))).claims) == 3
    assert (await ask(store, owner, limits=Limit(max_running=2))).claims == []
    assert len((await ask(store, owner, limits=Limit(max_running=4))).claims) == 1
    assert len((await ask(store, owner)).claims) == 2


async def test_clause_23_a_suspect_is_limited_too(store: Store, owner: int) -> None:
    suspect, other = limited(), limited()
    await store.insert([suspect])
    (claim,) = (await ask(store, owner)).claims
    await store.settle([ended(claim, Event.RESCUE, alone=True)])
    await store.insert([other])
    (claim,) = (await ask(store, owner, limits=ONE)).claims
    claimed = await ask(store, owner, limits=ONE, idle=True)
    assert (claimed.claims, claimed.alone_waits, claimed.held_back) == ([], False, True)
    await store.settle([ended(claim, Event.SUCCEED)])
    assert [claim.job_id for claim in (await ask(store, owner, limits=ONE, idle=True)).claims] == [suspect.id]


async def test_clause_23_what_was_given_back_in_the_same_moment_has_started_twice(store: Store, owner: int) -> None:
    await store.insert([limited()])
    limit = Limit(rate=Rate(2, 60.0))
    for _ in range(2):
        (claim,) = (await ask(store, owner, limits=limit)).claims
        await store.settle([ended(claim, Event.RELEASE)])
    claimed = await ask(store, owner, limits=limit)
    assert (claimed.claims, claimed.held_back, claimed.again_at) == ([], True, 70.0)
    assert len((await ask(store, owner, limits=limit, now=70.0)).claims) == 1


@pytest.mark.parametrize("seed", range(4))
async def test_clause_23_no_stretch_of_time_has_more_starts_than_the_rate(store: Store, owner: int, seed: int) -> None:
    """Whatever is given back, whoever claims, and when the clock is set back."""
    dice = random.Random(seed)
    owners = [owner, await store.enlist()]
    rate, names = Rate(3, 7.3), ("a", "b")
    limit = Limit(max_running=4, rate=rate)
    jobs = [limited(name, terms=Terms(rank=dice.randrange(2))) for name in names * 150]
    of = {job.id: str(job.terms.partition) for job in jobs}
    await store.insert(jobs)
    starts: dict[str, list[float]] = {name: [] for name in names}
    running: list[Claim] = []
    now = 1_000.1
    for _ in range(150):
        claimed = await ask(store, dice.choice(owners), limits=limit, now=now, limit=dice.randint(1, 5))
        for claim in claimed.claims:
            starts[of[claim.job_id]].append(now)
        running += claimed.claims
        dice.shuffle(running)
        while running and dice.random() < 0.6:
            event = dice.choice([Event.SUCCEED, Event.RELEASE, Event.RESCUE])
            await store.settle([ended(running.pop(), event, at=now)])
        if dice.random() < 0.05:
            now -= dice.uniform(0, 20)
        elif claimed.again_at is not None and dice.random() < 0.5:
            now = max(now, claimed.again_at)
        else:
            now += dice.uniform(0, 3)
    for name in names:
        moments = sorted(starts[name])
        assert len(moments) > 30
        assert all(first + rate.seconds <= later for first, later in zip(moments, moments[rate.starts :], strict=False))
    await store.dismiss(owners[1])


async def test_clause_24_each_partition_gives_one_before_one_gives_a_second(store: Store, owner: int) -> None:
    jobs = [limited(name, run_at=float(place)) for place, name in enumerate("aaaaaabbbcd")]
    names = {job.id: str(job.terms.partition) for job in jobs}
    # They come together with others that are due between them.
    plain = [queued("app:plain", run_at=0.5) for _ in range(4)]
    names |= {job.id: "-" for job in plain}
    await store.insert([*jobs, *plain])
    taken: list[str] = []
    for limit in (1, 5, 2, 3, 100):
        claimed = await ask(store, owner, tasks=["app:work", "app:plain"], limits={"app:work": Limit(9)}, limit=limit)
        taken += partitions(claimed.claims, names)
    in_turn = "".join(taken).replace("-", "")
    assert Counter(in_turn) == Counter("aaaaaabbbcd")
    for place, name in enumerate(in_turn):
        before = Counter(in_turn[:place])
        for other in set(in_turn[place:]) - {name}:
            assert before[name] <= before[other], (in_turn, place, other)


async def test_clause_24_two_lanes_do_not_take_the_turns_of_each_other(store: Store, owner: int) -> None:
    jobs = [limited(name, task=f"app:{name[0]}") for name in ["x1", "y2", "x2", "y1"] for _ in range(20)]
    names = {job.id: str(job.terms.partition) for job in jobs}
    await store.insert(jobs)
    seen: list[str] = []
    for _ in range(40):
        claimed = await ask(store, owner, tasks=["app:x", "app:y"], limits=Limit(50), limit=1)
        seen += partitions(claimed.claims, names)
    for lane in "xy":
        mine = [name for name in seen if name[0] == lane]
        assert all(first != then for first, then in pairwise(mine)), seen


async def test_clause_24_two_thousand_partitions_each_get_their_turn(store: Store, owner: int) -> None:
    full = 1_500  # of these each runs one already, so that nothing can start there
    jobs = [limited(f"{n:04}") for n in range(2_000) for _ in range(2)]
    names = {job.id: str(job.terms.partition) for job in jobs}
    await store.insert(jobs)
    running: list[Claim] = []
    while len(running) < full:
        running += (await ask(store, owner, limits=ONE, limit=min(200, full - len(running)))).claims
    assert len({names[claim.job_id] for claim in running}) == full
    others: set[str] = set()
    calls = 0
    while len(others) < 500:
        claimed = await ask(store, owner, limits=ONE, limit=50)
        others |= {names[claim.job_id] for claim in claimed.claims}
        assert claimed.claims or claimed.again_at is not None
        calls += 1
        assert calls < 60
    assert not others & {names[claim.job_id] for claim in running}


async def test_clause_24_nobody_starves_behind_few_that_always_have_work(store: Store, owner: int) -> None:
    """Where one claim cannot look at all of them."""
    busy = [limited(f"a{n}", run_at=0.5) for n in range(3) for _ in range(200)]
    blocked = [limited(f"b{n:04}") for n in range(1_200) for _ in range(2)]
    last = limited("z")
    await store.insert(blocked)
    running = 0
    while running < 1_200:
        running += len((await ask(store, owner, limits=ONE, limit=200)).claims)
    await store.insert([*busy, last])
    for _ in range(20):
        claimed = await ask(store, owner, limits=ONE, limit=10)
        if last.id in {claim.job_id for claim in claimed.claims}:
            return
        await store.settle([ended(claim, Event.SUCCEED) for claim in claimed.claims])
    pytest.fail("it had no turn")


async def test_clause_24_held_back_says_what_a_limit_holds_and_nothing_else_does(store: Store, owner: int) -> None:
    await store.insert([limited("a"), limited("b", run_at=50.0)])
    claimed = await ask(store, owner, limits=ONE)
    assert (len(claimed.claims), claimed.held_back, claimed.again_at) == (1, False, None)
    await store.insert([limited("a"), limited("a", terms=Terms(rank=5))])
    for _ in range(2):
        claimed = await ask(store, owner, limits=ONE)
        assert (claimed.claims, claimed.held_back, claimed.again_at) == ([], True, None)


@pytest.mark.parametrize("ranks", [(0, 0), (0, 1)])
async def test_clause_24_a_claim_that_takes_the_last_room_says_what_it_leaves(
    store: Store, owner: int, ranks: tuple[int, int]
) -> None:
    await store.insert([limited("a", terms=Terms(rank=rank)) for rank in ranks])
    claimed = await ask(store, owner, limits=Limit(rate=Rate(1, 30.0)))
    assert (len(claimed.claims), claimed.held_back, claimed.again_at) == (1, True, 40.0)


async def test_clause_24_who_comes_back_when_told_to_neither_spins_nor_sleeps_too_long(
    store: Store, owner: int
) -> None:
    rate = Rate(3, 0.7)  # a length that no binary fraction has
    await store.insert([limited(name) for name in "ab" for _ in range(30)])
    now, visits, found = 1_700_000_000.1, 0, 0
    begin = now
    while True:
        claimed = await ask(store, owner, limits=Limit(rate=rate), now=now)
        found += len(claimed.claims)
        if found == 60:
            break
        visits += 1
        assert claimed.held_back
        assert claimed.again_at is not None
        assert claimed.again_at > now
        now = claimed.again_at
    assert visits == 9
    assert now - begin == pytest.approx(9 * 0.7, abs=1e-5)


async def test_clause_25_everything_is_paused(store: Store, owner: int) -> None:
    everything, queue = Pause("all", "", reason="incident", since=1.0), Pause("queue", "q", since=2.0)
    await store.insert([queued("app:work"), queued("app:other"), limited("p", terms=Terms(queue="q"))])
    await store.pause(everything)
    await store.pause(queue)
    tasks = ["app:work", "app:other"]
    assert (await ask(store, owner, tasks=tasks, now=50.0, idle=True)).claims == []
    assert set(await store.pauses()) == {everything, queue}
    assert await store.resume(everything)
    assert len((await ask(store, owner, tasks=tasks, now=50.0, idle=True)).claims) == 2, "but for the queue"


@pytest.mark.parametrize(
    "pause", [Pause("queue", "q"), Pause("task", "app:work"), Pause("partition", "app:work", "p")], ids=lambda p: p.kind
)
async def test_clause_25_what_is_paused_is_not_claimed(store: Store, owner: int, pause: Pause) -> None:
    async def claimed() -> list[Claim]:
        found = await ask(store, owner, tasks=["app:work", "app:other"], now=50.0, idle=True)
        assert not found.alone_waits
        return found.claims

    job = limited("p", terms=Terms(queue="q"))
    await store.insert([job])
    (claim,) = await claimed()
    await store.pause(pause._replace(reason="first", since=1.0))
    await store.pause(pause._replace(reason="incident", since=3.0))
    assert list(await store.pauses()) == [pause._replace(reason="incident", since=3.0)]
    # What runs goes on; whether it is tried again, or must run alone, or is retried by hand: then it waits.
    for event, alone in ((Event.POSTPONE, False), (Event.RESCUE, True), (Event.FAIL, False)):
        assert await store.settle([ended(claim, event)._replace(alone=alone)]) == frozenset()
        if event is Event.FAIL:
            await store.retry(job.id, now=11.0)
        free = limited("r", task="app:other", terms=Terms(queue="r"))
        await store.insert([free])
        assert [claim.job_id for claim in await claimed()] == [free.id]
        assert await claimed() == []
        assert await store.resume(pause._replace(reason="whatever"))
        (claim,) = await claimed()
        assert claim.job_id == job.id
        await store.pause(pause)
    assert await store.resume(pause)
    assert not await store.resume(pause)
    assert list(await store.pauses()) == []


async def test_clause_25_a_paused_partition_holds_up_no_other_and_no_other_task(store: Store, owner: int) -> None:
    paused = [limited("p") for _ in range(20)]
    free = [limited("o"), limited("p", task="app:other"), queued()]
    await store.insert([*paused, *free])
    await store.pause(Pause("partition", "app:work", "p"))
    claimed = await ask(store, owner, tasks=["app:work", "app:other"], limits=ONE)
    assert {claim.job_id for claim in claimed.claims} == {job.id for job in free}
    assert not claimed.held_back


async def test_clause_25_a_paused_queue_is_not_due(store: Store, owner: int) -> None:
    await store.insert([queued(terms=Terms(queue="q")), queued(run_at=30.0)])
    await store.pause(Pause("queue", "q"))
    assert await store.waiting_tasks() == {"app:work": 30.0}
    await store.pause(Pause("task", "app:work"))
    assert await store.waiting_tasks() == {"app:work": inf}
    await store.resume(Pause("task", "app:work"))
    await store.resume(Pause("queue", "q"))
    assert await store.waiting_tasks() == {"app:work": 1.0}


async def test_clause_25_another_process_sees_the_pause_when_it_has_returned(url: str, store: Store) -> None:
    await store.insert([queued() for _ in range(10)])
    with OtherProcess(url) as process:
        process.do("enlist")
        assert len(process.do("claim", 1)) == 1
        await store.pause(Pause("task", "app:work"))
        assert process.do("claim", 1) == []
        await store.resume(Pause("task", "app:work"))
        assert len(process.do("claim", 1)) == 1


async def test_clause_23_four_processes_never_exceed_a_limit_at_any_instant(url: str, store: Store) -> None:
    names = ("a", "b", "c")
    most, rate = 2, Rate(8, 0.25)
    jobs = [limited(name) for name in names for _ in range(25)]
    of = {str(job.id): str(job.terms.partition) for job in jobs}
    await store.insert(jobs)
    processes = [OtherProcess(url) for _ in range(4)]
    try:
        for process in processes:
            process.do("enlist")
        for seed, process in enumerate(processes):
            process.begin("work_within_limits", most, *rate, seed)
        lines = [line for process in processes for line in await asyncio.to_thread(process.result)]
    finally:
        for process in processes:
            process.kill()
    assert await store.count(Filter()) == {JobState.SUCCEEDED: len(jobs)}
    assert len(lines) > len(jobs)  # some were given back, and started again
    for name in names:
        mine = [(started_at, begin, end) for job_id, started_at, begin, end in lines if of[job_id] == name]
        moments = sorted(started_at for started_at, _, _ in mine)
        assert all(first + rate.seconds <= then for first, then in zip(moments, moments[rate.starts :], strict=False))
        changes = sorted([(begin, 1) for _, begin, _ in mine] + [(end, -1) for _, _, end in mine])
        running = 0
        for _, change in changes:
            running += change
            assert running <= most
