"""How the project is cut: short files, named after the thing they hold, tested without waiting."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for path in (ROOT / "src").rglob("*") if path.suffix in {".py", ".sql"})
TESTS = sorted((ROOT / "tests").rglob("*.py"))

MAX_LINES = 400
MAX_SLEEPS_PER_1000_LINES = 0.5
GRAB_BAGS = {"adapters", "base", "common", "core", "helpers", "manager", "ports", "util", "utils"}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def sleeps(path: Path) -> int:
    """Count the calls that let real time pass; ``sleep(0)`` only gives way to others and is none of them."""
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    real = {"sleep", "time.sleep", "asyncio.sleep", "anyio.sleep"}
    return sum(ast.unparse(call.func) in real and [ast.unparse(arg) for arg in call.args] != ["0"] for call in calls)


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_source_file_has_at_most_400_lines(path: Path) -> None:
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= MAX_LINES, f"{name(path)} has {lines} lines: find the second thing in it and give it its own file"


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_no_file_or_folder_is_a_grab_bag(path: Path) -> None:
    words = {part.strip("_") for part in path.relative_to(ROOT).with_suffix("").parts}
    assert not words & GRAB_BAGS, f"{name(path)}: name it after the thing that it holds"


def test_tests_wait_for_events_and_not_for_time() -> None:
    lines = sum(len(path.read_text("utf-8").splitlines()) for path in TESTS)
    found = {name(path): count for path in TESTS if (count := sleeps(path))}
    allowed = int(lines * MAX_SLEEPS_PER_1000_LINES / 1000)
    assert sum(found.values()) <= allowed, f"{lines} lines of tests may sleep {allowed} times, they sleep in {found}"
