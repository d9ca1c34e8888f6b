"""A process that moves all jobs of one store to another in small parcels, and says each step: one to be killed."""

import asyncio
import sys
from collections.abc import Sequence
from typing import cast

from postlude.clock import SystemClock
from postlude.moving import Move
from postlude.stores.moving import StoreWithDestination
from postlude.stores.sqlite import SQLiteStore
from tests.stores.places import open_place


class Saying:
    """A watch that says each step."""

    def waiting(self, unfinished: int, living: Sequence[str]) -> None:
        say(f"waiting for {unfinished}")

    def carried(self, done: int, total: int) -> None:
        say(f"{done} of {total}")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def move(source_path: str, url: str, portion: int) -> int:
    source = SQLiteStore(source_path, leaving=True)
    destination = cast("StoreWithDestination", open_place(url))
    say("begins")
    await source.open()
    await destination.open()
    say("open")
    move = Move(source, destination, "there", SystemClock(), Saying(), portion=portion)
    counts = await move.run(drain=True, history=True)
    await destination.close()
    await source.close()
    return int(any(count.source != count.destination for count in counts))


if __name__ == "__main__":
    sys.exit(asyncio.run(move(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
