"""The child of a server with `worker="process"`: it runs the server's jobs, and ends with it."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from postlude import telemetry
from postlude.duty import Duty
from postlude.executors.inside import importing
from postlude.executors.wire import Wire
from postlude.fastapi import desk_of
from postlude.registry import attribute
from postlude.running.elsewhere import Place, load_place
from postlude.standalone.finding import Found
from postlude.standalone.program import FAILED, Program

if TYPE_CHECKING:
    from fastapi import FastAPI

    from postlude.runtime import Runtime

_PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    """Run the jobs of the application that the wire, whose file descriptor is the first argument, tells of."""
    end = socket.socket(fileno=int(sys.argv[1]))
    end.set_inheritable(False)  # what a task starts must not keep it open
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    wire = Wire(end)
    told = wire.receive()
    if told is not None:
        sys.exit(_run(wire, told))


def _run(wire: Wire, told: dict[str, Any]) -> int:
    """Return the exit code."""
    sys.argv[:] = told["argv"]
    telemetry.make_heard()
    place = Place(*told["place"])
    with importing():
        load_place(place)
    app: FastAPI = attribute(sys.modules[place.module], place.qualname)
    engine: Any = None if app is None else desk_of(app)
    if engine is None:
        name = f"{place.module}:{place.qualname}"
        telemetry.fail(f"{name} is not the server's application any more: was it changed?", f"check {name}")
        return FAILED
    runtime: Runtime = engine
    runtime.take(Duty(server=told["server"]), url=told["url"], shutdown_grace=told["grace"])
    program = Program(Found(app, runtime, f"{place.module}:{place.qualname}"))
    threading.Thread(target=_attend, args=[wire, program], name="postlude-wire", daemon=True).start()
    return program.run()


def _attend(wire: Wire, program: Program) -> None:
    """Do what the server says, until it is gone."""
    while wire.receive() is not None:
        program.stop()
    os._exit(FAILED)  # whoever runs the jobs next finds that nobody owns them
