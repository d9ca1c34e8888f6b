"""A server's jobs are moved from its file to PostgreSQL while clients go on: what was promised runs, and runs once."""

import subprocess
import sys
import threading
import uuid
from pathlib import Path

from tests.scenarios.conftest import Serve
from tests.scenarios.server import Server, uvicorn
from tests.scenarios.waiting import wait_until

COMMAND = Path(sys.executable).with_name("postlude")


class Client(threading.Thread):
    """Posts one request after the other, until one is refused."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server = server
        self.promised: list[str] = []
        self.refused = 0

    def run(self) -> None:
        while not self.refused:
            name = f"n{len(self.promised)}"
            self._server.open_gate(name)
            status = self._server.post(f"/add/on_loop/{name}").status
            if status == 200:
                self.promised.append(name)
            else:
                self.refused = status


def test_a_server_in_use_is_drained_and_goes_on_with_postgresql(serve: Serve, tmp_path: Path, postgres: str) -> None:
    namespace = uuid.uuid4().hex
    with serve(uvicorn("gated")).start() as server:
        for name in ("slow", "waits"):
            server.post(f"/add/in_thread/{name}")
            server.await_effect("started", name)
        client = Client(server)
        client.start()
        wait_until(lambda: len(client.promised) > 20, "clients are served")
        command = [str(COMMAND), "move", "sqlite:///.postlude/jobs.db", postgres, "--drain", "--namespace", namespace]
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as moving:
            assert moving.stdout is not None
            assert moving.stdout.readline().startswith("Waiting for the end of ")
            client.join(15)
            assert client.refused == 503
            for name in ("slow", "waits"):
                server.open_gate(name)
            said = moving.communicate(timeout=60)[0]
        assert moving.returncode == 0, said
        assert server.post("/add/on_loop/late").status == 503
        assert server.get("/ping").status == 200
        server.terminate()
    promised = ["slow", "waits", *client.promised]
    with serve(uvicorn("gated"), POSTLUDE_URL=postgres, POSTLUDE_NAMESPACE=namespace).start() as server:
        wait_until(lambda: set(promised) <= set(server.effects("ended")), "all that was promised has run")
        assert server.post("/add/on_loop/n0").status == 200
        server.await_effect("ended", "n0", times=2)
        assert sorted(server.effects("started")) == sorted([*promised, "n0"])
