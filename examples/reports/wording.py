"""Numbers and dates as a reader sees them."""

from collections.abc import Iterable
from datetime import datetime


def digits(values: Iterable[float | None]) -> int:
    """How many digits behind the point figures have that stand beside each other: no more than anybody reads."""
    known = [abs(each) for each in values if each is not None]
    most = max(known, default=0)
    if most >= 1000 or all(each == int(each) for each in known):
        return 0
    return 1 if most >= 1 else 3


def figure(value: float | None, unit: str = "", places: int | None = None) -> str:
    """A number with its unit: 1,234, 21.9 min, 0.043."""
    if value is None:
        return "–"
    text = f"{value:,.{digits([value]) if places is None else places}f}"
    text = text if text.strip("-0.,") else text.removeprefix("-")
    return f"{text.replace('-', '−')}{f' {unit}' if unit else ''}"  # noqa: RUF001 - a minus


def stretch_name(first: str, by: str) -> str:
    """A stretch of time in a sentence: July 2013, 3 July 2013."""
    moment = datetime.fromisoformat(first)
    match by:
        case "hour":
            return f"{moment:%-d %B %Y, %H:%M}"
        case "day":
            return f"{moment:%-d %B %Y}"
        case "week":
            return f"the week of {moment:%-d %B %Y}"
        case "quarter":
            return f"Q{(moment.month + 2) // 3} {moment.year}"
        case "year":
            return str(moment.year)
        case _:
            return f"{moment:%B %Y}"


def stretch_short(first: str, by: str) -> str:
    """The same at an axis or in the head of a table."""
    moment = datetime.fromisoformat(first)
    match by:
        case "hour":
            return f"{moment:%-d %b %H:%M}"
        case "day" | "week":
            return f"{moment:%-d %b}"
        case "month":
            return f"{moment:%b}" if moment.month > 1 else f"{moment:%b %Y}"
        case _:
            return stretch_name(first, by)
