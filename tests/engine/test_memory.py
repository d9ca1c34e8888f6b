"""Objects that are there when a server starts are none of the garbage collector's business until it ends."""

import gc
import threading
from collections.abc import Iterator

import pytest

from postlude.lifetime.memory import LoadedObjects


@pytest.fixture(autouse=True)
def nothing_frozen() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


def test_what_is_loaded_is_frozen_and_given_back() -> None:
    loaded = LoadedObjects()
    loaded.freeze()
    assert gc.get_freeze_count() > 1000
    loaded.thaw()
    assert gc.get_freeze_count() == 0
    loaded.thaw()


def test_what_somebody_else_has_frozen_stays_frozen() -> None:
    gc.freeze()
    loaded = LoadedObjects()
    loaded.freeze()
    loaded.thaw()
    assert gc.get_freeze_count() > 1000


def test_only_the_main_thread_is_a_servers() -> None:
    loaded = LoadedObjects()
    other = threading.Thread(target=loaded.freeze)
    other.start()
    other.join()
    assert gc.get_freeze_count() == 0
