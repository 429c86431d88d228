"""`freehold scan`: where a code base uses rented models, and when those are shut down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

from freehold import __version__
from freehold.catalog.retirements import Platform
from freehold.errors import InputError
from freehold.progress import Progress, Silent
from freehold.types.application import ModelUse, Scan
from freehold.workflows.incumbent.scanning import listing
from freehold.workflows.incumbent.scanning.findings import by_model, finding
from freehold.workflows.incumbent.scanning.meaning import meaning, platform_of
from freehold.workflows.incumbent.scanning.reading import (
    Language,
    decoded,
    language_of,
    words,
)
from freehold.workflows.incumbent.scanning.word import Word

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
    others = listing.Unread()
    progress = progress or Silent()
    if len(files) > LONG:
        progress.step("read files")
    for at, file in enumerate(files):
        if len(files) > LONG:
            progress.update(at, len(files), unit="files")
        language = language_of(file.path)
        if language is None:
            others.add(file.path, file.shown)
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
        unread=others.groups(),
        version=__version__,
    )


def _under(root: Path, skipped: list[tuple[str, str]], *, alone: bool) -> Iterator[_File]:
    """The files at or under a path, with the names they are shown by: under one folder, those inside it."""
    if root.is_file():
        yield _File(root, listing.printable(root.name if alone else root.as_posix()))
        return
    for path in sorted(listing.files(root, skipped)):
        yield _File(path, listing.printable((path.relative_to(root) if alone else path).as_posix()))


def _read(path: Path, language: Language) -> list[Word]:
    if path.stat().st_size > MAX_BYTES:
        raise ValueError("over 2 MB")
    return words(decoded(path.read_bytes(), language), language, path.name)


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
