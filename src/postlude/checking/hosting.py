"""What the process runs in, as far as that can be told, and how long it waits for a process to end."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple


class Host(NamedTuple):
    """A platform that ends processes."""

    name: str
    seconds: float
    """From SIGTERM to SIGKILL, unless somebody has said otherwise."""
    setting: str
    """Where that is said."""


MARKS: Final = (
    ("var/run/secrets/kubernetes.io", Host("Kubernetes", 30.0, "terminationGracePeriodSeconds")),
    (".dockerenv", Host("Docker", 10.0, "stop_grace_period, or docker stop --timeout")),
    ("run/.containerenv", Host("Podman", 10.0, "podman stop --time")),
)
"""What each leaves in the file systems of its containers; Kubernetes may use one of the others."""


def host(root: Path = Path("/")) -> Host | None:
    """The platform; None: none that is known."""
    return next((found for mark, found in MARKS if (root / mark).exists()), None)
