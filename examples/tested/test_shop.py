"""The shop, tested with each of the tools of `postlude.testing`, without sleeping."""

from datetime import timedelta
from unittest.mock import ANY

import pytest
from fastapi.testclient import TestClient

import shop
from postlude.testing import BlockingWorker, CapturedCalls, assert_enqueued, raise_failures, worker

# What is added


def test_an_order_adds_three_tasks(client: TestClient, durable_calls: CapturedCalls) -> None:
    client.post("/orders/7", params={"email": "ada@example.com"})
    durable_calls.assert_enqueued(shop.send_mail, "ada@example.com", ANY)
    durable_calls.assert_enqueued(shop.tell_warehouse, 7)
    reminder = durable_calls.assert_enqueued(shop.remind, to="ada@example.com")
    assert reminder.options.delay == timedelta(days=14).total_seconds()
    assert len(durable_calls) == 3
    assert shop.outbox == []


def test_an_order_that_is_refused_adds_none(client: TestClient, durable_calls: CapturedCalls) -> None:
    assert client.post("/orders/0", params={"email": "ada@example.com"}).status_code == 422
    assert not durable_calls


# What it comes to


def test_the_confirmation_is_sent_when_post_returns(client: TestClient) -> None:
    with raise_failures(shop.app):
        client.post("/orders/7", params={"email": "ada@example.com"})
    assert shop.outbox == [("ada@example.com", "Thank you for order 7")]


def test_an_address_that_is_none_fails_its_task_and_nothing_else(client: TestClient) -> None:
    with pytest.raises(ValueError, match="is no address"), raise_failures(shop.app):
        assert client.post("/orders/7", params={"email": "ada"}).status_code == 200
    assert assert_enqueued(shop.app, shop.send_mail, "ada", ANY).state == "failed"
    assert shop.warehouse.told == [7]


# Later


def test_the_warehouse_is_told_again_after_ten_seconds(client: TestClient, durable_worker: BlockingWorker) -> None:
    shop.warehouse.down_for = 1
    client.post("/orders/7", params={"email": "ada@example.com"})
    durable_worker.run_pending()
    durable_worker.advance(9)
    assert shop.warehouse.told == []
    durable_worker.advance(1)
    assert shop.warehouse.told == [7]


def test_the_warehouse_is_given_up_after_four_attempts(client: TestClient, durable_worker: BlockingWorker) -> None:
    shop.warehouse.down_for = 4
    client.post("/orders/7", params={"email": "ada@example.com"})
    with pytest.raises(ConnectionError), raise_failures(shop.app):
        durable_worker.advance(10 + 60 + 600)
    job = assert_enqueued(shop.app, shop.tell_warehouse, 7)
    assert (job.state, job.attempts) == ("failed", 4)


def test_the_reminder_comes_two_weeks_later(client: TestClient, durable_worker: BlockingWorker) -> None:
    began = durable_worker.now
    client.post("/orders/7", params={"email": "ada@example.com"})
    durable_worker.run_all()
    assert shop.outbox[-1] == ("ada@example.com", "How do you like what you bought?")
    assert durable_worker.now - began == timedelta(days=14)


def test_the_stock_is_counted_each_night(durable_worker: BlockingWorker) -> None:
    durable_worker.advance(timedelta(days=3))
    assert [night[10:16] for night in shop.nights] == ["T02:30"] * 3
    assert len(set(shop.nights)) == 3


def test_nights_that_are_passed_over_are_made_up_for_by_one(durable_worker: BlockingWorker) -> None:
    shop.durable.blocking.options(delay=timedelta(days=3)).enqueue(shop.remind, "ada@example.com")
    durable_worker.run_all()  # goes to the reminder, and to no night before it
    assert len(shop.nights) == 1


@pytest.mark.anyio
async def test_the_same_without_a_client() -> None:
    shop.warehouse.down_for = 2
    async with worker(shop.app) as working:
        await shop.durable.enqueue(shop.tell_warehouse, 8)
        await working.run_all()
    assert shop.warehouse.told == [8]
