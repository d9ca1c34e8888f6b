"""A load of requests over connections that are kept open: python -m benchmarks.load PORT PATH CONNECTIONS SECONDS.

Plain sockets and epoll in one process, since a client that works harder than the server would measure itself. Each
connection has one request under way: the next is sent when the answer has come in whole.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time

from benchmarks.machine import percentile

HEAD_END = b"\r\n\r\n"


class Connection:
    """One connection, and the answer that is coming in on it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent = 0.0
        self.received = b""

    def complete(self) -> bool:
        """Whether the answer is there, by its Content-Length."""
        head, found, body = self.received.partition(HEAD_END)
        if not found:
            return False
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        return len(body) >= int(length)


class Tally:
    """What came back."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.statuses: dict[str, int] = {}

    def note(self, connection: Connection, now: float) -> None:
        self.seconds.append(now - connection.sent)
        status = connection.received[9:12].decode("ascii")
        self.statuses[status] = self.statuses.get(status, 0) + 1
        connection.received = b""


def load(port: int, path: str, connections: int, seconds: float) -> dict[str, object]:
    """Ask until the time is over, and take in the answers that are still to come."""
    request = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\n\r\n".encode("ascii")
    selector, tally, broken = selectors.DefaultSelector(), Tally(), 0
    begin = time.perf_counter()
    until = begin + seconds
    for _ in range(connections):
        connection = Connection(port)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.sent = time.perf_counter()
        connection.socket.sendall(request)
    while selector.get_map():
        ready = selector.select(timeout=10)
        if not ready:
            broken += len(selector.get_map())
            break
        for key, _ in ready:
            connection = key.data
            data = connection.socket.recv(65536)
            connection.received += data
            if data and not connection.complete():
                continue
            now = time.perf_counter()
            if data:
                tally.note(connection, now)
            else:
                broken += 1
            if data and now < until:
                connection.sent = now
                connection.socket.sendall(request)
            else:
                selector.unregister(connection.socket)
                connection.socket.close()
    took = time.perf_counter() - begin
    acknowledged = sum(count for status, count in tally.statuses.items() if status.startswith("2"))
    return {
        "per_second": len(tally.seconds) / took,
        "p50_ms": 1e3 * percentile(tally.seconds, 0.5),
        "p99_ms": 1e3 * percentile(tally.seconds, 0.99),
        "acknowledged": acknowledged,
        "refused": len(tally.seconds) - acknowledged,
        "broken": broken,
        "load_core_use": time.process_time() / took,
    }


if __name__ == "__main__":
    print(json.dumps(load(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))
