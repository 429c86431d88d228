"""Strings and imports of a source file, with their places.

Python is parsed (`ast`), JavaScript and TypeScript too (`javascript`). Of a notebook the code cells are read.
Configuration (JSON, TOML, YAML, .env, shell, Dockerfile) is read as words outside comments.

Covered: string literals, concatenated Python strings, template literals without their expressions, imports.
Not covered: names put together at run time, minified bundles (files with lines over 5,000 characters).
"""

from __future__ import annotations

import ast
import json
import re
from typing import Literal

from freehold.workflows.scanning import javascript
from freehold.workflows.scanning.word import Word

LONG_LINE = 5_000

Language = Literal["python", "javascript", "notebook", "config"]

LANGUAGES: dict[str, Language] = {
    ".py": "python", ".pyi": "python", ".ipynb": "notebook",
    ".js": "javascript", ".jsx": "javascript", ".mjs": "javascript",
    ".cjs": "javascript", ".ts": "javascript", ".tsx": "javascript", ".mts": "javascript", ".cts": "javascript",
    ".vue": "javascript", ".svelte": "javascript", ".json": "config", ".toml": "config", ".yaml": "config",
    ".yml": "config", ".env": "config", ".ini": "config", ".cfg": "config", ".properties": "config",
    ".sh": "config", ".tf": "config", ".tfvars": "config",
}  # fmt: skip

NAMES: dict[str, Language] = {"dockerfile": "config", ".env": "config", "requirements.txt": "config"}


def words(source: str, language: Language, suffix: str = "") -> list[Word]:
    """All strings and imports of a file. Raises `ValueError` with the reason when it cannot be read."""
    if language == "notebook":
        return _notebook(source)
    if any(len(line) > LONG_LINE for line in source.splitlines()) and language != "config":
        raise ValueError("lines over 5,000 characters: minified or generated")
    if language == "python":
        return _python(source)
    return javascript.read(source, suffix) if language == "javascript" else _config(source)


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
        kept = [line if line.lstrip()[:1] not in ("%", "!", "?") else "pass" for line in code.splitlines()]
        places = []
        for line in code.splitlines():
            written = json.dumps(line, ensure_ascii=False)[1:-1]
            place = (
                next((n for n in range(at, len(lines)) if written in lines[n]), None)
                if line.strip()
                else None
            )
            at = at if place is None else place
            places.append(at + 1)
            at += place is not None
        try:
            seen = _python("\n".join(kept))
        except ValueError:  # a cell of another language, or half a thought
            continue
        found.extend(word._replace(line=places[word.line - 1]) for word in seen)
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
