"""What is measured: how what the store says becomes time series, few enough, and the same in every process."""

import os
from collections.abc import MutableMapping, Sequence
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from postlude.errors import StoreUnavailable
from postlude.job import JobState
from postlude.pauses import Pause
from postlude.statistics import BOUNDS
from postlude.stores.entries import SIZES, Sizes
from postlude.stores.seeing import ALWAYS, Sum, Waiting, WorkerReport, WorkerRow
from postlude.telemetry.looking import Look
from postlude.telemetry.measures import MEASURES, MOST_VALUES
from postlude.telemetry.prometheus import Metrics
from postlude.views import Counts, Need, QueuesView, QueueView, WorkersView, WorkerView
from tests.engine.fakes import FakeClock

NOW = FakeClock().now()
REPORT = WorkerReport(
    release="1",
    python="3.14",
    runs_jobs=True,
    mode="embedded",
    slots={"loop": 100, "thread": 16},
    free={"loop": 97},
    running=3,
    jobs=[],
    loop_lag=0.25,
    abandoned=2,
    counts={"StoreFailed": 4},
)


def queue(name: str, *waiting: Waiting, since: float | None = None, paused: Pause | None = None) -> QueueView:
    return QueueView(name, paused, 0, 0, 0, since, waiting, more=False)


def _series(name: str, labels: dict[str, str]) -> str:
    return f"{name}{{{','.join(f'{label}={value}' for label, value in sorted(labels.items()))}}}"


class Said:
    """In place of a store and its views: what they say is given."""

    def __init__(self) -> None:
        self.sums: list[Sum] = []
        self.queues_: list[QueueView] = []
        self.needs_: list[Need] = []
        self.asked: list[tuple[float, int]] = []
        self.error: Exception | None = None

    commit_sizes = Sizes()
    commit_sizes.counts[:2] = 3, 1

    @property
    def seeing(self) -> "Said":
        return self

    async def statistics(self, *, since: float, step: int) -> Sequence[Sum]:
        if self.error is not None:
            raise self.error
        self.asked.append((since, step))
        return self.sums

    async def counts(self) -> Counts:
        return Counts({JobState.QUEUED: 7, JobState.FAILED: 0})

    async def queues(self) -> QueuesView:
        return QueuesView(self.queues_, [], [], 0)

    async def workers(self) -> WorkersView:
        rows = [
            WorkerRow(1, "web-1", 17, 0.0, False, NOW - 1, REPORT),
            WorkerRow(2, "web-2", 18, 0.0, True, None, None),
        ]
        return WorkersView([WorkerView(rows[0], "running", ()), WorkerView(rows[1], "stopping", ())], [])

    async def needs(self) -> list[Need]:
        return self.needs_

    async def store(self) -> Any:
        return self

    async def scrape(self, accept: str = "") -> dict[str, float]:
        """The samples of one answer, by their names and labels."""
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request"}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        scope = {"type": "http", "query_string": b"", "headers": [(b"accept", accept.encode())]}
        await Metrics(Look(self.store, cast("Any", self), FakeClock()))(scope, receive, send)
        assert sent[0]["status"] == 200
        return {
            _series(sample.name, sample.labels): sample.value
            for family in text_string_to_metric_families(sent[1]["body"].decode())
            for sample in family.samples
        }


@pytest.fixture
def said() -> Said:
    return Said()


async def test_what_was_counted_of_all_processes_is_a_counter(said: Said) -> None:
    said.sums = [
        Sum(0, "main:f", "succeeded", 5),
        Sum(0, "main:f", "failed", 1),
        Sum(0, "main:g", "postponed", 2),
        Sum(0, "main:g", "discarded", 3),
        Sum(0, "main:g", "ephemeral", 4),
        Sum(0, "main:g", "unsaved", 6),
    ]
    found = await said.scrape()
    assert said.asked == [(0.0, ALWAYS)], "since the store is there: a counter that fell would be one that began anew"
    assert found["postlude_attempts_total{outcome=succeeded,task=main:f}"] == 5
    assert found["postlude_attempts_total{outcome=failed,task=main:f}"] == 1
    assert found["postlude_attempts_total{outcome=postponed,task=main:g}"] == 2
    assert found["postlude_calls_discarded_total{task=main:g}"] == 3
    assert found["postlude_calls_ephemeral_total{task=main:g}"] == 4
    assert found["postlude_calls_unsaved_total{task=main:g}"] == 6


async def test_histograms_are_cumulative(said: Said) -> None:
    said.sums = [
        Sum(0, "main:f", "start:0", 2),
        Sum(0, "main:f", "start:3", 1),
        Sum(0, "main:f", f"run:{len(BOUNDS)}", 4),
    ]
    found = await said.scrape()
    start = {name: value for name, value in found.items() if name.startswith("postlude_start_latency_seconds_bucket")}
    assert start["postlude_start_latency_seconds_bucket{le=0.005,task=main:f}"] == 2
    assert start["postlude_start_latency_seconds_bucket{le=0.05,task=main:f}"] == 3
    assert start["postlude_start_latency_seconds_bucket{le=+Inf,task=main:f}"] == 3
    assert found["postlude_run_seconds_bucket{le=3600,task=main:f}"] == 0
    assert found["postlude_run_seconds_bucket{le=+Inf,task=main:f}"] == 4


