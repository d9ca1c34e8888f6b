"""The page of the commands says what the commands say."""

from scripts.commands_page import PAGE, page


def test_it_is_current() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: .venv/bin/python scripts/commands_page.py"
