"""What tasks do that can be seen from outside: lines in a file, and waiting for a file that the test makes."""

import asyncio
import contextlib
import os
import threading
from pathlib import Path

LOOK_EVERY = 0.02

_never = threading.Event()


def note(event: str, name: str) -> None:
    """Append one line, whole even when several processes do so at once."""
    descriptor = os.open("effects.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{os.getpid()} {event} {name}\n".encode())
    finally:
        os.close(descriptor)


def is_open(name: str) -> bool:
    return Path(f"{name}.gate").exists()


def block(seconds: float) -> None:
    """Keep this thread from everything else."""
    _never.wait(seconds)


async def pause(seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), seconds)


def pass_gate(name: str) -> None:
    while not is_open(name):
        block(LOOK_EVERY)


async def pass_gate_async(name: str) -> None:
    while not is_open(name):
        await pause(LOOK_EVERY)
