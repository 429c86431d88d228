"""String literals and imports of a language without its grammar: by patterns, comments left out.

What it cannot tell: strings joined over lines, and comment signs in the middle of an odd literal.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

from freehold.workflows.incumbent.scanning import config
from freehold.workflows.incumbent.scanning.grammars import Parsed
from freehold.workflows.incumbent.scanning.word import Word

_SLASHES = r"//[^\n]*|/\*.*?(?:\*/|\Z)"
_HASHES = r"(?<![\w$#{])#(?!\{)[^\n]*"
_STRINGS = (
    r"\"\"\"(?P<triple>.*?)(?:\"\"\"|\Z)|\"(?P<double>(?:\\.|[^\"\\\n])*)\"|`(?P<back>[^`]*)`"
    r"|(?<!\w)'(?P<single>(?:\\.|[^'\\\n])*)'"
)
_COMMENTS: dict[Parsed, str] = {"ruby": _HASHES, "php": f"{_SLASHES}|{_HASHES}"}
_TOKENS = {
    language: re.compile(f"(?P<comment>{_COMMENTS.get(language, _SLASHES)})|{_STRINGS}", re.DOTALL)
    for language in ("go", "java", "kotlin", "csharp", "ruby", "php", "rust")
}
_IMPORTS: dict[Parsed, re.Pattern[str]] = {
    "java": re.compile(r"^\s*import\s+(?:static\s+)?([\w.]+)", re.MULTILINE),
    "kotlin": re.compile(r"^\s*import\s+([\w.]+)", re.MULTILINE),
    "csharp": re.compile(
        r"^\s*(?:global\s+)?using\s+(?:static\s+)?(?:\w+\s*=\s*)?([\w.]+)\s*;", re.MULTILINE
    ),
    "ruby": re.compile(r"^\s*(?:require|gem)\s*\(?\s*[\"']([^\"']+)[\"']", re.MULTILINE),
    "php": re.compile(r"^\s*use\s+(?:function\s+|const\s+)?\\?([\w\\]+)", re.MULTILINE),
    "rust": re.compile(r"^\s*(?:pub\s+)?(?:use|extern\s+crate)\s+([\w:]+?)(?:::\{|\s|;)", re.MULTILINE),
}
_GO_IMPORTS = re.compile(r"^import\s*(?:\((?P<block>.*?)^\)|(?P<one>[^\n]*))", re.DOTALL | re.MULTILINE)


def read(source: str, language: Parsed) -> list[Word]:
    """All string literals and imports, in order. Lines and columns from 1."""
    if language in ("shell", "terraform"):
        return config.read(source)
    starts = [0, *accumulate(len(line) + 1 for line in source.split("\n"))]
    imports = list(_imports(source, starts, language))
    taken = {(word.line, word.column) for word in imports}
    strings = [word for word in _strings(source, starts, language) if (word.line, word.column) not in taken]
    return sorted([*imports, *strings], key=lambda word: (word.line, word.column))


def _strings(source: str, starts: list[int], language: Parsed) -> Iterator[Word]:
    for match in _TOKENS[language].finditer(source):
        kind = match.lastgroup
        if kind is not None and kind != "comment":
            yield _word(starts, match.group(kind), match.start(kind) - 1, "string")


def _imports(source: str, starts: list[int], language: Parsed) -> Iterator[Word]:
    if language == "go":
        for block in _GO_IMPORTS.finditer(source):
            inside = "block" if block.group("block") is not None else "one"
            for path in re.finditer(r"\"([^\"]+)\"", block.group(inside)):
                yield _word(starts, path.group(1), block.start(inside) + path.start(), "import")
        return
    for match in _IMPORTS[language].finditer(source):
        at = match.start(1) - (1 if language == "ruby" else 0)
        yield _word(starts, match.group(1), at, "import")


def _word(starts: list[int], text: str, at: int, kind: str) -> Word:
    """A word at a place of the source; `starts` are the places where its lines begin."""
    line = bisect_right(starts, max(at, 0))
    column = max(at - starts[line - 1] + 1, 1)
    return Word(text, line, column, "import" if kind == "import" else "string")
