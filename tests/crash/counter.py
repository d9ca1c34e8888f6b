"""The process that counts effects: it hears of each in a datagram, and outlives every server.

Run as a program with the path of its socket. It writes what it heard as JSON, a list of `[moment, event, name]` with
the moment on the machine's monotonic clock, when it hears `report`.
"""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple, Self


class Heard(NamedTuple):
    moment: float
    event: str
    name: str


class Counter:
    """The counting process, from outside."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self.path)], stdout=subprocess.PIPE, text=True, cwd=self.path.parent
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "listening\n"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def report(self) -> list[Heard]:
        """Everything that it has heard; it ends with that."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto(b"report", os.fspath(self.path))
        written, _ = self._process.communicate(timeout=30)
        return [Heard(*line) for line in json.loads(written)]


def listen(path: str) -> None:
    heard: list[tuple[float, str, str]] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as here:
        here.bind(path)
        print("listening", flush=True)
        while (message := here.recv(256).decode()) != "report":
            event, name = message.split(" ")
            heard.append((time.monotonic(), event, name))
    json.dump(heard, sys.stdout)


if __name__ == "__main__":
    listen(sys.argv[1])
