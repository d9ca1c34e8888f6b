"""The health port does not take the file descriptors that the tasks need."""

import socket
import threading
from contextlib import ExitStack

from postlude.standalone.answering import MOST_AT_ONCE, PATH, Answering, _listen
from postlude.standalone.health import Report
from tests.scenarios.waiting import wait_until

REQUEST = f"GET {PATH} HTTP/1.1\r\n\r\n".encode()


def test_who_only_connects_is_counted_and_one_too_many_is_closed_at_once() -> None:
    listening = _listen(0)
    address = ("127.0.0.1", listening.getsockname()[1])
    answering = Answering(0, lambda: Report("running", []))
    threading.Thread(target=answering._run, args=[listening], daemon=True).start()
    with ExitStack() as idle:
        connected = [idle.enter_context(socket.create_connection(address, 10)) for _ in range(MOST_AT_ONCE)]
        wait_until(lambda: answering._open == MOST_AT_ONCE, "all are there")
        with socket.create_connection(address, 10) as one_more:
            assert closed(one_more)
        connected[0].sendall(REQUEST)
        assert connected[0].recv(4096).startswith(b"HTTP/1.1 200 OK"), "who was there first is answered"
    wait_until(lambda: answering._open == 0, "all have left")
    with socket.create_connection(address, 10) as later:
        later.sendall(REQUEST)
        assert later.recv(4096).startswith(b"HTTP/1.1 200 OK")


def closed(end: socket.socket) -> bool:
    """Whether the other side has closed it, once it says anything."""
    try:
        return end.recv(1) == b""
    except ConnectionResetError:
        return True
