"""A real PgBouncer before a server, where the program is installed."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.stores.places import AS

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

needs_pgbouncer = pytest.mark.skipif(
    PROGRAM is None, reason="PgBouncer IS NOT INSTALLED, so nothing is known of it here: apt-get install pgbouncer"
)


@contextmanager
def bouncer(dsn: str, mode: str, size: int = 2, *, in_turn: bool = True) -> Iterator[str]:
    """The address of one that pools the connections to a server of `places.server`.

    Args:
        dsn: of the server, on a Unix socket.
        mode: `session`, `transaction` or `statement`.
        size: how many sessions of the server it shares out.
        in_turn: whether no two transactions in a row are in one session; else the last one used is used again.
    """
    assert PROGRAM is not None
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="postlude-bouncer-") as name:
        folder = Path(name)
        host = parse_qs(urlsplit(dsn).query)["host"][0]
        configuration = folder / "pgbouncer.ini"
        configuration.write_text(
            f"[databases]\npostgres = host={host} port=5432 user=postlude\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = {mode}\ndefault_pool_size = {size}\nserver_round_robin = {in_turn:d}\n"
            f"logfile = {folder}/log\n"
        )
        if AS is not None:
            shutil.chown(folder, AS)
            configuration.chmod(0o644)
        with subprocess.Popen(
            [PROGRAM, "-q", str(configuration)], user=AS, cwd="/", stderr=subprocess.DEVNULL
        ) as process:
            try:
                _await_port(port, process)
                yield f"postgresql://postlude@127.0.0.1:{port}/postgres"
            finally:
                process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            continue
        return
    raise AssertionError("PgBouncer did not start")
