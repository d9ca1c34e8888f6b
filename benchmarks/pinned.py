"""Run a module on one core: python -m benchmarks.pinned CORE MODULE ARGUMENTS. A negative core is any."""

from __future__ import annotations

import runpy
import sys

from benchmarks.machine import pin

if __name__ == "__main__":
    core, module = int(sys.argv[1]), sys.argv[2]
    pin(core if core >= 0 else None)
    del sys.argv[:2]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
