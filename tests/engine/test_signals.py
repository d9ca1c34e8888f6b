"""The first signal is heard beside whoever handles it, and everything is put back."""

import asyncio
import signal
import threading
from collections.abc import Iterator

import pytest

from postlude.lifetime.signals import SignalWatch
from tests.engine.fakes import until


@pytest.fixture(autouse=True)
def handlers_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_is_heard_before_the_handler_that_was_there(number: signal.Signals) -> None:
    said: list[str] = []
    signal.signal(number, lambda *_: said.append("the server's"))
    watch = SignalWatch(lambda: said.append("heard"))
    watch.start()
    signal.raise_signal(number)
    assert said == ["heard", "the server's"]
    watch.stop()
    signal.raise_signal(number)
    assert said == ["heard", "the server's", "the server's"]


def test_what_goes_wrong_in_hearing_does_not_keep_the_server_from_hearing() -> None:
    said: list[str] = []
    signal.signal(signal.SIGTERM, lambda *_: said.append("the server's"))

    def broken() -> None:
        message = "the loop is closed"
        raise RuntimeError(message)

    watch = SignalWatch(broken)
    watch.start()
    with pytest.raises(RuntimeError, match="the loop is closed"):
        signal.raise_signal(signal.SIGTERM)
    assert said == ["the server's"]
    watch.stop()


def test_stop_before_start_and_twice_changes_nothing() -> None:
    before = signal.getsignal(signal.SIGTERM)
    watch = SignalWatch(lambda: None)
    watch.stop()
    watch.start()
    assert signal.getsignal(signal.SIGTERM) != before
    watch.stop()
    watch.stop()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_default_handler_still_does_what_it_does() -> None:
    said: list[str] = []
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what pytest was started from may have it ignored
    watch = SignalWatch(lambda: said.append("heard"))
    watch.start()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert said == ["heard"]
    watch.stop()


def test_an_ignored_signal_stays_ignored() -> None:
    said: list[str] = []
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    watch = SignalWatch(lambda: said.append("heard"))
    watch.start()
    signal.raise_signal(signal.SIGINT)
    assert said == []
    watch.stop()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_somebody_who_chained_on_to_it_is_not_cut_off() -> None:
    said: list[str] = []
    signal.signal(signal.SIGTERM, lambda *_: said.append("first"))
    watch = SignalWatch(lambda: said.append("heard"))
    watch.start()
    ours = signal.getsignal(signal.SIGTERM)
    assert callable(ours)

    def chained(number: int, frame: object) -> None:
        said.append("chained")
        ours(number, None)

    signal.signal(signal.SIGTERM, chained)
    signal.raise_signal(signal.SIGTERM)
    assert said == ["chained", "heard", "first"]
    watch.stop()
    assert signal.getsignal(signal.SIGTERM) is chained
    signal.raise_signal(signal.SIGTERM)
    assert said[3:] == ["chained", "first"], "the handler before is still reached, and nobody hears any more"
    watch.start()
    signal.raise_signal(signal.SIGTERM)
    assert said[5:] == ["chained", "heard", "first"], "once, and not in a circle"
    watch.stop()


def test_outside_the_main_thread_it_does_nothing() -> None:
    before = signal.getsignal(signal.SIGTERM)
    watch = SignalWatch(lambda: None)
    thread = threading.Thread(target=watch.start)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before
    watch.stop()


async def test_a_handler_of_the_event_loop_is_respected() -> None:
    said: list[str] = []
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, said.append, "the loop's")
    watch = SignalWatch(lambda: said.append("heard"))
    watch.start()
    signal.raise_signal(signal.SIGTERM)
    await until(lambda: len(said) == 2)
    assert said == ["heard", "the loop's"]
    watch.stop()
    loop.remove_signal_handler(signal.SIGTERM)
