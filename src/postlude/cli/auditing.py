"""`postlude audit`: what FastAPI's own background tasks have lost, and what stands in the way of durable ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from postlude.cli.codes import DONE, REFUSED, NoRecord
from postlude.cli.printing import Output, counted, iso, plain
from postlude.cli.running import ended
from postlude.settings import read_settings
from postlude.stock.audit import audit as audit_of
from postlude.stock.files import folder_of
from postlude.stock.record import BY_RESTARTS, OTHERWISE, Fate
from postlude.telemetry import utc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from postlude.stock.audit import Audit, Audited

_SAID: Final = {
    Fate.INTERRUPTED: "while they ran",
    Fate.UNBEGUN: "before they began",
    Fate.CANCELLED: "cancelled with their request",
    Fate.DROPPED: "never begun by FastAPI",
}


def audit(
    *,
    url: Annotated[
        str | None,
        typer.Option(show_default=False, help="Where the application would keep its jobs. Default: POSTLUDE_URL."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Say what FastAPI's own background tasks have lost, by the record of `Postlude(app, mode="observe")`.

    And which calls could not be stored, and which tasks look unsafe to run twice, each with file and line. The record
    is beside where jobs would be kept; the application is not imported, and may run meanwhile.

    Exit code: 0 when nothing was lost; 1 when something was; 2 when there is no record.
    """
    out = Output(json=json)
    raise typer.Exit(ended(lambda: _audit(url, out), out))


def _audit(url: str | None, out: Output) -> int:
    folder = folder_of(read_settings({"url": url}).url)
    found = audit_of(folder)
    if found is None:
        message = (
            f'There is no record in {folder}: let the application run with Postlude(app, mode="observe") or '
            "POSTLUDE_MODE=observe, and look from the folder that it runs in, or give --url."
        )
        raise NoRecord(message)
    out.show(_as_json(found), "\n".join(map(plain, _lines(found))))
    return REFUSED if found.lost else DONE


def _headline(found: Audit) -> str:
    by_restarts, otherwise = found.count(*BY_RESTARTS), found.count(*OTHERWISE)
    lost = f"{counted(len(found.restarts), 'restart')} lost {counted(by_restarts, 'task')}" if by_restarts else ""
    if otherwise:
        lost += f"; {otherwise:,} more without one" if lost else f"{counted(otherwise, 'task')} lost without a restart"
    storable = f"{len(found.storable)} of {counted(len(found.sites), 'call site')} storable"
    unsafe = len(found.unsafe)
    return f"{lost or 'nothing was lost'}; {storable}; {unsafe} look{'s' if unsafe == 1 else ''} unsafe to run twice"


def _lines(found: Audit) -> Iterator[str]:
    yield _headline(found)
    fates = [f"{times:,} {fate}" for fate in Fate if (times := found.count(fate))]
    fates += [f"{found.open:,} under way"] if found.open else []
    span = f"{utc(found.since)} to {utc(found.until)}"
    yield f"\n{span}"
    yield f"processes: {found.ended} gone, {found.living} alive"
    yield f"tasks: {', '.join(fates)}"
    if found.missed:
        yield f"{counted(found.missed, 'event')} could not be recorded: the numbers may be off by as many"
    sites = sorted(found.sites.values(), key=lambda each: (-each.lost, each.site))
    yield from _part("lost", [line for each in sites if each.lost for line in _lost(each)])
    yield from _part(
        "restarts", [f"{utc(each.after)}: {each.lost}, with process {each.pid}" for each in found.restarts]
    )
    yield from _part("not storable", [line for each in sites for line in _refused(each)])
    yield from _part("unsafe to run twice", list(_unsafe(found)))


def _part(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"\n{title}"
        for line in lines:
            yield f"  {line}"


def _lost(each: Audited) -> Iterator[str]:
    how = ", ".join(f"{times} {said}" for fate, said in _SAID.items() if (times := each.fates[fate]))
    yield f"{_place(each)}: {how}"


def _refused(each: Audited) -> Iterator[str]:
    if each.refused is not None:
        yield f"{_place(each)}: {each.refused.reason}"
        if each.refused.cure:
            yield f"  {each.refused.cure}"


def _unsafe(found: Audit) -> Iterator[str]:
    """Each task once, with all the places that add it."""
    tasks: dict[tuple[str, str | None, int], list[Audited]] = {}
    for each in sorted(found.unsafe, key=lambda each: each.site):
        tasks.setdefault((each.site.task, each.site.source, each.site.first_line), []).append(each)
    for (task, source, _), sites in tasks.items():
        yield f"{', '.join(f'{_shown(each.site.file)}:{each.site.line}' for each in sites)} {task}"
        for sign in sites[0].signs or ():
            yield f"  {_shown(source or '')}:{sign.line}: {sign.what}"


def _place(each: Audited) -> str:
    return f"{_shown(each.site.file)}:{each.site.line} {each.site.task}"


def _shown(file: str) -> str:
    """A path as it is written from here, if it is below."""
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else file


def _as_json(found: Audit) -> dict[str, Any]:
    return {
        "since": iso(found.since),
        "until": iso(found.until),
        "processes": {"ended": found.ended, "living": found.living},
        "restarts": [{**each._asdict(), "after": iso(each.after)} for each in found.restarts],
        "lost": found.lost,
        "tasks": {str(fate): found.count(fate) for fate in Fate} | {"open": found.open},
        "missed": found.missed,
        "call_sites": len(found.sites),
        "storable": len(found.storable),
        "unsafe": len(found.unsafe),
        "sites": [_site_as_json(each, unsafe=each in found.unsafe) for each in found.sites.values()],
    }


def _site_as_json(each: Audited, *, unsafe: bool) -> dict[str, Any]:
    return {
        "file": each.site.file,
        "line": each.site.line,
        "task": each.site.task,
        "lost": each.lost,
        "tasks": {str(fate): each.fates[fate] for fate in Fate} | {"open": each.open},
        "not_storable": None if each.refused is None else each.refused._asdict(),
        "unsafe": unsafe,
        "signs": None if each.signs is None else [sign._asdict() for sign in each.signs],
    }
