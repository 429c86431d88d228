"""Files of a project that mention a person: lines leave them, or they leave whole."""

from __future__ import annotations

import gzip
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from freehold import files
from freehold.late import zstandard

WEIGHTS = (".safetensors", ".gguf", ".bin", ".pt", ".so")
SQLITE = b"SQLite format 3\0"
_TOKEN = re.compile(rb"[A-Za-z0-9][A-Za-z0-9_-]{5,}")
_ANSWER_CACHE = re.compile(rb'\{"key":"[^"]*","answer":')


class Finder:
    """Whether bytes mention one of many ids or texts. An id counts as a whole word, a text as any part, as JSON, HTML
    and plain text spell it."""

    def __init__(self, ids: Iterable[str], texts: Iterable[str]) -> None:
        self.tokens: set[bytes] = set()
        patterns: set[bytes] = set()
        for name in ids:
            if _TOKEN.fullmatch(name.encode()):
                self.tokens.add(name.encode())
            elif name:
                patterns.update(rb"(?<![\w-])" + re.escape(form) + rb"(?![\w-])" for form in spellings(name))
        patterns.update(re.escape(form) for text in texts for form in spellings(text))
        longest_first: list[bytes] = sorted(patterns, key=len, reverse=True)
        whole = b"|".join(longest_first)
        self._pattern = re.compile(whole) if whole else None

    def __call__(self, data: bytes) -> bool:
        if self._pattern is not None and self._pattern.search(data):
            return True
        return any(match.group() in self.tokens for match in _TOKEN.finditer(data))

    def masked(self, data: bytes) -> bytes:
        """The same number of bytes, with what is mentioned struck out."""

        def strike(match: re.Match[bytes]) -> bytes:
            return b"x" * len(match.group())

        if self._pattern is not None:
            data = self._pattern.sub(strike, data)
        return _TOKEN.sub(
            lambda match: strike(match) if match.group() in self.tokens else match.group(), data
        )


def spellings(text: str) -> set[bytes]:
    """A text as it is, as JSON writes it (with other letters escaped or not), and as HTML does."""
    import html
    import json

    plain = {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    return {form.encode(errors="replace") for form in (*plain, *map(html.escape, plain))}


def all_files(folders: Iterable[Path]) -> Iterator[Path]:
    """Every file of the folders once, links not followed, weights left out."""
    seen = set()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and path.suffix not in WEIGHTS and path not in seen:
                seen.add(path)
                yield path


def is_sqlite(path: Path) -> bool:
    """Whether a file is a SQLite database."""
    with path.open("rb") as file:
        return file.read(16) == SQLITE


def content(path: Path) -> bytes:
    """A file's content, unpacked where its name says that it is compressed. One that cannot be is taken as it is."""
    data = path.read_bytes()
    unpacked: Callable[[bytes], bytes] = gzip.decompress
    if path.suffix == ".zst":
        unpacked = zstandard.ZstdDecompressor().decompressobj().decompress
    try:
        return unpacked(data) if path.suffix in (".gz", ".zst") else data
    except Exception:  # noqa: BLE001 (a file that cannot be unpacked is searched as it lies there)
        return data


def clean(path: Path, mentions: Finder) -> str:
    """Take what is mentioned out of a file that mentions it. Returns what was done: ``lines``, ``struck out`` or
    ``removed``. A log keeps its length and place, because the process that writes it goes on."""
    if path.suffix == ".log":
        with path.open("r+b") as file:
            data = file.read()
            file.seek(0)
            file.write(mentions.masked(data))
        return "struck out"
    if path.suffix == ".jsonl":
        lines = path.read_bytes().splitlines(keepends=True)
        mode = path.stat().st_mode
        files.write(path, b"".join(line for line in lines if not mentions(line)))
        path.chmod(mode)
        return "lines"
    path.unlink()
    return "removed"


def is_answer_cache(path: Path) -> bool:
    """Whether a file keeps answers or embeddings by the hash of what was asked, so that nothing in it says whose they
    are."""
    if path.suffix == ".npz" and path.name.startswith("embeddings-"):
        return True
    if path.suffix != ".jsonl":
        return False
    with path.open("rb") as file:
        return _ANSWER_CACHE.match(file.read(4096)) is not None


def remove_folder(folder: Path, tell: Callable[[str], None]) -> None:
    """Remove a folder with all it holds. Raises `OSError`."""
    shutil.rmtree(folder)
    tell(str(folder))
