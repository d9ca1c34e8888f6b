"""A look into a store from another process than the server's, through Postlude itself.

Never through the sqlite3 of the standard library: two SQLite libraries do not see each other's locks on one file.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from postlude import Job, Jobs, JobState, Postlude
from postlude.job import Attempt
from postlude.loglines import LogLine
from tests.scenarios.server import Server

T = TypeVar("T")


class Look:
    """The jobs of a store, opened in this process for reading.

    Args:
        folder: the server's; the store is in its default place there.
        path: where it is if not there.
        database: the URL and the namespace in PostgreSQL, if it is there.
    """

    def __init__(self, folder: Path, path: Path | None = None, database: tuple[str, str] | None = None) -> None:
        self._path = path or folder / ".postlude" / "jobs.db"
        self._database = database
        self._runner = asyncio.Runner()

    @classmethod
    def into(cls, server: Server) -> Self:
        """That of a server, whichever it was given."""
        url, namespace = (server.env.get(f"POSTLUDE_{name}") for name in ("URL", "NAMESPACE"))
        if url is not None and url.startswith("postgresql:"):
            return cls(server.folder, database=(url, namespace or "default"))
        return cls(server.folder, None if url is None else Path(url.removeprefix("sqlite:///")))

    def __enter__(self) -> Self:
        if self._database is not None:
            url, namespace = self._database
            self._durable = Postlude(url=url, namespace=namespace, worker="off")
            return self
        assert self._path.exists(), f"there is no store at {self._path}"
        self._durable = Postlude(url=f"sqlite:///{self._path}", worker="off")
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._durable.close())
        self._runner.close()

    @property
    def _jobs(self) -> Jobs:
        return self._durable.jobs

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def jobs(self) -> list[Job[Any]]:
        """All jobs, oldest first."""
        return self._run(self._jobs.list(limit=10_000))[::-1]

    def job(self) -> Job[Any]:
        """The only job there is."""
        (job,) = self.jobs()
        return job

    def states(self) -> list[JobState]:
        return [job.state for job in self.jobs()]

    def count(self, *states: JobState) -> int:
        return sum(self._run(self._jobs.count(state=states)).values())

    def history(self, job: Job[Any]) -> Sequence[Attempt]:
        return self._run(self._jobs.history(job.id))

    def logs(self, job: Job[Any]) -> Sequence[LogLine]:
        return self._run(self._jobs.logs(job.id))
