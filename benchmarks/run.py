"""Measure Postlude: python benchmarks/run.py [NAME ...] [--rounds N] [--smoke] [--json FILE] [--dir FOLDER].

Without names: everything. The exit code says whether the benchmarks could be carried out, never how fast it was.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

# The project's folder instead of this one, so that http.py here does not stand in for Python's own.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import machine
from benchmarks.rounds import Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rounds import Figure

NAMES = (
    "http",
    "enqueue",
    "drain",
    "claim",
    "latency",
    "recovery",
    "idle",
    "importing",
    "drift",
    "children",
    "progress",
    "listeners",
    "watched",
    "prune",
    "pages",
    "postgres",
    "reports",
    "snapshot",
    "observe",
)
ASKED = ("against",)
"""Those that have to be asked for: they compare with something that is not here."""


def main() -> int:
    options = _options()
    try:
        folder = machine.disk_folder(options.dir)
    except machine.CannotRun as error:
        print(error, file=sys.stderr)
        return 1
    try:
        # Whoever has installed the package has it compiled, whatever this environment says of writing bytecode.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
        about = machine.describe(folder, syncs=40 if options.smoke else machine.SYNCS)
        print(*machine.lines(about), sep="\n", flush=True)
        plan = Plan(folder, rounds=1 if options.smoke else options.rounds, smoke=options.smoke)
        figures, failed = _measure_all(options.names or NAMES, plan)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        report = {"machine": about, "rounds": plan.rounds, "figures": figures, "failed": failed}
        options.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", "utf-8")
    if failed:
        print(f"could not be carried out: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _measure_all(names: Sequence[str], plan: Plan) -> tuple[list[dict[str, Any]], list[str]]:
    found, failed = [], []
    for name in names:
        begin, others = time.monotonic(), machine.Others()
        try:
            figures: list[Figure] = importlib.import_module(f"benchmarks.{name}").measure(plan)
        except machine.CannotRun as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed.append(name)
            continue
        except Exception:  # noqa: BLE001 - one that is broken must not keep the others from running
            traceback.print_exc()
            failed.append(name)
            continue
        took, noise = time.monotonic() - begin, others.share()
        rounds = f"{plan.rounds} round{'s' if plan.rounds > 1 else ''}"
        print(f"\n{name}: {rounds} in {took:.0f} s, others used {machine.share(noise)} of the cores")
        print(*(f"  {figure.line(judged=not plan.smoke)}" for figure in figures), sep="\n", flush=True)
        found += [{"benchmark": name, "others": noise, **figure.as_json()} for figure in figures]
    return found, failed


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure Postlude, beside FastAPI's own background tasks.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(NAMES + ASKED)}")
    parser.add_argument("--rounds", type=int, default=3, help="samples of each figure (default: 3)")
    parser.add_argument("--smoke", action="store_true", help="run everything once, briefly: does it still work?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there as well")
    parser.add_argument("--dir", metavar="FOLDER", help="a folder on a disk; the stores go below it")
    options = parser.parse_args()
    unknown = set(options.names) - {*NAMES, *ASKED}
    if unknown:
        parser.error(f"expected some of {', '.join(NAMES + ASKED)}, got {', '.join(sorted(unknown))}")
    if options.rounds < 1:
        parser.error(f"--rounds: expected 1 or more, got {options.rounds}")
    return options


if __name__ == "__main__":
    sys.exit(main())
