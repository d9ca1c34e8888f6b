"""A program that forks after it has imported the application, and perhaps used it; each process enqueues a job.

The number of children is the first argument; with `used` as the second, the parent uses its store before it forks.
"""

import os
import sys

from fastapi import FastAPI

from postlude import Postlude
from tests.scenarios.apps.effects import note

app = FastAPI()
durable = Postlude(app, worker="off")


def enqueue_one() -> None:
    durable.blocking.enqueue(note, "ended", str(os.getpid()))


def main() -> int:
    children = int(sys.argv[1])
    if sys.argv[2:] == ["used"]:
        enqueue_one()
    forked = [fork_child() for _ in range(children)]
    enqueue_one()
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in forked)


def fork_child() -> int:
    child = os.fork()
    if not child:
        try:
            enqueue_one()
        except BaseException as error:  # noqa: BLE001 - a child must not go on with its parent's work
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return child


if __name__ == "__main__":
    code = main()
    durable.blocking.close()
    sys.exit(code)
