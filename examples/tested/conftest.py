"""What Postlude's fixtures have to know, and a shop in which nothing has happened yet."""

import pytest
from fastapi.testclient import TestClient

import shop
from postlude import Postlude


@pytest.fixture
def durable() -> Postlude:
    return shop.durable


@pytest.fixture(autouse=True)
def _a_new_day(durable_store: None) -> None:  # noqa: ARG001 - no test writes into the store of the shop itself
    shop.outbox.clear()
    shop.nights.clear()
    shop.warehouse = shop.Warehouse()


@pytest.fixture
def client() -> TestClient:
    return TestClient(shop.app)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
