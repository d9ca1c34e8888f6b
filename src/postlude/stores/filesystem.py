"""What kind of file system a path is on, and what that means for a database."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

MOUNTINFO = "/proc/self/mountinfo"
"""Where Linux lists what is mounted; other systems have no such file, and nothing is said there."""

NETWORK = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse.ceph", "fuse.cephfs", "fuse.gcsfuse", "fuse.glusterfs",
    "fuse.juicefs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "fuse.goofys", "fuse.mount-s3", "gfs2", "glusterfs",
    "gpfs", "lustre", "moosefs", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "pvfs2", "smb2", "smb3", "smbfs",
})  # fmt: skip
"""Their locks and their shared memory do not hold between hosts, and often not on one."""
CONTAINER = frozenset({"overlay", "aufs", "fuse.fuse-overlayfs"})
"""Their upper layer goes with the container."""
MEMORY = frozenset({"tmpfs", "ramfs"})


class Mount(NamedTuple):
    """A line of mountinfo, as far as it matters."""

    point: str
    kind: str


def forgets(mount: Mount | None, what: str, lost: str) -> tuple[str, ...]:
    """A warning where what is kept there is lost one day; none where nothing is known of that.

    Args:
        mount: on which it is.
        what: what is kept, and where; the beginning of the sentence, such as `The store /srv/jobs.db`.
        lost: what is lost, with its verb, such as `its jobs are`.
    """
    if mount is not None and mount.kind in CONTAINER:
        where, when = "on the container's own file system", "the container is replaced"
    elif mount is not None and mount.kind in MEMORY:
        where, when = "in memory", "the machine restarts"
    else:
        return ()
    cure = "Mount a volume and set POSTLUDE_URL to a file on it."
    return (f"{what} is {where} ({mount.kind}): {lost} gone when {when}. {cure}",)


def mount_under(folder: Path) -> Mount | None:
    """The mount that a folder is on; None where the system does not tell."""
    try:
        mountinfo = Path(MOUNTINFO).read_text("utf-8", "surrogateescape")
    except OSError:
        return None
    return mount_of(str(folder.resolve()), mountinfo)


def mount_of(path: str, mountinfo: str) -> Mount | None:
    """The mount that an absolute, resolved path is on; None when the text does not tell."""
    found = None
    for line in mountinfo.splitlines():
        mount = _parse(line)
        # The last of several on one point is the one on top.
        if mount and _is_under(path, mount.point) and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def _parse(line: str) -> Mount | None:
    # "36 35 98:0 /root /mnt/point rw,noatime shared:1 - ext4 /dev/sda rw": any number of fields before the hyphen.
    left, separator, right = line.partition(" - ")
    fields = left.split(" ")
    if not separator or len(fields) < 5:  # noqa: PLR2004 - the fifth field is the mount point
        return None
    point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
    return Mount(point, right.split(" ", 1)[0])


def _is_under(path: str, point: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")
