"""A sandbox for code of the user's own and what it runs in turn: bubblewrap where this machine has it and permits it.

Covered by bubblewrap: no network, no file but those that are named (read-only), no other process, a private folder for
temporary files of limited size, no environment but a short list. Covered without it: the environment, a private folder
for temporary files, and the limits that the process sets itself; network and files are not closed, and what runs in it
may end other processes of the user. Not covered by either: a hole in the kernel; what the code says in its answers.
"""

from __future__ import annotations

import functools
import shutil
import site
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

Kind = Literal["bubblewrap", "limits"]
LIMITS_ONLY = "limits only (network and files not closed)"
TEMPORARY_BYTES = 64 * 1024 * 1024
"""Room of the private temporary folder."""

_NOBODY = "65534"
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store")
_SETTINGS = (
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
)
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH")
# Libraries start a thread for each core, and each reserves address space.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_TRIED_SECONDS = 10.0
_USERNS = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")


class SandboxState(msgspec.Struct, frozen=True, kw_only=True):
    """What this machine permits. `why` says what is missing for bubblewrap, `fix` how to get it."""

    kind: Kind
    version: str | None = None
    flags: tuple[str, ...] = ()
    why: str | None = None
    fix: str | None = None

    @property
    def name(self) -> str:
        """As records and outputs say it."""
        return "bubblewrap" if self.kind == "bubblewrap" else LIMITS_ONLY


LIMITS = SandboxState(kind="limits", why="it was asked for")


@functools.cache
def sandbox_state() -> SandboxState:
    """What this machine permits, found out by running a program in it; asked once a process."""
    program = shutil.which("bwrap")
    if program is None or not sys.platform.startswith("linux"):
        why = "bubblewrap is not installed" if sys.platform.startswith("linux") else "bubblewrap is for Linux"
        return SandboxState(kind="limits", why=why, fix="apt-get install bubblewrap (or your system's own)")
    said = ""
    # Namespaces within the sandbox are closed where this version can (0.8 on) and the system lets it.
    for flags in ((program, "--disable-userns"), (program,)):
        try:
            tried = subprocess.run(
                enclosed(["true"], flags=flags, cwd=Path("/")),
                env={"PATH": "/usr/bin:/bin"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_TRIED_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            said = f"{type(error).__name__}: {error}"
            continue
        if tried.returncode == 0:
            return SandboxState(kind="bubblewrap", version=_version(program), flags=flags)
        said = (tried.stderr.strip().splitlines() or [f"it ended with {tried.returncode}"])[-1]
    return SandboxState(
        kind="limits", version=_version(program), why=f"bubblewrap does not run here: {said}", fix=_fix(said)
    )


def _version(program: str) -> str | None:
    try:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return told.stdout.strip().rpartition(" ")[2] or None


def _fix(said: str) -> str:
    if "Unknown option" in said:
        return "install bubblewrap 0.8 or newer"
    if _USERNS.exists() and _USERNS.read_text().strip() == "1":
        return "give bwrap an AppArmor profile that permits user namespaces (userns)"
    return "permit user namespaces: sysctl user.max_user_namespaces; in a container, its seccomp profile"


def environment(source: Mapping[str, str], temporary: str) -> dict[str, str]:
    """The explicit environment of code in a sandbox; `temporary` is its home and its folder for temporary files."""
    passed = {name: source[name] for name in _PASSED_ON if name in source}
    single = dict.fromkeys(_ONE_THREAD, "1")
    return {
        **passed,
        **single,
        "HOME": temporary,
        "TMPDIR": temporary,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONIOENCODING": "utf-8",
    }


def enclosed(
    command: Sequence[str], *, flags: Sequence[str], cwd: Path, visible: Sequence[Path] = ()
) -> list[str]:
    """`command` in bubblewrap. `visible` files and folders keep their names, read-only; nothing else of the user's is
    there. `flags` are those of the state. Give it an environment of its own."""
    size = str(TEMPORARY_BYTES)
    shown = [*_SYSTEM, *_SETTINGS, *map(str, interpreter_folders())]
    return [
        *flags,
        *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"),
        *("--unshare-cgroup-try", "--uid", _NOBODY, "--gid", _NOBODY, "--cap-drop", "ALL"),
        *("--hostname", "sandbox", "--die-with-parent", "--proc", "/proc", "--dev", "/dev"),
        *("--size", size, "--tmpfs", "/dev/shm", "--remount-ro", "/dev", "--size", size, "--tmpfs", "/tmp"),  # noqa: S108
        *(part for place in shown for part in ("--ro-bind-try", place, place)),
        *(part for place in visible for part in ("--ro-bind", str(place.resolve()), str(place.absolute()))),
        *("--dir", str(cwd), "--chdir", str(cwd), "--remount-ro", "/", "--"),
        *command,
    ]


def interpreter_folders() -> list[Path]:
    """What Python itself and installed packages are read from."""
    packages = [*site.getsitepackages(), site.getusersitepackages()]
    found = [sys.prefix, sys.base_prefix, *(one for one in packages if one in sys.path)]
    return [Path(one) for one in dict.fromkeys(found) if Path(one) != Path("/") and Path(one).is_dir()]
