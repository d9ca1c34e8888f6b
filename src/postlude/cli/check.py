"""`postlude check`: every problem at once, each with its cure."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING, Final

from postlude.checking.checks import check
from postlude.checking.hosting import host
from postlude.clock import SystemClock
from postlude.errors import PostludeError
from postlude.standalone.finding import find

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from postlude.findings import Looked

FINE: Final = 0
WOULD_LOSE: Final = 1
"""Exit code when work would be lost, or never done."""
NOT_LOOKED: Final = 2
"""When there is no application to look at."""


def check_application(application: str | None, console: Console) -> int:
    """Look at an application and at where it keeps its jobs; returns the exit code."""
    try:
        found = find(application)
    except PostludeError as error:
        return _not_looked(str(error), console)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the application's modules raise: it is shown
        raised = "".join(traceback.format_exception(error)).rstrip()
        return _not_looked(f"The application could not be imported:\n{raised}", console)
    try:
        looked = asyncio.run(check(found, SystemClock(), host()))
    except PostludeError as error:
        return _not_looked(str(error), console)
    return _tell(looked, console)


def _not_looked(why: str, console: Console) -> int:
    console.print(why, style="red", soft_wrap=True, markup=False)
    return NOT_LOOKED


def _tell(looked: Mapping[str, Looked], console: Console) -> int:
    for name, each in looked.items():
        if not each.findings and each.said:
            mark, style = ("-       ", "dim") if each.skipped else ("ok      ", "green")
            console.print(f"{mark} {name}: {each.said}", style=style, soft_wrap=True, markup=False)
        for finding in each.findings:
            mark, style = ("problem ", "bold red") if finding.serious else ("note    ", "yellow")
            console.print(f"{mark} {name}: {finding.what}", style=style, soft_wrap=True, markup=False)
            if finding.cure:
                console.print(f"         {finding.cure}", soft_wrap=True, markup=False)
    serious = sum(finding.serious for each in looked.values() for finding in each.findings)
    if serious:
        things = "1 problem" if serious == 1 else f"{serious} problems"
        console.print(f"{things} by which work would be lost, or never done.", style="bold red")
    return WOULD_LOSE if serious else FINE
