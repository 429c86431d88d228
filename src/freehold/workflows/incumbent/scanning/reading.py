"""Strings and imports of a source file, with their places.

Python is parsed (`ast`), JavaScript and TypeScript too (`javascript`), and further languages where their grammars are
installed (`grammars`; else `plain`). Of a notebook the code cells are read. Python that does not parse (version 2, a
template, an unfinished file) is read token by token as far as it goes. Configuration is read as values (`config`).

Covered: string literals, strings joined or filled in (each unknown part is a hole), imports, declared packages.
Not covered: names that a program reads or looks up while it runs, minified bundles (JavaScript with lines over 5,000
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
from pathlib import PurePath
from typing import Literal, get_args

from freehold.catalog.retirements import HOLE
from freehold.workflows.incumbent.scanning import config, grammars, javascript, manifests, plain
from freehold.workflows.incumbent.scanning.grammars import Parsed
from freehold.workflows.incumbent.scanning.syntax import MAX_PIECES
from freehold.workflows.incumbent.scanning.unread import LOCK_FILES
from freehold.workflows.incumbent.scanning.word import Word

LONG_LINE = 5_000

Language = Literal["python", "javascript", "notebook", "config"] | Parsed

LANGUAGES: dict[str, Language] = {
    ".py": "python", ".pyi": "python", ".pyw": "python", ".ipynb": "notebook",
    ".js": "javascript", ".jsx": "javascript", ".mjs": "javascript",
    ".cjs": "javascript", ".ts": "javascript", ".tsx": "javascript", ".mts": "javascript", ".cts": "javascript",
    ".vue": "javascript", ".svelte": "javascript", ".html": "javascript", ".htm": "javascript",
    ".go": "go", ".java": "java", ".kt": "kotlin", ".kts": "kotlin", ".cs": "csharp", ".rb": "ruby", ".rake": "ruby",
    ".gemspec": "ruby", ".php": "php", ".rs": "rust", ".sh": "shell", ".bash": "shell", ".zsh": "shell",
    ".tf": "terraform", ".tfvars": "terraform", ".hcl": "terraform",
    ".json": "config", ".jsonc": "config", ".json5": "config", ".toml": "config", ".yaml": "config", ".yml": "config",
    ".env": "config", ".ini": "config", ".cfg": "config", ".conf": "config", ".properties": "config",
    ".gradle": "config",
    ".csproj": "config",
}  # fmt: skip

NAMES: dict[str, Language] = {
    "dockerfile": "config", ".env": "config", "requirements.txt": "config", "gemfile": "ruby", "rakefile": "ruby",
    "makefile": "config", "justfile": "config", "procfile": "config", "pipfile": "config", "go.mod": "config",
    "pom.xml": "config", ".envrc": "shell",
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


def words(source: str, language: Language, name: str = "") -> list[Word]:
    """All strings and imports of a file called `name`. Raises `ValueError` with the reason when it cannot be read, and
    `PartlyReadError` when only its strings could be."""
    manifest = manifests.kind_of(name)
    if manifest is not None:
        return sorted([*manifests.read(source, manifest), *config.read(source)], key=_place)
    if language == "notebook":
        return _notebook(source)
    if language == "javascript" and any(len(line) > LONG_LINE for line in source.splitlines()):
        raise ValueError("lines over 5,000 characters: minified or generated")
    if language == "python":
        return _with_embedded(_python(source))
    if language == "javascript":
        return _with_embedded(javascript.read(source, PurePath(name).suffix.lower()))
    if language == "config":
        return config.read(source)
    if any(len(line) > LONG_LINE * 20 for line in source.splitlines()):
        raise ValueError("lines over 100,000 characters: generated")
    parsed = grammars.read(source, language)
    found = plain.read(source, language) if parsed is None else parsed
    return _with_embedded(_shell(found) if language == "shell" and parsed is not None else found)


def is_plain(language: Language) -> bool:
    """Would this language be read without its grammar?"""
    return language in get_args(Parsed) and grammars.parser(language) is None


def _place(word: Word) -> tuple[int, int]:
    return word.line, word.column


def _with_embedded(found: list[Word]) -> list[Word]:
    """The words, and the models that longer strings among them set (a request's body)."""
    extra = [
        inner
        for word in found
        if word.kind == "string" and "odel" in word.text
        for inner in config.embedded(word)
    ]
    return sorted([*found, *extra], key=_place) if extra else found


def _shell(found: list[Word]) -> list[Word]:
    """An option with its value in one word (`--model=gpt-4o`) is two."""
    return [
        inner
        for word in found
        for inner in (
            config.values(word.text, word.line, word.column - 1)
            if re.match(r"--?[\w-]+=\S+$", word.text)
            else [word]
        )
    ]


def _python(source: str) -> list[Word]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f" in line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        raise PartlyReadError(f"not valid Python ({message}{where})", list(_tokens(source))) from None
    found: list[Word] = []
    taken: set[int] = set()
    for node in _walk(tree):
        match node:
            case ast.Constant(value=str() as text):
                if id(node) not in taken:
                    found.append(Word(text, node.lineno, node.col_offset + 1, "string"))
            case ast.JoinedStr() | ast.BinOp() | ast.Call():
                if id(node) not in taken:
                    found.extend(_joined(node, taken))
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                if node.body and isinstance(node.body[0], ast.Expr):
                    taken.add(
                        id(node.body[0].value)
                    )  # a docstring says what a model was, not that it is called
            case ast.Import():
                found.extend(
                    Word(name.name, node.lineno, node.col_offset + 1, "import") for name in node.names
                )
            case ast.ImportFrom(module=str() as module, level=0):
                found.extend(_imported_from(node, module))
    return sorted(found, key=_place)


_LOOKED_AT = (
    ast.Constant, ast.JoinedStr, ast.BinOp, ast.Call, ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef,
    ast.Import, ast.ImportFrom,
)  # fmt: skip


def _walk(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that are looked at, outer before inner: half the time of `ast.walk`."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, _LOOKED_AT):
            yield node
        for value in vars(node).values():
            if type(value) is list:
                waiting.extend(one for one in value if isinstance(one, ast.AST))
            elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context | ast.operator):
                waiting.append(value)


def _joined(node: ast.expr, taken: set[int]) -> Iterator[Word]:
    """A string put together, as one word; prose and data piece by piece; nothing for another expression. What was read
    is `taken`."""
    pieces = _pieces(node)
    left: ast.expr = node
    while isinstance(left, ast.BinOp) and isinstance(left.op, ast.Add):  # a part of the sum is not read again
        taken.add(id(left))
        if isinstance(left.right, ast.JoinedStr):
            taken.add(id(left.right))
        left = left.left
    if not pieces:
        return
    if isinstance(left, ast.JoinedStr):
        taken.add(id(left))
    literals = [(text, piece) for text, piece in pieces if text != HOLE]
    taken.update(id(piece) for _, piece in literals)
    text = "".join(text for text, _ in pieces)
    if len(pieces) <= MAX_PIECES and not re.search(r"\s", text):
        yield Word(text, node.lineno, node.col_offset + 1, "string")
    else:
        yield from (Word(text, piece.lineno, piece.col_offset + 1, "string") for text, piece in literals)


def _imported_from(node: ast.ImportFrom, module: str) -> list[Word]:
    """The module, or, of a package that many share (`google`), what is taken from it."""
    names = (
        [f"{module}.{name.name}" for name in node.names] if module in ("google", "llama_index") else [module]
    )
    return [Word(name, node.lineno, node.col_offset + 1, "import") for name in names]


_PERCENT = re.compile(r"%(?:\(\w+\))?[-+ 0#]*[\d.*]*[sdrif]")
_BRACES = re.compile(r"\{[^{}]*\}")
Pieces = list[tuple[str, ast.expr]]


def _pieces(node: ast.expr) -> Pieces | None:
    """What a string consists of that is joined (`+`), filled in (`%`, `format`) or an f-string: literals and holes;
    None for another expression."""
    match node:
        case ast.JoinedStr():
            return [
                (value.value, value)
                if isinstance(value, ast.Constant) and isinstance(value.value, str)
                else (HOLE, value)
                for value in node.values
            ]
        case ast.BinOp(op=ast.Mod(), left=ast.Constant(value=str() as text)):
            return [(_PERCENT.sub(HOLE, text), node.left)]
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str() as text) as literal, attr="format")):
            return [(_BRACES.sub(HOLE, text), literal)]
        case ast.BinOp(op=ast.Add()):
            return _sum(node)
    return None


def _sum(node: ast.BinOp) -> Pieces | None:
    operands: list[ast.expr] = []
    left: ast.expr = node
    while isinstance(left, ast.BinOp) and isinstance(left.op, ast.Add):
        operands.append(left.right)
        left = left.left
    found: Pieces = []
    strings = 0
    for operand in (left, *reversed(operands)):
        literal = operand.value if isinstance(operand, ast.Constant) else None
        inner = _pieces(operand) if isinstance(operand, ast.JoinedStr) else None
        strings += isinstance(literal, str) or inner is not None
        found.extend(inner or [(literal if isinstance(literal, str) else HOLE, operand)])
    return found if strings else None


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
    at = other = 0
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
        except PartlyReadError as error:  # a cell in another language, or an unfinished one
            found_words = error.words
            other += 1
        found.extend(word._replace(line=places[word.line - 1]) for word in found_words)
    if other:
        raise PartlyReadError(f"{other} of {len(codes)} code cells are not Python", found)
    return found
