"""Strings and imports of a source file, with their places.

Python is parsed (`ast`). JavaScript and TypeScript are tokenized: comments and regular expressions are told from
strings and templates. Configuration (JSON, TOML, YAML, .env, shell, Dockerfile) is read as words outside
comments.

Covered: string literals, concatenated Python strings, template literals without their expressions, imports.
Not covered: names put together at run time, minified bundles (files with lines over 5,000 characters).
"""

from __future__ import annotations

import ast
import re
from typing import Literal, NamedTuple

LONG_LINE = 5_000

Language = Literal["python", "javascript", "config"]

LANGUAGES: dict[str, Language] = {
    ".py": "python", ".pyi": "python", ".js": "javascript", ".jsx": "javascript", ".mjs": "javascript",
    ".cjs": "javascript", ".ts": "javascript", ".tsx": "javascript", ".mts": "javascript", ".cts": "javascript",
    ".vue": "javascript", ".svelte": "javascript", ".json": "config", ".toml": "config", ".yaml": "config",
    ".yml": "config", ".env": "config", ".ini": "config", ".cfg": "config", ".properties": "config",
    ".sh": "config", ".tf": "config", ".tfvars": "config",
}  # fmt: skip

NAMES: dict[str, Language] = {"dockerfile": "config", ".env": "config", "requirements.txt": "config"}


class Word(NamedTuple):
    """A string or an imported name. Lines and columns count from 1."""

    text: str
    line: int
    column: int
    kind: Literal["string", "import"]


def words(source: str, language: Language) -> list[Word]:
    """All strings and imports of a file. Raises `ValueError` with the reason when it cannot be read."""
    if any(len(line) > LONG_LINE for line in source.splitlines()) and language != "config":
        raise ValueError("lines over 5,000 characters: minified or generated")
    if language == "python":
        return _python(source)
    return _javascript(source) if language == "javascript" else _config(source)


def _python(source: str) -> list[Word]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"not valid Python: {error}") from None
    found: list[Word] = []
    # A docstring says what a model was, not that it is called.
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            found.append(Word(node.value, node.lineno, node.col_offset + 1, "string"))
        elif isinstance(node, ast.Import):
            found.extend(Word(name.name, node.lineno, node.col_offset + 1, "import") for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append(Word(node.module, node.lineno, node.col_offset + 1, "import"))
    return sorted(found, key=lambda word: (word.line, word.column))


_JS_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z)|<!--.*?(?:-->|\Z))
    |(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)
    |(?P<regex>/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/[a-z]*)
    |(?P<word>[A-Za-z_$][\w$]*|\d[\w.]*)
    |(?P<mark>[^\s\w])
    |(?P<space>\s+)""",
    re.VERBOSE | re.DOTALL,
)
_BEFORE_REGEX = frozenset("(,=:[!&|?{};+-*%<>~^") | {"return", "typeof", "case", "in", "of", "void", "delete"}


def _javascript(source: str) -> list[Word]:
    found: list[Word] = []
    starts = _line_starts(source)
    place, before, earlier = 0, "", ""
    while place < len(source):
        match = _JS_TOKEN.match(source, place)
        if match is None:
            place += 1
            continue
        kind, text = match.lastgroup, match.group()
        if kind == "regex" and before not in _BEFORE_REGEX and before:
            text, kind = "/", "mark"  # a division
        if kind == "string":
            imported = before in ("from", "import") or (before == "(" and earlier in ("require", "import"))
            line, column = _where(starts, place)
            inner = re.sub(r"\$\{[^}]*\}", " ", text[1:-1])
            found.append(Word(inner, line, column, "import" if imported else "string"))
        place += len(text)
        if kind not in ("comment", "space"):
            before, earlier = text, before
    return found


_CONFIG_WORD = re.compile(r"[^\s\"'`,;=()\[\]{}<>|]+")


def _config(source: str) -> list[Word]:
    found: list[Word] = []
    for number, line in enumerate(source.splitlines(), 1):
        text = re.sub(r"(?:^|\s)(?:#|//).*$", "", line)
        found.extend(
            Word(match.group().rstrip(":"), number, match.start() + 1, "string")
            for match in _CONFIG_WORD.finditer(text)
        )
    return found


def _line_starts(source: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer("\n", source))]


def _where(starts: list[int], place: int) -> tuple[int, int]:
    import bisect

    line = bisect.bisect_right(starts, place)
    return line, place - starts[line - 1] + 1
