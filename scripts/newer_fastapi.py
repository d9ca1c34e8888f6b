"""Print as requirements what the index has of FastAPI and Starlette, pre-releases too, if that is not what is pinned.

Nothing is printed where the pinned ones are the newest, or the index cannot be asked; which of the two it is, is said.
"""

import json
import subprocess
import sys
from pathlib import Path

PINNED = Path(__file__).parents[1] / "constraints" / "fastapi-newest.txt"
NAMES = ("fastapi", "starlette")


def newest() -> list[str]:
    """What pip would install of them, each as `name==version`."""
    asked = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--dry-run", "--pre"]
    report = subprocess.run(
        [*asked, "--ignore-installed", "--report", "-", *NAMES], check=True, stdout=subprocess.PIPE, timeout=60
    )
    found = {each["metadata"]["name"]: each["metadata"]["version"] for each in json.loads(report.stdout)["install"]}
    return [f"{name}=={found[name]}" for name in NAMES]


def main() -> None:
    """Ask, compare, and say."""
    try:
        found = newest()
    except (subprocess.SubprocessError, KeyError, ValueError) as error:
        sys.stderr.write(f"SKIPPED: the index did not say which FastAPI is the newest ({error!r})\n")
        return
    if set(found) <= set(PINNED.read_text().splitlines()):
        said = f"SKIPPED: nothing is newer than {' and '.join(found)}, which are pinned, and no pre-release either\n"
        sys.stderr.write(said)
        return
    print(*found)


if __name__ == "__main__":
    main()
