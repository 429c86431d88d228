"""`freehold scan`: where a code base uses rented models, and when those are shut down."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from freehold import __version__
from freehold.catalog import retirements
from freehold.errors import InputError
from freehold.types.planning.scan import ModelUse, Scan
from freehold.types.progress import Progress, Silent
from freehold.visible import one_line
from freehold.workflows.incumbent.scanning.meaning import Meaning, meaning
from freehold.workflows.incumbent.scanning.reading import (
    LANGUAGES,
    NAMES,
    Language,
    PartlyReadError,
    decoded,
    words,
)
from freehold.workflows.incumbent.scanning.word import Word

LEFT_OUT = frozenset(
    {".git", ".hg", "node_modules", ".venv", "venv", "__pycache__", "dist", "build", "site-packages", ".freehold",
     ".tox", ".mypy_cache", ".ruff_cache", ".next", "target", "vendor"}
)  # fmt: skip
LOCK_FILES = frozenset({"package-lock.json", "pnpm-lock.yaml", "poetry.lock", "uv.lock", "composer.lock"})
MAX_BYTES = 2_000_000
LONG = 1_000
"""More files than this take more than a few seconds: progress is shown."""


def scan(root: Path, *, as_of: date | None = None, progress: Progress | None = None) -> Scan:
    """Scan a file or a folder. In a git work tree the files git knows or would add are read, else all but the
    usual folders of dependencies. Links are not followed. Raises `InputError` when there is nothing at `root`.
    """
    if not root.is_file() and not root.is_dir():
        reason = "neither a file nor a folder" if root.exists() else "no such file or folder"
        raise InputError(reason, path=str(root))
    today = as_of or datetime.now(UTC).date()
    findings: list[ModelUse] = []
    skipped: list[tuple[str, str]] = []
    count = 0
    paths = [root] if root.is_file() else sorted(_files(root, skipped))
    progress = progress or Silent()
    if len(paths) > LONG:
        progress.step("read files")
    for at, path in enumerate(paths):
        if len(paths) > LONG:
            progress.update(at, len(paths), unit="files")
        language = language_of(path)
        if language is None:
            continue
        shown = _name(path.name if path == root else path.relative_to(root).as_posix())
        try:
            if path.stat().st_size > MAX_BYTES:
                raise ValueError("over 2 MB")
            found = words(decoded(path.read_bytes(), language), language, path.suffix.lower())
        except PartlyReadError as error:
            skipped.append((shown, str(error)))
            found = error.words
        except (OSError, ValueError) as error:
            skipped.append((shown, (error.strerror if isinstance(error, OSError) else None) or str(error)))
            continue
        count += 1
        for word in found:
            use = meaning(word)
            if use is not None:
                findings.append(_finding(shown, word, use, today))
    return Scan(
        root=str(root),
        as_of=today,
        files=count,
        findings=tuple(findings),
        skipped=tuple(skipped),
        version=__version__,
    )


def language_of(path: Path) -> Language | None:
    """By suffix or name; None for files that are not looked at."""
    name = path.name.lower()
    if name in LOCK_FILES:
        return None
    if name.startswith((".env", "dockerfile", "requirements")):
        return "config"
    return NAMES.get(name) or LANGUAGES.get(path.suffix.lower())


def _files(root: Path, skipped: list[tuple[str, str]]) -> Iterator[Path]:
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
            shown = "." if folder == root else _name(folder.relative_to(root).as_posix())
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


def _name(path: str) -> str:
    """A path as it can be printed: bytes that are not UTF-8 are replaced, what controls a terminal is made visible."""
    return one_line(os.fsencode(path).decode("utf-8", "replace"))


def _address(text: str) -> str:
    """An address without what may be secret in it: user and password, and everything after the path."""
    return re.sub(r"^([\w+.-]+://)?[^/@]*@", lambda found: found.group(1) or "", re.split(r"[?#]", text)[0])


def _finding(path: str, word: Word, use: Meaning, today: date) -> ModelUse:
    row = None
    if use.model is not None:
        row = next(iter(retirements.find(use.model)), None)
    return ModelUse(
        kind=use.kind,
        path=path,
        line=word.line,
        column=word.column,
        text=one_line(_address(word.text.strip()) if use.kind == "endpoint" else word.text.strip()),
        vendor=use.vendor,
        how=use.how,
        model=use.model,
        shutdown=row.shutdown if row else None,
        days_left=row.days_left(today) if row else None,
        replacement=row.replacement if row else None,
        retirement_source=f"{row.source}, read {row.checked}" if row else None,
        stale=row.is_stale(today) if row else False,
    )


RULES: dict[str, str] = {
    "model_id": "A rented model's id",
    "sdk": "A vendor's SDK is imported",
    "endpoint": "A vendor's API is addressed",
    "key": "A vendor's API key is named",
}


def level(finding: ModelUse, fail_within: int) -> str:
    """SARIF level: error for a model shut down or about to be, warning for one with a date, else note."""
    if finding.days_left is None:
        return "note"
    return "error" if finding.days_left <= fail_within else "warning"


def sarif(found: Scan, *, fail_within: int) -> dict[str, Any]:
    """The findings as SARIF 2.1.0 (OASIS), for code-scanning pages of forges."""
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "freehold",
                        "version": found.version,
                        "rules": [
                            {"id": name, "shortDescription": {"text": text}} for name, text in RULES.items()
                        ],
                    }
                },
                "results": [
                    {
                        "ruleId": finding.kind,
                        "level": level(finding, fail_within),
                        "message": {"text": sentence(finding)},
                        "locations": [
                            {
                                "physicalLocation": {
                                    "artifactLocation": {"uri": quote(finding.path)},
                                    "region": {"startLine": finding.line, "startColumn": finding.column},
                                }
                            }
                        ],
                    }
                    for finding in found.findings
                ],
            }
        ],
    }


def sentence(finding: ModelUse) -> str:
    """One finding in words."""
    if finding.shutdown is None or finding.days_left is None:
        return f"{finding.text}: {finding.how} ({finding.vendor})"
    when = f"in {finding.days_left} days" if finding.days_left >= 0 else f"{-finding.days_left} days ago"
    then = f"; the vendor names {finding.replacement}" if finding.replacement else ""
    stale = "; this date was read too long ago, check it" if finding.stale else ""
    return f"{finding.text}: shut down on {finding.shutdown}, {when}{then}{stale}"
