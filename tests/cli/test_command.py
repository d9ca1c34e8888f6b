"""The command itself: its version, and what it says where it cannot work."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.cli.conftest import APP

COMMAND = Path(sys.executable).with_name("postlude")

WITHOUT = """
import sys

class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(name=name)

sys.meta_path.insert(0, Nothing())

from postlude.cli import main

main()
"""


def test_the_version_is_that_of_the_package() -> None:
    done = subprocess.run([COMMAND, "--version"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"postlude {version('postlude')}\n", "")


def test_without_a_command_it_shows_what_there_is() -> None:
    done = subprocess.run([COMMAND], capture_output=True, text=True, timeout=60, check=False)
    assert "demo" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("missing", "named"), [(["typer"], "typer"), (["uvicorn"], "uvicorn"), (["rich", "uvicorn"], "rich and uvicorn")]
)
def test_a_missing_extra_is_named_in_one_line(missing: list[str], named: str) -> None:
    program = WITHOUT.format(missing=missing)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"The postlude command needs {named}, not found here. Run: pip install 'postlude[standard]'\n"
    )


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("postlude que", "queues"),
        ("postlude jobs ret", "retry"),
        ("postlude jobs list --fail", "--failed-since"),
        ("postlude jobs list --state run", "running"),
        ("postlude enqueue --app {shop} shop.s", "shop.send"),
        ("postlude enqueue --app {shop} shop.send --ur", "--urgent"),
    ],
)
def test_a_shell_completes_commands_options_and_tasks(line: str, offered: str) -> None:
    words = line.format(shop=APP)
    env = {"_POSTLUDE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run([COMMAND], capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **env})
    assert offered in done.stdout.split()
