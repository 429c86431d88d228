"""`freehold scan`: where a code base uses rented models, and when those are shut down.

Files are those git knows in a folder, else all but the usual folders of dependencies. Code is read by patterns over
its text, configuration as values, what a project asks for by its manifest; of a notebook the code cells. Not
covered: names that a program reads or looks up while it runs, minified bundles (JavaScript with lines over 5,000
characters).
"""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import shutil
import stat
import subprocess
import tokenize
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path, PurePath
from typing import Literal, NamedTuple

from freehold import __version__
from freehold.catalog.retirements import Platform
from freehold.errors import InputError
from freehold.progress import Progress, Silent
from freehold.types.application import ModelUse, Scan, UnreadFiles
from freehold.visible import one_line
from freehold.workflows.incumbent import source_text
from freehold.workflows.incumbent.findings import by_model, finding
from freehold.workflows.incumbent.meaning import Word, meaning, platform_of

LEFT_OUT = frozenset(
    {".git", ".hg", "node_modules", ".venv", "venv", "__pycache__", "dist", "build", "site-packages", ".freehold",
     ".tox", ".mypy_cache", ".ruff_cache", ".next", "target", "vendor"}
)  # fmt: skip


def files_under(root: Path, skipped: list[tuple[str, str]]) -> Iterator[Path]:
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

MOST_NAMED = 20
"""Files of one kind that are named."""


def _unread(paths: list[_File]) -> tuple[UnreadFiles, ...]:
    """Files that were not looked into, by their endings, the most frequent first."""
    groups: dict[str, list[str]] = {}
    for file in paths:
        is_lock = file.path.name.lower() in LOCK_FILES
        reason = (
            "lock files"
            if is_lock
            else f"no reader for {file.path.suffix.lower() or 'files without an ending'}"
        )
        groups.setdefault(reason, []).append(file.shown)
    return tuple(
        UnreadFiles(reason=reason, count=len(names), paths=tuple(names[:MOST_NAMED]))
        for reason, names in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    )


LONG_LINE = 5_000
MOST_IN_LINE = 100_000

Language = Literal["notebook", "config"] | source_text.Code

LANGUAGES: dict[str, Language] = {
    ".py": "python", ".pyi": "python", ".pyw": "python", ".ipynb": "notebook",
    ".js": "javascript", ".jsx": "javascript", ".mjs": "javascript",
    ".cjs": "javascript", ".ts": "javascript", ".tsx": "javascript", ".mts": "javascript", ".cts": "javascript",
    ".vue": "javascript", ".svelte": "javascript", ".html": "javascript", ".htm": "javascript",
    ".go": "go", ".java": "java", ".kt": "kotlin", ".kts": "kotlin", ".cs": "csharp", ".rb": "ruby", ".rake": "ruby",
    ".gemspec": "ruby", ".php": "php", ".rs": "rust", ".sh": "config", ".bash": "config", ".zsh": "config",
    ".tf": "config", ".tfvars": "config", ".hcl": "config",
    ".json": "config", ".jsonc": "config", ".json5": "config", ".toml": "config", ".yaml": "config", ".yml": "config",
    ".env": "config", ".ini": "config", ".cfg": "config", ".conf": "config", ".properties": "config",
    ".gradle": "config",
    ".csproj": "config",
}  # fmt: skip

NAMES: dict[str, Language] = {
    "dockerfile": "config", ".env": "config", "requirements.txt": "config", "gemfile": "ruby", "rakefile": "ruby",
    "makefile": "config", "justfile": "config", "procfile": "config", "pipfile": "config", "go.mod": "config",
    "pom.xml": "config", ".envrc": "config",
}  # fmt: skip


def language_of(path: PurePath) -> Language | None:
    """By name or suffix; None for files that are not looked at."""
    name = path.name.lower()
    if name in LOCK_FILES:
        return None
    if name.startswith((".env", "dockerfile", "requirements")):
        return NAMES.get(name, "config")
    if name.endswith((".gradle.kts", ".csproj")):
        return "config"
    return NAMES.get(name) or LANGUAGES.get(path.suffix.lower())


def decoded(data: bytes, language: Language) -> str:
    """A file's text. Its byte-order mark or, in Python, its coding line says how it is written; else UTF-8.

    Bytes that are not UTF-8 are read as Latin-1, which has every byte: ids, SDKs and addresses are ASCII. Raises
    `ValueError` for what is not text.
    """
    try:
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return data.decode("utf-16")
        if b"\0" in data:
            raise ValueError("not text")
        encoding = "utf-8-sig"
        if language == "python":
            encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        return data.decode(encoding)
    except SyntaxError:  # an unknown coding, or a first line that is not UTF-8
        return data.decode("latin-1")
    except UnicodeDecodeError:
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise ValueError("not text") from None
        return data.decode("latin-1")


