"""The one place where these tests let real time pass: a look now and then, until something outside has happened."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_EVERY = 0.01

_never = threading.Event()


def wait_until(look: Callable[[], T], what: str, *, seconds: float = 15.0) -> T:
    """Look until it gives something true, and return that; fail when it has not done so in time."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            message = f"not within {seconds:g} s: {what} (last seen: {found!r})"
            raise AssertionError(message)
        _never.wait(LOOK_EVERY)


def let_pass(seconds: float) -> None:
    """Give something that must not happen the time to happen."""
    _never.wait(seconds)
