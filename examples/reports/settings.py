"""What the service is told by its environment; each problem is named at the start."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MEGABYTE = 1_000_000
LEAST = {
    "reports_memory_mb": 1,
    "reports_threads": 1,
    "reports_upload_mb": 1,
    "reports_inflated_mb": 1,
    "reports_keep_seconds": 0,
}


@dataclass(frozen=True)
class Settings:
    """Each is a variable of the environment, in capitals."""

    reports_data: str = str(HERE / "data")
    """The folder of the data sets that may be asked by name: a path, or a URL that fsspec knows, as `s3://bucket/data`."""
    reports_storage: str = ".reports"
    """Where uploads wait for their report, a path or a URL as above. The API and its workers have to reach the same."""
    reports_memory_mb: int = 512
    """Megabytes that DuckDB may take for one report; one that needs more fails, by itself and in words."""
    reports_threads: int = 2
    """Threads that DuckDB may use for one report."""
    reports_upload_mb: int = 500
    """Megabytes of an upload; one that is larger is refused while it arrives."""
    reports_inflated_mb: int = 20_000
    """Megabytes that a Parquet file may come to when its columns are unpacked."""
    reports_keep_seconds: int = 3600
    """How long an upload stays whose report has failed or was cancelled: until then it can be retried by hand."""
    reports_cluster: str = ""
    """A Dask scheduler, as `tcp://10.0.0.5:8786`: data sets of several files are read there, file by file."""

    def __post_init__(self) -> None:
        problems = [
            f"{name.upper()}: expected a whole number, {least} or more, got {getattr(self, name)}"
            for name, least in LEAST.items()
            if getattr(self, name) < least
        ]
        if problems:
            raise ValueError("\n".join(problems))

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Settings":
        """Read them.

        Raises:
            ValueError: some make no sense; the message names each.
        """
        given: dict[str, Any] = {}
        problems = []
        for name, kind in cls.__annotations__.items():
            text = environment.get(name.upper())
            if text is not None and kind is int and not text.isdecimal():
                problems.append(f"{name.upper()}: expected a whole number, {LEAST[name]} or more, got {text!r}")
            elif text is not None:
                given[name] = kind(text)
        if problems:
            raise ValueError("\n".join(problems))
        return cls(**given)


@cache
def settings() -> Settings:
    """Those of this process."""
    return Settings.of(os.environ)
