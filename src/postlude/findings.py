"""What a check finds: each problem with its cure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Finding(NamedTuple):
    """A problem."""

    what: str
    cure: str
    serious: bool = False
    """Whether work would be lost by it, or would never be done."""


class Looked(NamedTuple):
    """What came of one check."""

    said: str = ""
    """How it is, if nothing is wrong; empty: nothing to say."""
    findings: Sequence[Finding] = ()
    skipped: bool = False
    """It could not be looked at, for what another check says."""


class Place(NamedTuple):
    """What came of the look at the place where jobs are kept."""

    looked: Mapping[str, Looked]
    """By what was looked at."""
    ready: bool
    """Whether the store can be opened without changing anything there."""
