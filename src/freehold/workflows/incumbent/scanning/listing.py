"""The files of a folder that a scan looks into: what git knows there, else all but the usual folders of
dependencies."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

from freehold.types.application import UnreadFiles
from freehold.visible import one_line

LEFT_OUT = frozenset(
    {".git", ".hg", "node_modules", ".venv", "venv", "__pycache__", "dist", "build", "site-packages", ".freehold",
     ".tox", ".mypy_cache", ".ruff_cache", ".next", "target", "vendor"}
)  # fmt: skip


def files(root: Path, skipped: list[tuple[str, str]]) -> Iterator[Path]:
    """Plain files under a folder: reading a pipe would never end, and a link may lead anywhere."""
    try:
        done = subprocess.run(
            [
                *(_git(), *_NO_PROGRAMS),
                *("-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=60,
            env=_git_environment(),
        )
    except (OSError, subprocess.SubprocessError):  # no git here, or no work tree

        def unreadable(error: OSError) -> None:
            folder = Path(error.filename)
            shown = "." if folder == root else printable(folder.relative_to(root).as_posix())
            skipped.append((f"{shown}/", error.strerror or str(error)))

        for folder, folders, files in os.walk(root, onerror=unreadable):
            folders[:] = sorted(set(folders) - LEFT_OUT)
            yield from (path for file in files if _is_plain(path := Path(folder) / file))
        return
    names = [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]
    # A file in the middle of a merge is listed once for each side.
    yield from (path for name in dict.fromkeys(names) if _is_plain(path := root / name))


# A folder's own configuration names programs that git would run: none of them is needed to list files.
_NO_PROGRAMS = (
    "--no-pager",
    *("-c", "core.fsmonitor=false"),
    *("-c", f"core.hooksPath={os.devnull}"),
    *("-c", "core.sshCommand=false"),
    *("-c", "core.askPass=false"),
    *("-c", "protocol.allow=never"),
    *("-c", "submodule.recurse=false"),
)


def _git() -> str:
    """The path of git, looked for in absolute folders only: the folder to scan may hold a program of that name."""
    folders = [folder for folder in os.get_exec_path() if Path(folder).is_absolute()]
    found = shutil.which("git", path=os.pathsep.join(folders))
    if found is None:
        raise FileNotFoundError("git")
    return found


def _git_environment() -> dict[str, str]:
    """The environment without what points git elsewhere, and with no way to ask or fetch."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}


def _is_plain(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:  # listed by git, gone from the tree
        return False


def printable(path: str) -> str:
    """A path as it can be printed: bytes that are not UTF-8 are replaced, what controls a terminal is made visible."""
    return one_line(os.fsencode(path).decode("utf-8", "replace"))


LOCK_FILES = frozenset(
    {"package-lock.json", "pnpm-lock.yaml", "poetry.lock", "uv.lock", "composer.lock", "yarn.lock", "cargo.lock",
     "gemfile.lock", "go.sum", ".terraform.lock.hcl"}
)  # fmt: skip

CODE: dict[str, str] = {
    ".swift": "Swift", ".m": "Objective-C", ".mm": "Objective-C", ".scala": "Scala", ".groovy": "Groovy",
    ".dart": "Dart",
    ".c": "C", ".h": "C", ".cc": "C++", ".cpp": "C++", ".hpp": "C++", ".ex": "Elixir", ".exs": "Elixir",
    ".erl": "Erlang",
    ".clj": "Clojure", ".lua": "Lua", ".pl": "Perl", ".pm": "Perl", ".r": "R", ".jl": "Julia", ".hs": "Haskell",
    ".ml": "OCaml", ".fs": "F#", ".vb": "Visual Basic", ".ps1": "PowerShell", ".bat": "batch files",
    ".cmd": "batch files",
    ".sql": "SQL", ".zig": "Zig", ".nim": "Nim", ".erb": "templates", ".j2": "templates", ".jinja": "templates",
    ".tpl": "templates", ".mustache": "templates", ".hbs": "templates", ".astro": "Astro", ".fish": "fish",
}  # fmt: skip

PROSE = frozenset({".md", ".mdx", ".rst", ".txt", ".adoc", ".org", ".tex", ".pdf"})

MOST_NAMED = 20
"""Of prose and data, this many files are named; of code, all."""


class Unread:
    """Collects files by the reason why they were not looked into."""

    def __init__(self) -> None:
        self._paths: dict[str, list[str]] = {}

    def add(self, path: Path, shown: str) -> None:
        """Note one file."""
        self._paths.setdefault(_reason(path), []).append(shown)

    def groups(self) -> tuple[UnreadFiles, ...]:
        """By reason: code first, then what is more."""
        groups = sorted(
            self._paths.items(), key=lambda one: (not one[0].startswith("no reader"), -len(one[1]), one[0])
        )
        return tuple(
            UnreadFiles(
                reason=reason,
                count=len(paths),
                paths=tuple(paths if reason.startswith("no reader") else paths[:MOST_NAMED]),
            )
            for reason, paths in groups
        )


def _reason(path: Path) -> str:
    suffix = path.suffix.lower()
    if path.name.lower() in LOCK_FILES:
        return "lock files"
    if suffix in CODE:
        return f"no reader for {CODE[suffix]}"
    return "prose" if suffix in PROSE else "data, media and other kinds"
