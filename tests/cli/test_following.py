"""`postlude jobs tail`: all that is new, however much it is, and each once."""

import json
from typing import NoReturn
from unittest import mock

import pytest

from postlude.cli import following
from postlude.clock import SystemClock
from postlude.job import Event
from postlude.stores.contract import Store
from postlude.stores.searching import LOOK
from tests.cli.conftest import Desk
from tests.cli.test_jobs_commands import add_failed
from tests.stores.making import claim_of, ended, queued, staged


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How many it takes before it is cut off."""
    left = [0.0]

    async def pause(seconds: float) -> None:
        left[0] -= 1
        if left[0] < 0:
            _cut_off()

    monkeypatch.setattr(following, "pause", pause)
    return left


def _cut_off() -> NoReturn:
    raise KeyboardInterrupt


def told(desk: Desk) -> list[str]:
    lines = desk.says("jobs", "tail", "--json", code=130).splitlines()
    return [json.loads(line)["id"] for line in lines]


@pytest.mark.parametrize("in_order", [100, 5_000])
def test_all_that_is_new_is_told_of_once(
    either: Desk, looks: list[float], monkeypatch: pytest.MonkeyPatch, in_order: int
) -> None:
    monkeypatch.setattr(following, "IN_ORDER", in_order)
    looks[0] = 2
    ordered = mock.Mock(wraps=following._moment)
    monkeypatch.setattr(following, "_moment", ordered)
    new = add_failed(either, 450, SystemClock().now())
    add_failed(either, 3)
    assert sorted(told(either)) == sorted(str(job.id) for job in new)
    assert ordered.call_count < 10 * len(new), "what was told of is not kept to be put in order again"


def test_what_waited_behind_many_is_told_of_when_it_ends(desk: Desk, looks: list[float]) -> None:
    """More than are looked at at once were added since."""
    now = SystemClock().now()

    async def fill(store: Store) -> str:
        old = staged(await store.enlist(), "shop.send", created_at=now - 3600)
        await store.insert([old])
        await store.insert([queued(created_at=now - 1800) for _ in range(LOOK + 50)])
        await store.settle([ended(claim_of(old), Event.SUCCEED, at=now)])
        return str(old.id)

    old = desk.on_store(fill)
    looks[0] = 1
    assert told(desk) == [old]


def test_the_code_is_that_of_waiting_for_it(desk: Desk) -> None:
    (job,) = add_failed(desk, 1)
    assert "failed" in desk.says("jobs", "tail", str(job.id), code=1)
