"""Where the file may be: made private, warned about, or refused with the cure."""

import asyncio
import json
import os
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from postlude.errors import NotAPostludeStore, StoreLocationError
from postlude.stores import filesystem, open_store
from postlude.stores.contract import Description
from postlude.stores.filesystem import Mount, mount_of
from postlude.stores.sqlite import location
from tests.stores.making import queued


async def opened(url: str) -> Description:
    store = open_store(url)
    description = await store.open()
    await store.insert([queued()])
    await store.close()
    return description


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_nothing_is_touched_before_open(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path}/.postlude/jobs.db")
    assert names(tmp_path) == []


async def test_the_default_folder_is_made_private_and_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    description = await opened("sqlite:///.postlude/jobs.db")
    folder = tmp_path / ".postlude"
    assert mode(folder) == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"
    assert description.location == str(folder / "jobs.db")
    assert 0 < description.sync_seconds < 1
    assert description.warnings == () or "POSTLUDE_URL" in description.warnings[0]


async def test_a_relative_path_is_that_of_the_moment_when_the_store_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///jobs.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    await store.open()
    await store.close()
    assert (tmp_path / "jobs.db").exists()


async def test_every_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = open_store(f"sqlite:///{tmp_path}/jobs.db")
        await store.open()
        await store.insert([queued()])
    finally:
        os.umask(before)
    files = {name: mode(tmp_path / name) for name in names(tmp_path)}
    assert files == dict.fromkeys(["jobs.db", "jobs.db-wal", "jobs.db-shm", "jobs.db-workers"], 0o600)
    await store.close()


async def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StoreLocationError) as raised:
        await opened(f"sqlite:///{tmp_path}/no/such/jobs.db")
    assert str(raised.value) == (
        f"The store cannot be kept at {tmp_path}/no/such/jobs.db: the folder {tmp_path}/no/such does not exist. "
        "Create it, or set POSTLUDE_URL to another place, such as sqlite:////var/lib/myapp/jobs.db."
    )
    assert names(tmp_path) == []


async def test_a_folder_that_would_be_there_with_one_more_slash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sqlite:///var/lib/jobs.db` begins at the current folder."""
    (tmp_path / "meant").mkdir()
    (tmp_path / "current").mkdir()
    monkeypatch.chdir(tmp_path / "current")
    wrong = tmp_path / "current" / str(tmp_path / "meant").removeprefix("/")
    with pytest.raises(StoreLocationError) as raised:
        await opened(f"sqlite://{tmp_path}/meant/jobs.db")
    assert str(raised.value) == (
        f"The store cannot be kept at {wrong}/jobs.db: the folder {wrong} does not exist. If {tmp_path}/meant/jobs.db "
        f"is meant, write sqlite:///{tmp_path}/meant/jobs.db with four slashes; else create the folder, or set "
        "POSTLUDE_URL to another place, such as sqlite:////var/lib/myapp/jobs.db."
    )


async def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(StoreLocationError, match=r"that is a folder. Add the name of the file to the URL"):
        await opened(f"sqlite:///{tmp_path}")


