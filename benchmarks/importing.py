"""What `import postlude` costs after `import fastapi`, each time in a fresh interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.rounds import Figure, at_most, column, interleaved, median

if TYPE_CHECKING:
    from benchmarks.rounds import Plan

PROGRAMS = {
    "both": "import fastapi; between = now(); import postlude",
    "postlude": "between = now(); import postlude",
    "fastapi": "between = now(); import fastapi",
}
FRAME = """
import json
from time import perf_counter as now
begin = now()
{program}
end = now()
print(json.dumps({{"first": 1e3 * (between - begin), "second": 1e3 * (end - between)}}))
"""


def measure(plan: Plan) -> list[Figure]:
    _take("both")  # compiles what it imports
    found = [interleaved(list(PROGRAMS), plan.scaled(7, 1), _take) for _ in range(plan.rounds)]
    over = [median(column(each["both"], "second")) for each in found]
    whole = [median(column(each["postlude"], "second")) for each in found]
    fastapi = [median(column(each["fastapi"], "second")) for each in found]
    return [
        at_most("import postlude after import fastapi", over, 50.0, "ms"),
        Figure("import postlude alone", whole, "ms"),
        Figure("import fastapi alone", fastapi, "ms"),
    ]


def _take(name: str) -> dict[str, float]:
    program = FRAME.format(program=PROGRAMS[name])
    # What is installed is compiled already. Where nothing may be written beside the source, each time would compile it.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
    printed = subprocess.check_output([sys.executable, "-c", program], text=True, env=environment)
    sample: dict[str, float] = json.loads(printed)
    return sample
