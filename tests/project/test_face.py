"""What users may name is in the file that type checkers look at from outside, and in the reference."""

import ast
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

import postlude
import postlude.errors
import postlude.testing
from postlude import Job, Postlude, schedule
from postlude.calls import RequestOptions
from postlude.client.jobs import Jobs
from postlude.client.timetable import Schedules
from postlude.retries import Exponential
from postlude.tasks import TaskOptions

ROOT = Path(__file__).parents[2]
TREE = ast.parse((ROOT / "tests" / "typing" / "api.py").read_text("utf-8"))
WORDS = set(re.findall(r"\w+", (ROOT / "docs" / "reference.md").read_text("utf-8")))
IMPORTED = {each.name for node in ast.walk(TREE) if isinstance(node, ast.ImportFrom) for each in node.names}
ATTRIBUTES = {node.attr for node in ast.walk(TREE) if isinstance(node, ast.Attribute)}
WITHIN = {"read_result"}
"""Not for users: for the parts of Postlude."""
KEYWORDS = {node.arg for node in ast.walk(TREE) if isinstance(node, ast.keyword)}


@pytest.mark.parametrize("module", [postlude, postlude.testing], ids=lambda module: module.__name__)
def test_every_name_of_a_module(module: ModuleType) -> None:
    assert set(module.__all__) - (IMPORTED & WORDS) == set()


def test_every_error() -> None:
    kinds = {name: each for name, each in vars(postlude.errors).items() if isinstance(each, type)}
    own = {name for name, each in kinds.items() if issubclass(each, postlude.PostludeError)}
    assert own - (IMPORTED & WORDS) == set()


@pytest.mark.parametrize("kind", [Postlude, Jobs, Job, Schedules], ids=lambda kind: kind.__name__)
def test_every_method_and_attribute(kind: type) -> None:
    assert {name for name in vars(kind) if not name.startswith("_")} - (ATTRIBUTES & WORDS) - WITHIN == set()


@pytest.mark.parametrize(
    "function", [Postlude.__init__, schedule, Jobs.list, Exponential], ids=lambda each: each.__qualname__
)
def test_every_keyword(function: object) -> None:
    names = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    assert {each.name for each in names if each.kind is each.KEYWORD_ONLY} - (KEYWORDS & WORDS) == set()


@pytest.mark.parametrize("options", [TaskOptions, RequestOptions], ids=lambda options: options.__name__)
def test_every_option(options: type) -> None:
    assert options.__annotations__.keys() - (KEYWORDS & WORDS) == set()
