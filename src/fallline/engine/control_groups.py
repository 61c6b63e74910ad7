"""The control groups that a process is in on Linux: folders whose files say how much it may use."""

from collections.abc import Iterator
from pathlib import Path


def control_groups(controller: str, root: Path = Path("/")) -> Iterator[Path]:
    """The folders, of the old kind and of the new, of the process's groups and of all their parents.

    Args:
        controller: "cpu" or "memory".
        root: where the system's files /proc and /sys/fs/cgroup are.
    """
    for line in read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and controller not in controllers.split(","):
            continue
        mounts = [f"sys/fs/cgroup/{name}" for name in (controller, controllers)] if controllers else ["sys/fs/cgroup"]
        # Inside a container the path may be the host's, of which only the root can be seen: all parents count anyway.
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for mount in dict.fromkeys(mounts):
            for depth in range(len(parts) + 1):
                yield root.joinpath(mount, *parts[:depth])


def read(path: Path) -> str:
    """A file's text; none where it cannot be read."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
