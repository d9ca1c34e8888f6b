"""The page on testing, taken at its word: its application, its conftest.py and its tests, in a run of pytest."""

import re
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "testing.md").read_text("utf-8")


def test_the_tests_of_the_page_pass_under_pytest(tmp_path: Path) -> None:
    application, *blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (conftest,) = (block for block in blocks if "@pytest.fixture" in block)
    tests = "\n".join(["from main import *", *(block for block in blocks if block != conftest)])
    (tmp_path / "main.py").write_text(application, "utf-8")
    (tmp_path / "conftest.py").write_text(conftest, "utf-8")
    (tmp_path / "test_page.py").write_text(tests, "utf-8")
    command = [sys.executable, "-m", "pytest", "-W", "error", "-rA", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    written = len(re.findall(r"^(?:async )?def test_", tests, re.MULTILINE))
    assert f" {written} passed in " in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / ".postlude").exists()
