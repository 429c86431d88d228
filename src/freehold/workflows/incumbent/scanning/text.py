"""Strings and imports of source code, by patterns over its text, with their places.

One reader serves all languages: a table says what a comment, a string and an import look like in each. Strings joined
by an operator are one word, and what is filled into a string is a hole; the strings inside a hole are read, too.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Literal, NamedTuple

from freehold.catalog.retirements import HOLE
from freehold.workflows.incumbent.scanning import config, constants
from freehold.workflows.incumbent.scanning.word import Word

Code = Literal["python", "javascript", "go", "java", "kotlin", "csharp", "ruby", "php", "rust"]

MAX_PIECES = 100
"""What consists of more pieces than this is data, not a name."""

_SLASHES = r"//[^\n]*|/\*.*?(?:\*/|\Z)"
_HASHES = r"(?<![\w$#{])#(?!\{)[^\n]*"
_INSIDE = r"\{(?:[^{}]|\{[^{}]*\})*+\}"
_TRIPLE = r"\"\"\"(?P<triple>.*?)(?:\"\"\"|\Z)|'''(?P<triple1>.*?)(?:'''|\Z)"
_DOUBLE = rf"\"(?P<double>(?>\\.|[$#]{_INSIDE}|[^\"\\\n])*+)\""
_BACKTICK = rf"`(?P<back>(?>\\.|\${_INSIDE}|[^`\\])*+)`"
_SINGLE = r"(?:(?<!\w)|(?<=\b[bBfFrRuU])|(?<=\b[bBfFrR]{2}))'(?P<single>(?:\\.|[^'\\\n])*+)'"
_CHARACTER = r"'(?:\\[^'\n]{1,9}|[^'\\\n])'"
_REGEX = r"(?<=[(,=:\[!&|?{};])\s*/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*+\]|[^/\\\[\n])++/"
_PREFIX = r"(?P<prefix>(?<!\w)[bBfFrRuU]{1,2}|[$@]{1,2}(?=\"))?"
_CONSTANT = rf"(?<![\w.])(?P<constant>{constants.PATTERN})"
_RAW = r"\br(?P<hashes>#+)\"(?P<raw>.*?)\"(?P=hashes)"


def _tokens(comment: str, *others: str) -> re.Pattern[str]:
    return re.compile("|".join((f"(?P<comment>{comment})", *others)), re.DOTALL)


_TOKENS: dict[Code, re.Pattern[str]] = {
    "python": _tokens(r"#[^\n]*", f"{_PREFIX}(?:{_TRIPLE}|{_DOUBLE}|{_SINGLE})"),
    "javascript": _tokens(f"{_SLASHES}|{_REGEX}", _BACKTICK, _DOUBLE, _SINGLE),
    "go": _tokens(f"{_SLASHES}|{_CHARACTER}", _BACKTICK, _DOUBLE, _CONSTANT),
    "java": _tokens(f"{_SLASHES}|{_CHARACTER}", _TRIPLE, _DOUBLE, _CONSTANT),
    "kotlin": _tokens(f"{_SLASHES}|{_CHARACTER}", _TRIPLE, _DOUBLE, _CONSTANT),
    "csharp": _tokens(f"{_SLASHES}|{_CHARACTER}", f"{_PREFIX}(?:{_TRIPLE}|{_DOUBLE})", _CONSTANT),
    "ruby": _tokens(_HASHES, _DOUBLE, _SINGLE),
    "php": _tokens(f"{_SLASHES}|{_HASHES}", _DOUBLE, _SINGLE),
    "rust": _tokens(f"{_SLASHES}|{_CHARACTER}", _RAW, _DOUBLE),
}
_IMPORTS: dict[Code, re.Pattern[str]] = {
    "python": re.compile(
        r"(?:^|[;:])[ \t]*(?P<at>import|from)[ \t]+(?P<name>\w[\w.]*)"
        r"(?P<more>(?:[ \t]*,[ \t]*[\w.]+)*)(?:[ \t]+import[ \t]*(?P<names>\([^)]*\)|[^\n]*))?",
        re.MULTILINE,
    ),
    "javascript": re.compile(r"\b(?:from|import|require)\s*\(?\s*(?P<at>[\"'])(?P<name>[^\"'\n]+)[\"']"),
    "go": re.compile(
        r"^import\s*(?:\w+\s+)?(?P<at>\")(?P<name>[^\"\n]+)\""
        r"|^[ \t]+(?:[\w.]+[ \t]+)?(?P<at1>\")(?P<name1>[\w./-]+)\"[ \t]*(?://.*)?$",
        re.MULTILINE,
    ),
    "java": re.compile(r"^\s*import\s+(?:static\s+)?(?P<name>[\w.]+)", re.MULTILINE),
    "kotlin": re.compile(r"^\s*import\s+(?P<name>[\w.]+)", re.MULTILINE),
    "csharp": re.compile(
        r"^\s*(?:global\s+)?using\s+(?:static\s+)?(?:\w+\s*=\s*)?(?P<name>[\w.]+)\s*;", re.MULTILINE
    ),
    "ruby": re.compile(r"^\s*(?:require|gem)\s*\(?\s*(?P<at>[\"'])(?P<name>[^\"'\n]+)[\"']", re.MULTILINE),
    "php": re.compile(r"^\s*use\s+(?:function\s+|const\s+)?\\?(?P<name>[\w\\]+)", re.MULTILINE),
    "rust": re.compile(
        r"^\s*(?:pub\s+)?(?:use|extern\s+crate)\s+(?P<name>[\w:]+?)(?:::\{|\s|;)", re.MULTILINE
    ),
}
_FILLED = re.compile(rf"[$#]{_INSIDE}|\{{\$[^{{}}\n]*\}}")
_FILLED_FORMAT = re.compile(rf"[$#]?{_INSIDE}")
_PLUS = r"\s*\+\s*(?:(?P<hole>[\w.]+)\s*\+\s*)?"
_JOINED: dict[str, re.Pattern[str]] = {
    "python": re.compile(rf"{_PLUS}|\s*"),
    "ruby": re.compile(rf"{_PLUS}|\s*"),
    "php": re.compile(r"\s*\.\s*(?:(?P<hole>\$\w+)\s*\.\s*)?"),
}
_PLUS_JOINED = re.compile(_PLUS)
_JOINED_BEFORE = re.compile(r"[\w)\]]\s*(?P<sign>[+.])\s*$")
_JOINED_AFTER = re.compile(r"\s*(?P<sign>[+.])\s*[\w($]")
_AROUND = 80
"""How far a string is looked back from, for an operator."""
_SCRIPT = re.compile(r"(<script\b[^>]*>)(.*?)(</script>|\Z)", re.DOTALL | re.IGNORECASE)
_MARKUP_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_QUOTED = re.compile(r"""["']([^"'\n]*)["']""")
PAGES = (".vue", ".svelte", ".html", ".htm")


class _Piece(NamedTuple):
    start: int
    end: int
    text: str


def read(source: str, language: Code) -> list[Word]:
    """All strings and imports, in order, and the models that longer strings set (a request's body). Lines and columns
    count from 1."""
    starts = [0, *accumulate(len(line) + 1 for line in source.split("\n"))]

    def place(at: int) -> tuple[int, int]:
        line = bisect_right(starts, at)
        return line, at - starts[line - 1] + 1

    covered: list[tuple[int, int]] = []
    strings = list(_strings(source, language, 0, len(source), covered))
    imports = list(_imports(source, language, covered))
    taken = {at for at, _ in imports}
    found = [Word(name, *place(at), "import") for at, name in imports]
    for piece in strings:
        if piece.start not in taken:
            word = Word(piece.text, *place(piece.start), "string")
            found.append(word)
            if "odel" in piece.text:
                found.extend(config.embedded(word))
    return sorted(found, key=lambda word: (word.line, word.column))


def read_page(source: str) -> list[Word]:
    """Of a page or a component the scripts, and the quoted values of its markup."""
    found: list[Word] = []
    markup = source
    for match in _SCRIPT.finditer(source):
        begin, end = match.span(2)
        found.extend(read(_blank(source[:begin]) + source[begin:end], "javascript"))
        markup = markup[: match.start()] + _blank(match.group()) + markup[match.end() :]
    markup = _MARKUP_COMMENT.sub(lambda match: _blank(match.group()), markup)
    for number, line in enumerate(markup.split("\n"), 1):
        found.extend(
            Word(match.group(1), number, match.start() + 1, "string") for match in _QUOTED.finditer(line)
        )
    return sorted(found, key=lambda word: (word.line, word.column))


def _blank(text: str) -> str:
    """The same lines and columns, blank."""
    return re.sub(r"[^\n]", " ", text)


def _strings(
    source: str, language: Code, start: int, end: int, covered: list[tuple[int, int]]
) -> Iterator[_Piece]:
    """The strings of a part of the source, joined where the code joins them. `covered` takes the places of comments
    and strings, where nothing is imported."""
    chain: list[_Piece] = []
    at, depth = start, 0
    for match in _TOKENS[language].finditer(source, start, end):
        kind = match.lastgroup or "comment"
        if start == 0 and kind != "constant":
            covered.append(match.span())
        between = source[at : match.start()]
        at = match.end()
        if language == "python":
            depth += sum(between.count(sign) for sign in "([{") - sum(between.count(sign) for sign in ")]}")
        if kind == "constant":
            model = constants.model_of(match.group(kind))
            if model is not None:
                yield _Piece(match.start(), match.end(), model)
        if kind in ("comment", "constant") or (depth == 0 and _is_documentation(source, match, language)):
            yield from _joined(source, language, chain)
            chain = []
            continue
        prefix = match.groupdict().get("prefix") or ""
        filled = _FILLED_FORMAT if set(prefix) & set("fF$") else _FILLED
        for hole in filled.finditer(source, *match.span(kind)):
            yield from _strings(source, language, hole.start() + 1, hole.end(), covered)
        piece = _Piece(match.start(), match.end(), filled.sub(HOLE, match.group(kind)))
        joined = _JOINED.get(language, _PLUS_JOINED).fullmatch(between) if chain else None
        if joined is None:
            yield from _joined(source, language, chain)
            chain = []
        elif joined.group("hole"):
            chain.append(_Piece(match.start(), match.start(), HOLE))
        chain.append(piece)
    yield from _joined(source, language, chain)


def _is_documentation(source: str, match: re.Match[str], language: Code) -> bool:
    """Does a string of Python stand alone as a statement? It says what a model was, not that it is called."""
    if language != "python":
        return False
    before = source[source.rfind("\n", 0, match.start()) + 1 : match.start()]
    return not before.strip() and re.compile(r"[ \t]*(?:[#;\n]|\Z)").match(source, match.end()) is not None


def _joined(source: str, language: Code, chain: list[_Piece]) -> Iterator[_Piece]:
    """Pieces as one word with what is joined to them; prose and data piece by piece."""
    if not chain:
        return
    text = "".join(piece.text for piece in chain)
    if len(chain) > MAX_PIECES or re.search(r"\s", text):
        yield from (piece for piece in chain if piece.text != HOLE)
        return
    first, last = chain[0], chain[-1]
    sign = "." if language == "php" else "+"
    before = _JOINED_BEFORE.search(source[max(0, first.start - _AROUND) : first.start])
    after = _JOINED_AFTER.match(source, last.end)
    begin = HOLE if before is not None and before.group("sign") == sign else ""
    end = HOLE if after is not None and after.group("sign") == sign else ""
    yield _Piece(first.start, last.end, f"{begin}{text}{end}")


def _imports(source: str, language: Code, covered: list[tuple[int, int]]) -> Iterator[tuple[int, str]]:
    """Imported names with their places; of a Python package that many share (`google`), what is taken from it."""
    begins = [begin for begin, _ in covered]
    for match in _IMPORTS[language].finditer(source):
        found = {
            name.rstrip("1"): (text, match.start(name)) for name, text in match.groupdict().items() if text
        }
        name, at = found["name"][0], found.get("at", found["name"])[1]
        before = bisect_right(begins, at - (source[at] in "\"'")) - 1
        if before >= 0 and at < covered[before][1]:
            continue  # in a comment or a string
        if language == "python" and "names" in found:
            taken = re.findall(r"(\w+)(?:\s+as\s+\w+)?", re.sub(r"#[^\n]*", "", found["names"][0]))
            yield from ((at, f"{name}.{one}") for one in taken if name in ("google", "llama_index"))
            if name not in ("google", "llama_index"):
                yield at, name
        elif language != "python" or source.startswith("import", at):
            yield at, name
            yield from ((at, one) for one in re.findall(r"[\w.]+", found.get("more", ("", 0))[0]))