def refused(url: str) -> str:
    """What a process without any privileges is told."""
    program = f"""
        import asyncio, os
        from postlude.errors import StoreLocationError
        from postlude.stores import open_store
        store = open_store({url!r})
        if os.geteuid() == 0:
            os.setuid(65534)
        try:
            asyncio.run(store.open())
        except StoreLocationError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that others may enter, which pytest's own are not: another run of it closes them again."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_read_only_folder(reachable: Path) -> None:
    reachable.chmod(0o555)
    text = refused(f"sqlite:///{reachable}/jobs.db")
    reachable.chmod(0o755)
    assert f"the folder {reachable} is not writable for this process. Allow that, or set POSTLUDE_URL" in text


def test_a_read_only_place_for_the_default_folder(reachable: Path) -> None:
    reachable.chmod(0o555)
    text = refused(f"sqlite:///{reachable}/.postlude/jobs.db")
    reachable.chmod(0o755)
    assert f"cannot be made (Permission denied). Make {reachable} writable, or set POSTLUDE_URL" in text


def test_a_folder_that_may_not_be_entered(reachable: Path) -> None:
    (reachable / "closed" / "inner").mkdir(parents=True)
    (reachable / "closed").chmod(0)
    text = refused(f"sqlite:///{reachable}/closed/inner/jobs.db")
    (reachable / "closed").chmod(0o755)
    assert "/closed/inner may not be entered by this process. Allow that, or set POSTLUDE_URL" in text


def test_a_read_only_file(reachable: Path) -> None:
    (reachable / "jobs.db").touch(0o444)
    reachable.chmod(0o777)
    text = refused(f"sqlite:///{reachable}/jobs.db")
    assert "the file is not readable and writable for this process. Allow that, or set POSTLUDE_URL" in text


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes\n" * 20)
    with pytest.raises(NotAPostludeStore) as raised:
        await opened(f"sqlite:///{path}")
    assert str(raised.value) == (
        f"{path} is not a database at all. It was left untouched. Give the store a file of its own: "
        "set POSTLUDE_URL, as in sqlite:///.postlude/jobs.db."
    )
    assert path.read_text() == "my notes\n" * 20
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("journal", ["delete", "wal"])
async def test_a_database_of_another_application(tmp_path: Path, journal: str) -> None:
    path = tmp_path / "app.db"
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", journal)
    connection.execute("CREATE TABLE jobs (mine)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(NotAPostludeStore, match=r"is an SQLite database of some other application. It was left"):
        await opened(f"sqlite:///{path}")
    assert path.read_bytes() == before
    assert names(tmp_path) == [path.name]


async def test_an_empty_file_is_taken(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").touch()
    await opened(f"sqlite:///{tmp_path}/jobs.db")


MOUNTINFO = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /proc rw - proc proc rw
30 22 0:40 / /mnt/nas rw,relatime shared:9 master:3 - nfs4 server:/export rw,vers=4.2
31 30 0:41 / /mnt/nas/local rw - xfs /dev/vdb rw
32 22 0:42 / /with\040space rw - tmpfs tmpfs rw
33 22 0:43 / /twice rw - ext4 /dev/vdc rw
34 33 0:44 / /twice rw - overlay overlay rw,lowerdir=/a
bogus
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/srv/app", Mount("/", "ext4")),
        ("/mnt/nas", Mount("/mnt/nas", "nfs4")),
        ("/mnt/nas/jobs", Mount("/mnt/nas", "nfs4")),
        ("/mnt/nas/local/jobs", Mount("/mnt/nas/local", "xfs")),
        ("/mnt/nasty", Mount("/", "ext4")),
        ("/with space/x", Mount("/with space", "tmpfs")),
        ("/twice", Mount("/twice", "overlay")),
    ],
)
def test_the_mount_of_a_path(path: str, expected: Mount) -> None:
    assert mount_of(path, MOUNTINFO) == expected


def test_no_mount_is_known_without_a_list() -> None:
    assert mount_of("/srv", "") is None
    assert location.judge(Path("/srv/jobs.db"), None) == ()


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs", "lustre"])
def test_a_network_file_system_is_refused(kind: str) -> None:
    with pytest.raises(StoreLocationError) as raised:
        location.judge(Path("/mnt/nas/jobs.db"), Mount("/mnt/nas", kind))
    assert str(raised.value) == (
        f"The store cannot be kept at /mnt/nas/jobs.db: /mnt/nas is a network file system ({kind}), where SQLite's "
        "locks do not hold. Use a folder on a disk of this host, or set POSTLUDE_URL to another place, such as "
        "sqlite:////var/lib/myapp/jobs.db."
    )


@pytest.mark.parametrize(
    ("kind", "words"),
    [("overlay", "gone when the container is replaced"), ("tmpfs", "gone when the machine restarts")],
)
def test_a_file_system_that_forgets_is_warned_about(kind: str, words: str) -> None:
    (warning,) = location.judge(Path("/app/jobs.db"), Mount("/", kind))
    assert words in warning
    assert warning.endswith("Mount a volume and set POSTLUDE_URL to a file on it.")


async def test_the_file_system_is_looked_at_when_the_store_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr(filesystem, "MOUNTINFO", str(mounts))
    mounts.write_text(f"22 1 254:0 / {tmp_path} rw - overlay overlay rw\n")
    description = await opened(f"sqlite:///{tmp_path}/jobs.db")
    assert len(description.warnings) == 1
    mounts.write_text(f"22 1 254:0 / {tmp_path} rw - nfs server rw\n")
    with pytest.raises(StoreLocationError, match="network file system"):
        await opened(f"sqlite:///{tmp_path}/jobs.db")
    monkeypatch.setattr(filesystem, "MOUNTINFO", str(tmp_path / "none"))
    assert (await opened(f"sqlite:///{tmp_path}/jobs.db")).warnings == ()


def test_several_processes_may_make_it_at_once(tmp_path: Path) -> None:
    program = f"""
        import asyncio, json
        from tests.stores.making import queued
        from postlude.stores import open_store
        from postlude.stores.contract import Filter

        async def main():
            store = open_store("sqlite:///{tmp_path}/.postlude/jobs.db")
            input()
            await store.open()
            await store.insert([queued()])
            print(json.dumps(len(await store.list(Filter(), limit=99, before=None))))
            await store.close()

        asyncio.run(main())
    """
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", textwrap.dedent(program)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(6)
    ]
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    counts = [json.loads(process.communicate()[0]) for process in processes]
    assert max(counts) == len(processes)


def test_many_may_open_it_one_after_the_other(tmp_path: Path) -> None:
    """What this process has open is not looked at by hand: that would drop the locks of the one that has it open."""
    url = f"sqlite:///{tmp_path}/jobs.db"

    async def main() -> None:
        first, second = open_store(url), open_store(url)
        await first.open()
        await second.open()
        await first.close()
        await second.insert([queued()])
        # Of this file: what other tests have left open is none of its business.
        key = location.key_of(tmp_path / "jobs.db")
        assert key in location._open_files
        await second.close()
        assert key not in location._open_files

    asyncio.run(main())
