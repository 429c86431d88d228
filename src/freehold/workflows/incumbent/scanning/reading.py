"""Which files a scan reads, and their strings and imports with their places.

Code is read by patterns over its text (`text`), configuration as values (`config`), what a project asks for by its
manifest (`manifests`); of a notebook the code cells. Not covered: names that a program reads or looks up while it runs,
minified bundles (JavaScript with lines over 5,000 characters).
"""

from __future__ import annotations

import codecs
import io
import json
import re
import tokenize
from pathlib import PurePath
from typing import Literal

from freehold.workflows.incumbent.scanning import config, manifests, text
from freehold.workflows.incumbent.scanning.listing import LOCK_FILES
from freehold.workflows.incumbent.scanning.word import Word

LONG_LINE = 5_000
MOST_IN_LINE = 100_000

Language = Literal["notebook", "config"] | text.Code

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


def words(source: str, language: Language, name: str = "") -> list[Word]:
    """All strings and imports of a file called `name`. Raises `ValueError` with the reason when it cannot be read."""
    manifest = manifests.kind_of(name)
    if manifest is not None:
        found = [*manifests.read(source, manifest), *config.read(source)]
        return sorted(found, key=lambda word: (word.line, word.column))
    if language == "config":
        return config.read(source)
    if language == "notebook":
        return _notebook(source)
    longest = max(map(len, source.splitlines()), default=0)
    if longest > (LONG_LINE if language == "javascript" else MOST_IN_LINE):
        raise ValueError(f"a line of {longest:,} characters: minified or generated")
    if name.lower().endswith(text.PAGES):
        return text.read_page(source)
    return text.read(source, language)


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
        found.extend(word._replace(line=places[word.line - 1]) for word in text.read(asked, "python"))
    return found
