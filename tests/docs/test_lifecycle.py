"""The page on the life of a job shows the moves that there are, and no others."""

import re
from collections import defaultdict
from pathlib import Path

from postlude.job import TRANSITIONS, Event, JobState

PAGE = (Path(__file__).parents[2] / "docs" / "lifecycle.md").read_text("utf-8")


def arrows() -> dict[tuple[str, str], set[str]]:
    found = re.findall(r"^ +(\w+) --> (\w+): (.+)$", PAGE, re.MULTILINE)
    return {(source, target): set(events.split(", ")) for source, target, events in found}


def test_arrows_are_the_transitions() -> None:
    moves: dict[tuple[str, str], set[str]] = defaultdict(set)
    for (source, event), target in TRANSITIONS.items():
        moves[source.value, target.value].add(event.value)
    assert arrows() == moves


def test_every_finished_state_can_be_left_by_removing_it() -> None:
    removed = set(re.findall(r"^ +(\w+) --> \[\*\]: prune, delete$", PAGE, re.MULTILINE))
    assert removed == {state.value for state in JobState if state.finished}


def test_every_state_and_event_has_its_line() -> None:
    rows = re.findall(r"^\| ([^|]+) \|", PAGE, re.MULTILINE)
    named = {word.strip("` ") for row in rows for word in row.split(", ")}
    assert {*JobState, *Event} <= named