def words_of(source: str, language: Language, name: str = "") -> list[Word]:
    """All strings and imports of a file called `name`. Raises `ValueError` with the reason when it cannot be read."""
    manifest = source_text.manifest_kind(name)
    if manifest is not None:
        found = [*source_text.read_manifest(source, manifest), *source_text.read_config(source)]
        return sorted(found, key=lambda word: (word.line, word.column))
    if language == "config":
        return source_text.read_config(source)
    if language == "notebook":
        return _notebook(source)
    longest = max(map(len, source.splitlines()), default=0)
    if longest > (LONG_LINE if language == "javascript" else MOST_IN_LINE):
        raise ValueError(f"a line of {longest:,} characters: minified or generated")
    if name.lower().endswith(source_text.PAGES):
        return source_text.read_page(source)
    return source_text.read_code(source, language)


def _notebook(source: str) -> list[Word]:
    """Code cells of a Jupyter notebook; the places are lines of the file, where each line of code has one."""
    try:
        cells = json.loads(source)["cells"]
        codes = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not a notebook: {error}") from None
    lines = source.splitlines()
    found: list[Word] = []
    at = 0
    for code in codes:
        places = []
        for line in code.split("\n"):
            written = json.dumps(line, ensure_ascii=False)[1:-1]
            rows = (n for n in range(at, len(lines)) if line.strip() and written in lines[n])
            row = next(rows, None)
            at = at if row is None else row
            places.append(at + 1)
            at += row is not None
        asked = re.sub(r"(?m)^\s*[%!?].*$", "pass", code)
        found.extend(
            word._replace(line=places[word.line - 1]) for word in source_text.read_code(asked, "python")
        )
    return found


MAX_BYTES = 2_000_000
LONG = 1_000
"""More files than this take more than a few seconds: progress is shown."""


class _File(NamedTuple):
    path: Path
    shown: str


def scan(root: Path | Sequence[Path], *, as_of: date | None = None, progress: Progress | None = None) -> Scan:
    """Scan files and folders. In a git work tree the files git knows or would add are read, else all but the
    usual folders of dependencies. Links are not followed. Raises `InputError` when there is nothing at `root`.
    """
    roots = [root] if isinstance(root, Path) else list(root)
    for one in roots:
        if not one.is_file() and not one.is_dir():
            reason = "neither a file nor a folder" if one.exists() else "no such file or folder"
            raise InputError(reason, path=str(one))
    today = as_of or datetime.now(UTC).date()
    findings: list[ModelUse] = []
    skipped: list[tuple[str, str]] = []
    count = 0
    files = list(dict.fromkeys(file for one in roots for file in _under(one, skipped, alone=len(roots) == 1)))
    others: list[_File] = []
    progress = progress or Silent()
    if len(files) > LONG:
        progress.step("read files")
    for at, file in enumerate(files):
        if len(files) > LONG:
            progress.update(at, len(files), unit="files")
        language = language_of(file.path)
        if language is None:
            others.append(file)
            continue
        try:
            found = _read(file.path, language)
        except (OSError, ValueError) as error:
            skipped.append(
                (file.shown, (error.strerror if isinstance(error, OSError) else None) or str(error))
            )
            continue
        count += 1
        findings.extend(_findings(file.shown, found, language, today))
    return Scan(
        root=str(roots[0]) if len(roots) == 1 else ", ".join(str(one) for one in roots),
        as_of=today,
        files=count,
        findings=tuple(findings),
        models=by_model(findings),
        skipped=tuple(skipped),
        unread=_unread(others),
        version=__version__,
    )


def _under(root: Path, skipped: list[tuple[str, str]], *, alone: bool) -> Iterator[_File]:
    """The files at or under a path, with the names they are shown by: under one folder, those inside it."""
    if root.is_file():
        yield _File(root, printable(root.name if alone else root.as_posix()))
        return
    for path in sorted(files_under(root, skipped)):
        yield _File(path, printable((path.relative_to(root) if alone else path).as_posix()))


def _read(path: Path, language: Language) -> list[Word]:
    if path.stat().st_size > MAX_BYTES:
        raise ValueError("over 2 MB")
    return words_of(decoded(path.read_bytes(), language), language, path.name)


def _findings(shown: str, found: list[Word], language: Language, today: date) -> Iterator[ModelUse]:
    """What the words of one file say. Names that several platforms use count where the file shows the platform."""
    ecosystem = "javascript" if shown.endswith("package.json") else language
    uses = [(word, meaning(word, ecosystem)) for word in found]
    hosts: frozenset[Platform] = frozenset(
        platform for _, use in uses if use is not None and (platform := platform_of(use)) is not None
    )
    for word, use in uses:
        if use is None and hosts and word.kind == "string":
            use = meaning(word, ecosystem, hosts)
        if use is not None:
            yield finding(shown, word, use, today)
