"""The pages that a reader may come to, and where they stand."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])


def name(page: Path) -> str:
    """Its path from the root of the project, as the tests are called."""
    return page.relative_to(ROOT).as_posix()
