"""What the record of an application says: what was lost, what could not be stored, what should not be done twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from postlude.stock.files import read
from postlude.stock.record import BY_RESTARTS, OTHERWISE, Fate
from postlude.stock.twice import signs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from postlude.stock.record import Refused, Seen, Site
    from postlude.stock.twice import Sign


class Restart(NamedTuple):
    """The end of one server process that took tasks with it."""

    pid: int
    after: float
    """When it was last heard of; seconds since the epoch."""
    lost: int


@dataclass
class Audited:
    """What came of the tasks of one call site, in all processes."""

    site: Site
    fates: Counter[Fate] = field(default_factory=Counter)
    open: int = 0
    """Tasks that have not ended, in processes that live."""
    refused: Refused | None = None
    """Why a call could not have been stored; None: each that was tried could."""
    signs: list[Sign] | None = None
    """What looks unsafe to run twice; None: its source was not found."""

    @property
    def lost(self) -> int:
        """Tasks that were answered for and not done, though none had raised."""
        return sum(self.fates[fate] for fate in (*BY_RESTARTS, *OTHERWISE))


@dataclass
class Audit:
    """What the whole record says."""

    since: float
    until: float
    ended: int = 0
    """Processes that have added tasks, and are gone."""
    living: int = 0
    """Processes that have added tasks, and go on."""
    restarts: list[Restart] = field(default_factory=list)
    sites: dict[Site, Audited] = field(default_factory=dict)
    missed: int = 0
    """Events that could not be recorded: the numbers are off by as many at most."""

    def count(self, *fates: Fate) -> int:
        """How many tasks came to one of these."""
        return sum(each.fates[fate] for each in self.sites.values() for fate in fates)

    @property
    def open(self) -> int:
        """Tasks that have not ended, in processes that live."""
        return sum(each.open for each in self.sites.values())

    @property
    def lost(self) -> int:
        """Tasks that were answered for and not done, though none had raised."""
        return sum(each.lost for each in self.sites.values())

    @property
    def storable(self) -> list[Audited]:
        """The call sites each of whose calls, as far as they were tried, could have been stored."""
        return [each for each in self.sites.values() if each.refused is None]

    @property
    def unsafe(self) -> list[Audited]:
        """Those whose tasks look unsafe to run twice, and where nobody has decided about that."""
        return [each for each in self.sites.values() if each.signs and not each.site.decided]


def audit(folder: Path) -> Audit | None:
    """What the record in a folder says; None if there is none.

    Raises:
        OSError: it may not be read.
    """
    processes = list(read(folder))
    if not processes:
        return None
    found = Audit(min(each.since for each in processes), max(each.until for each in processes))
    for process in processes:
        tally = process.tally
        found.missed += tally.missed
        if process.lives:
            found.living += 1
        else:
            found.ended += 1
            tally.end()
            if lost := tally.count(*BY_RESTARTS):
                found.restarts.append(Restart(process.pid, process.until, lost))
        for seen in tally.sites.values():
            _add(found, seen)
        for number, _ in tally.open.values():
            if number in tally.sites:
                found.sites[tally.sites[number].site].open += 1
    _look_for_signs(found.sites.values())
    return found


def _add(found: Audit, seen: Seen) -> None:
    audited = found.sites.setdefault(seen.site, Audited(seen.site))
    audited.fates.update(seen.fates)
    audited.refused = seen.refused or audited.refused


def _look_for_signs(sites: Iterable[Audited]) -> None:
    sources: dict[str, str | None] = {}
    for each in sites:
        site = each.site
        if site.source is not None:
            if site.source not in sources:
                sources[site.source] = _source(site.source)
            source = sources[site.source]
            each.signs = None if source is None else signs(source, site.name, site.first_line)


def _source(file: str) -> str | None:
    try:
        return Path(file).read_text("utf-8")
    except (OSError, ValueError):  # it is not here, or is no text
        return None
