"""Strings and imports of a source file, with their places.

Python is parsed (`ast`), JavaScript and TypeScript too (`javascript`). Of a notebook the code cells are read. Python
that does not parse (version 2, a template, an unfinished file) is read token by token as far as it goes.
Configuration (JSON, TOML, YAML, .env, shell, Dockerfile) is read as words outside comments.

Covered: string literals, concatenated Python strings, template literals without their expressions, imports.
Not covered: names assembled at run time, minified bundles (JavaScript with lines over 5,000
characters).
"""

from __future__ import annotations

import ast
import codecs
import io
import json
import re
import tokenize
from collections.abc import Iterator
from typing import Literal

from freehold.workflows.incumbent.scanning import javascript
from freehold.workflows.incumbent.scanning.word import Word

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


class PartlyReadError(ValueError):
    """A file that is not what its name says: `words` are those that were found."""

    def __init__(self, reason: str, words: list[Word]) -> None:
        super().__init__(f"{reason}: only its strings were read")
        self.words = words


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


def words(source: str, language: Language, suffix: str = "") -> list[Word]:
    """All strings and imports of a file. Raises `ValueError` with the reason when it cannot be read, and
    `PartlyReadError` when only its strings could be."""
    if language == "notebook":
        return _notebook(source)
    if language == "javascript" and any(len(line) > LONG_LINE for line in source.splitlines()):
        raise ValueError("lines over 5,000 characters: minified or generated")
    if language == "python":
        return _python(source)
    return javascript.read(source, suffix) if language == "javascript" else _config(source)


def _python(source: str) -> list[Word]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f" in line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        raise PartlyReadError(f"not valid Python ({message}{where})", list(_tokens(source))) from None
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


_IMPORT = re.compile(r"\s*(?:import\s+([\w.]+)|from\s+(\w[\w.]*)\s+import\b)")
_BETWEEN = (
    tokenize.NEWLINE,
    tokenize.NL,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.COMMENT,
    tokenize.ENCODING,
)


def _tokens(source: str) -> Iterator[Word]:
    """Strings and imports of Python that does not parse. A string that stands alone on its line is documentation."""
    alone = True
    held: tokenize.TokenInfo | None = None
    lines: set[int] = set()
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if held is not None and token.type not in (tokenize.NEWLINE, tokenize.NL):
                yield from _string(held)
            held = None
            if token.type == tokenize.STRING and alone:
                held = token
            elif token.type == tokenize.STRING:
                yield from _string(token)
            elif alone and token.string in ("import", "from") and token.start[0] not in lines:
                lines.add(token.start[0])
                found = _IMPORT.match(token.line)
                if found is not None:
                    yield Word(found.group(1) or found.group(2), token.start[0], token.start[1] + 1, "import")
            alone = token.type in _BETWEEN
    except (tokenize.TokenError, SyntaxError):  # as far as it goes
        return


def _string(token: tokenize.TokenInfo) -> Iterator[Word]:
    try:
        value = ast.literal_eval(token.string)
    except (SyntaxError, ValueError):  # an f-string, or a prefix of Python 2
        value = token.string.lstrip("bBrRuUfF").strip("'\"")
    if isinstance(value, str):
        yield Word(value, token.start[0], token.start[1] + 1, "string")


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
        python_lines = [
            line if line.lstrip()[:1] not in ("%", "!", "?") else "pass" for line in code.splitlines()
        ]
        places = []
        for line in code.splitlines():
            written = json.dumps(line, ensure_ascii=False)[1:-1]
            row = (
                next((n for n in range(at, len(lines)) if written in lines[n]), None)
                if line.strip()
                else None
            )
            at = at if row is None else row
            places.append(at + 1)
            at += row is not None
        try:
            found_words = _python("\n".join(python_lines))
        except PartlyReadError:  # a cell in another language, or an unfinished one
            continue
        found.extend(word._replace(line=places[word.line - 1]) for word in found_words)
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