async def test_what_a_later_release_has_counted_is_left_out(said: Said) -> None:
    """It may have run on this store, and have been rolled back."""
    said.sums = [Sum(0, "main:f", "queue:1", 2), Sum(0, "main:f", "run:99", 2), Sum(0, "main:f", "run:0", 1)]
    assert (await said.scrape())["postlude_run_seconds_bucket{le=+Inf,task=main:f}"] == 1


async def test_what_is_now_is_a_gauge(said: Said) -> None:
    waiting = Waiting("mail", "main:f", due=3, later=1, behind=2, running=4)
    pause = Pause("queue", "mail")
    said.queues_ = [queue("mail", waiting, since=NOW - 60, paused=pause), queue("default")]
    said.needs_ = [Need("failed", "2 jobs failed", "jobs list"), Need("paused", "mail is paused", "queues resume mail")]
    found = await said.scrape()
    assert found["postlude_store_up{}"] == 1
    assert found["postlude_jobs{state=queued}"] == 7
    assert found["postlude_waiting{queue=mail,task=main:f,why=due}"] == 3
    assert found["postlude_waiting{queue=mail,task=main:f,why=later}"] == 1
    assert found["postlude_waiting{queue=mail,task=main:f,why=behind}"] == 2
    assert found["postlude_running{queue=mail,task=main:f}"] == 4
    assert found["postlude_oldest_due_seconds{queue=mail}"] == 60
    assert found["postlude_oldest_due_seconds{queue=default}"] == 0
    assert [found[f"postlude_paused{{queue={name}}}"] for name in ("mail", "default")] == [1, 0]
    assert [found[f"postlude_workers{{state={state}}}"] for state in ("running", "stopping", "dead")] == [1, 1, 0]
    assert [found[f"postlude_needs{{kind={kind}}}"] for kind in ("failed", "paused", "no_worker")] == [1, 1, 0]


async def test_what_is_of_one_process_names_it(said: Said) -> None:
    found = await said.scrape()
    assert found["postlude_worker_loop_lag_seconds{worker=web-1:17}"] == 0.25
    assert found["postlude_worker_abandoned_threads{worker=web-1:17}"] == 2
    assert found["postlude_worker_slots{executor=thread,worker=web-1:17}"] == 16
    assert found["postlude_worker_free_slots{executor=loop,worker=web-1:17}"] == 97
    assert found["postlude_events_total{event=StoreFailed,worker=web-1:17}"] == 4
    assert not [name for name in found if "web-2" in name], "which has not reported"


async def test_commits_are_of_the_process_that_answers(said: Said) -> None:
    found = await said.scrape()
    worker = f"{os.uname().nodename}:{os.getpid()}"
    assert found[f"postlude_worker_commit_size_bucket{{le=1,worker={worker}}}"] == 3
    assert found[f"postlude_worker_commit_size_bucket{{le=2,worker={worker}}}"] == 4


@pytest.mark.parametrize(("operations", "bound"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (1024, 1024), (1025, None)])
def test_a_bucket_of_commits_includes_its_bound(operations: int, bound: int | None) -> None:
    sizes = Sizes()
    sizes.note(operations)
    assert sizes.counts.index(1) == (len(SIZES) if bound is None else SIZES.index(bound))


async def test_a_queue_for_each_customer_makes_no_time_series_for_each(said: Said) -> None:
    names = [f"customer-{number:04}" for number in range(5_000)]
    said.queues_ = [queue(name, Waiting(name, f"main:{name}", due=1), since=NOW - 1) for name in names]
    said.sums = [Sum(0, f"main:{name}", "succeeded", 1) for name in names]
    found = await said.scrape()
    assert len(found) < 20 * MOST_VALUES
    assert found["postlude_attempts_total{outcome=succeeded,task=(other)}"] == 5_000 - MOST_VALUES
    assert found["postlude_waiting{queue=(other),task=(other),why=due}"] == 5_000 - MOST_VALUES
    assert found["postlude_oldest_due_seconds{queue=(other)}"] == 1
    said.sums.reverse()
    assert await said.scrape() == found, "the same ones are left out in each process"


async def test_a_store_that_does_not_answer_is_an_answer(said: Said) -> None:
    said.error = StoreUnavailable("disk full")
    assert await said.scrape() == {"postlude_store_up{}": 0}


async def test_a_scraper_may_ask_for_openmetrics(said: Said) -> None:
    said.sums = [Sum(0, "main:f", "succeeded", 5)]
    found = await said.scrape("application/openmetrics-text; version=1.0.0")
    assert found["postlude_attempts_total{outcome=succeeded,task=main:f}"] == 5


async def test_a_websocket_is_refused() -> None:
    sent: list[object] = []

    async def send(message: object) -> None:
        sent.append(message)

    await Metrics(cast("Any", None))({"type": "websocket"}, cast("Any", None), cast("Any", send))
    assert sent == [{"type": "websocket.close"}]


def test_every_measure_has_one_name() -> None:
    assert len({each.prometheus for each in MEASURES}) == len(MEASURES)
    assert all(each.text.endswith(".") for each in MEASURES)
