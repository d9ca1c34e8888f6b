"""`postlude worker`: what the command line asks for, checked before anything starts."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any, Final

from postlude.duty import Duty
from postlude.errors import PostludeError, SettingsError, StoreLocationError
from postlude.given import did_you_mean
from postlude.registry import import_tasks
from postlude.settings import DEFAULT_URL, concurrency_of
from postlude.standalone.finding import find
from postlude.standalone.program import FAILED, Program
from postlude.terms import queues, wrong_queue

MEANINGLESS: Final = 2
"""Exit code of a command line that makes no sense, as for one that cannot be read at all."""
_DEFAULT_FILE = DEFAULT_URL.removeprefix("sqlite:///")


def work(application: str | None, queues: str | None, concurrency: str | None, health_port: int | None) -> int:
    """Run the jobs of an application until the process is told to end; returns the exit code.

    Args:
        application: see `finding.find`.
        queues: `mail:20,reports`; None: all of them.
        concurrency: `20`, or `loop=20,threads=4,processes=2`; None: as the application says.
        health_port: where `/healthz` is answered; None: nowhere.
    """
    try:
        found = find(application)
        import_tasks(found.engine.settings.tasks)
        _check_url(found.engine.settings.url)
    except PostludeError as error:
        return _fail(str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the application's modules raise: it is shown
        return _fail(f"The application could not be imported:\n{''.join(traceback.format_exception(error)).rstrip()}")
    try:
        found.engine.take(Duty(_queues(queues)), **_options(concurrency))
    except SettingsError as error:
        return _fail(str(error), MEANINGLESS)
    return Program(found, health_port=health_port).run()


def _fail(message: str, code: int = FAILED) -> int:
    sys.stderr.write(f"{message}\n")
    return code


def _queues(text: str | None) -> dict[str, int | None]:
    """What `mail:20,reports` says: the queues, and how many jobs of each at once."""
    found: dict[str, int | None] = {}
    problems = []
    for part in [] if text is None else text.split(","):
        name, colon, most = part.strip().rpartition(":")
        if not colon or not most.isdecimal():
            name, most = part.strip(), ""
        if most and not int(most):
            problems.append(f"--queues: expected at least one job at once, got {part.strip()!r}")
        problems += [f"--queues: {problem}" for problem in wrong_queue(name)]
        found[name] = int(most) if most else None
    problems += [f"--queues: {_unknown(name)}" for name in found if name not in queues and not problems]
    if problems:
        raise SettingsError(problems)
    return found


def _unknown(name: str) -> str:
    return (
        f"no task of the application has the queue {name!r}.{did_you_mean(name, queues)} There are "
        f"{', '.join(sorted(queues))}. If calls name it, in options(queue={name!r}), give one task that queue too."
    )


def _options(concurrency: str | None) -> dict[str, Any]:
    if concurrency is None:
        return {}
    try:
        return {"concurrency": concurrency_of(concurrency)}
    except ValueError as error:
        raise SettingsError([f"--concurrency: {error}"]) from error


def _check_url(url: str) -> None:
    """Nothing, unless nobody says where the store is, and it is not where a server would have made it.

    A worker that was started in another folder would make one of its own there, and wait in it for ever.
    """
    if url == DEFAULT_URL and not Path(_DEFAULT_FILE).exists():
        message = (
            f"There is no store: {Path.cwd() / _DEFAULT_FILE}, its default place, is not there. The server makes it in "
            "the folder in which it is started. Start the worker in the same one, or set POSTLUDE_URL for both, such "
            "as sqlite:////var/lib/shop/jobs.db."
        )
        raise StoreLocationError(message)
