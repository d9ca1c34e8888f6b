"""Many clients at once, each asking for its share of the notifications."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Final, NamedTuple

from postlude.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CLIENTS: Final = 20
SECONDS_TO_ANSWER: Final = 20.0


class Request(NamedTuple):
    """One request for one notification."""

    number: int
    path: str


class Answer(NamedTuple):
    """What a client was told."""

    number: int
    seconds: float
    """From the first byte sent to the last byte read."""
    promised: bool
    """Whether the service said that the notification will be sent."""


def ask(host: str, port: int, requests: list[Request], answered: Callable[[], object]) -> list[Answer]:
    """Send all requests, over as many connections as there are clients; `answered` is called after each."""

    def ask_in_turn(share: list[Request]) -> list[Answer]:
        connection = HTTPConnection(host, port, timeout=SECONDS_TO_ANSWER)
        try:
            return list(_answers(connection, share, answered))
        finally:
            connection.close()

    shares = [share for first in range(CLIENTS) if (share := requests[first::CLIENTS])]
    with ThreadPoolExecutor(max_workers=len(shares)) as clients:
        return [answer for answers in clients.map(ask_in_turn, shares) for answer in answers]


def _answers(connection: HTTPConnection, share: list[Request], answered: Callable[[], object]) -> Iterable[Answer]:
    for request in share:
        began = SystemClock.elapsed()
        try:
            connection.request("POST", request.path)
            response = connection.getresponse()
            response.read()
            promised = response.status == 202  # noqa: PLR2004 - Accepted
        except (OSError, HTTPException):
            connection.close()  # the next request opens it again
            promised = False
        yield Answer(request.number, SystemClock.elapsed() - began, promised)
        answered()
