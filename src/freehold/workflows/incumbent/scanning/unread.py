"""What a scan did not look into: named, so that silence means nothing was there."""

from __future__ import annotations

from pathlib import Path

from freehold.types.planning.scan import UnreadFiles

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
