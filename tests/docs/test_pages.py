"""The Python blocks of a page run, in their order, and its text blocks are what the hidden block before them says."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from sybil import Example
from sybil.document import Document
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

from tests.docs.pages import PAGES, name

FENCE = re.compile(r"^```(.*)\n(?:.*\n)*?```$", re.MULTILINE)
KINDS = {
    "python": "runs here",
    "text": "is compared here",
    "console": "is typed in test_consoles.py",
    "ini": "is read in test_workers_page.py",
    "yaml": "is read in test_workers_page.py",
    "html": "is opened in test_status_page.py",
    "mermaid": "is compared in test_lifecycle.py",
    "": "is a sketch",
}


def compare(example: Example) -> None:
    """A hidden block before it leaves in `printed` what the text block shows."""
    assert example.parsed.strip() == example.namespace["printed"]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("main")  # a real module, since annotations and task names are looked up in one
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.chdir(tmp_path)
    document = Document.parse(str(page), PythonCodeBlockParser(), CodeBlockParser("text", compare))
    document.namespace = vars(module)
    for example in document.examples():
        example.evaluate()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_block_is_of_a_kind_that_nobody_looks_at(page: Path) -> None:
    assert set(FENCE.findall(page.read_text("utf-8"))) <= KINDS.keys()
