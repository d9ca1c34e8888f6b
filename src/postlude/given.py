"""Judging what a user gave: whether it is the kind of number that was asked for, and which known name was meant."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Iterable


def is_whole(value: object, least: float = -inf, most: float = inf) -> TypeGuard[int]:
    """Whether it is a whole number between these, both included. `True` and `False`, which Python counts, are none."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a number, whole or broken; `True` and `False` are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def meant(name: str, known: Iterable[str], *, alike: float = 0.6) -> str | None:
    """The known name that was most likely meant; None: none is near.

    Args:
        name: as it was written.
        known: the names that there are.
        alike: how near it has to be, from 0 to 1, which is the same.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - only who mistypes a name pays for it

    return next(iter(get_close_matches(name, list(known), n=1, cutoff=alike)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question with the known name that was most likely meant, after a space; empty if none is near."""
    close = meant(name, known)
    return "" if close is None else f" Did you mean {close!r}?"


def no_option(name: str, known: Iterable[str]) -> str:
    """What to say of a keyword that there is not: the one that was meant, or all that there are."""
    names = sorted(known)
    close = meant(name, names)
    return f"{name} is no option: " + (f"there are {', '.join(names)}" if close is None else f"did you mean {close}?")
