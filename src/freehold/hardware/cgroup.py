"""The control group of this process, by what Linux puts under /proc and /sys (cgroup v1 and v2)."""

from __future__ import annotations

from pathlib import Path


def folders(root: Path, controller: str) -> list[Path]:
    """Folders of this process's control group for `controller`, innermost first, up to the mount's root.

    Inside a container /proc/self/cgroup may name a path of the host that does not exist here; the mount's
    root then is the container's own group.
    """
    found: list[Path] = []
    for line in kernel_text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mount = root / "sys/fs/cgroup"
        elif controller in controllers.split(","):
            mount = root / "sys/fs/cgroup" / controllers
            if not mount.exists():
                mount = root / "sys/fs/cgroup" / controller
        else:
            continue
        folder = mount / path.strip().lstrip("/")
        while folder != mount and mount in folder.parents:
            if folder.exists():
                found.append(folder)
            folder = folder.parent
        if mount.exists():
            found.append(mount)
    return found


def oom_kills(root: Path = Path("/")) -> int | None:
    """How often the kernel has killed a process of this control group for memory; None where it is not counted.

    Covered: ``memory.events`` of cgroup v2, which counts the groups inside as well.
    """
    for folder in folders(root, "memory"):
        for line in kernel_text(folder / "memory.events").splitlines():
            key, _, count = line.partition(" ")
            if key == "oom_kill" and count.isdigit():
                return int(count)
    return None


def oom_killed_since(before: int | None) -> bool:
    """Whether the kernel has killed for memory since `oom_kills` gave `before`; False where it is not counted."""
    now = oom_kills()
    return before is not None and now is not None and now > before


def kernel_text(path: Path) -> str:
    """The text of a file under /proc or /sys; empty where this kind of system has none."""
    try:
        return path.read_text()
    except OSError:
        return ""
