"""Machines with a network of their own between them: Linux's network namespaces, and cables that swallow packets.

A process in another namespace reaches nobody but over that cable, which leads nowhere else. What is dropped there is
dropped without a word, as by a switch that has lost its power: no end, no reset and no refusal ever arrives.
"""

import json
import pwd
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.stores.cluster import Cluster, cluster
from tests.stores.places import AS

LOST: Final = "what happens when packets are lost between machines was NOT tried"


class Machine:
    """A network namespace, with a cable to the database's.

    Args:
        database: the name of the namespace at the other end.
        number: of the cable, up to 250.
    """

    def __init__(self, database: str, number: int) -> None:
        self.name = f"{database}-{number}"
        self.database = database
        self.url = f"postgresql://postlude@10.213.{number}.1/postgres"
        """Of the database, as it is seen from here."""
        here, there = (f"02:00:00:00:{number:02x}:{end:02x}" for end in (2, 1))
        self._cable = f"cable{number}"
        far = f"name cable netns {self.name} address {here}"
        _ip(f"netns add {self.name}")
        _ip(f"link add {self._cable} netns {database} address {there} type veth peer {far}")
        # Who is at the other end is known for good: else it would be asked for, and found to be unreachable.
        for space, end, own, other, other_end in (
            (self.name, "cable", 2, there, 1),
            (database, self._cable, 1, here, 2),
        ):
            _ip(f"-n {space} addr add 10.213.{number}.{own}/30 dev {end}")
            _ip(f"-n {space} link set {end} up")
            _ip(f"-n {space} neigh replace 10.213.{number}.{other_end} lladdr {other} dev {end} nud permanent")
        _ip(f"-n {self.name} link set lo up")

    @property
    def prefix(self) -> tuple[str, ...]:
        """What stands before a command that is to run there."""
        return _inside(self.name)

    def cut(self) -> None:
        """From now on nothing arrives, in either direction: a queue that has room for nothing."""
        for space, end in self._ends():
            _run(["tc", "-n", space, *f"qdisc replace dev {end} root bfifo limit 0".split()])

    def mend(self) -> None:
        """The cable is whole again."""
        for space, end in self._ends():
            if "bfifo" in _run(["tc", "-n", space, "qdisc", "show", "dev", end]):
                _run(["tc", "-n", space, "qdisc", "del", "dev", end, "root"])

    def _ends(self) -> Sequence[tuple[str, str]]:
        return (self.name, "cable"), (self.database, self._cable)


class ClusterApart(Cluster):
    """A PostgreSQL on a machine of its own, for whoever has a cable to it, and by its socket for the test."""

    machine: str

    def start(self) -> None:
        rights = self.data / "pg_hba.conf"
        trusted = "host all all 10.213.0.0/16 trust\n"
        if trusted not in rights.read_text():
            with rights.open("a") as file:
                file.write(trusted)
        super().start()

    @property
    def listens(self) -> str:
        return "*"

    def _do(self, program: str, *arguments: object) -> None:
        user = pwd.getpwnam(AS or "root")
        become = (f"--setuid={user.pw_uid}", f"--setgid={user.pw_gid}")
        try:
            _run([*_inside(self.machine, *become), str(self.programs / program), *map(str, arguments)], cwd="/")
        except RuntimeError as error:
            raise AssertionError(*error.args) from None  # as of any other cluster


@contextmanager
def machines(number: int) -> Iterator[tuple[Cluster, Sequence[Machine]]]:
    """A PostgreSQL, and so many machines around it. Skips the test, loudly, where there can be none."""
    database = f"postlude-{uuid.uuid4().hex[:8]}"
    with ExitStack() as stack:
        stack.callback(_remove, database)
        try:
            _ip(f"netns add {database}")
            _ip(f"-n {database} link set lo up")
            made = [Machine(database, each + 1) for each in range(number)]
            made[0].cut()
            made[0].mend()
            _run([*made[0].prefix, "true"])
        except (OSError, RuntimeError) as error:
            pytest.skip(f"no network namespaces can be made here ({error}): {LOST}")
        ClusterApart.machine = database
        yield stack.enter_context(cluster(ClusterApart)), made


def _remove(database: str) -> None:
    if shutil.which("ip") is None:
        return
    for space in json.loads(_run(["ip", "-j", "netns", "list"]) or "[]"):
        if space["name"].startswith(database):
            _ip(f"netns del {space['name']}")


def _inside(space: str, *options: str) -> tuple[str, ...]:
    return ("nsenter", f"--net={Path('/run/netns', space)}", *options, "--")


def _ip(words: str) -> None:
    _run(["ip", *words.split()])


def _run(command: Sequence[str], cwd: str | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        message = f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}"
        raise RuntimeError(message)
    return done.stdout
