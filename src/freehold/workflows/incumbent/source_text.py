"""Strings and imports of a source text, with their places.

Code is read by patterns: one reader serves all languages, and a table says what a comment, a string and an import
look like in each. Strings joined by an operator are one word, and what is filled into a string is a hole; the
strings inside a hole are read, too.

SDKs have constants that stand for a model's id (`ChatModel.GPT_4O_MINI`, `openai.ChatModelGPT4oMini`), spelt as the
id without its signs: openai-java and anthropic-java in capitals, openai-go, anthropic-sdk-go and sashabaranov/go-
openai (which writes ``Dot``) in camel case. So a member of a type or package for models is compared with the known
names letter by letter; one that is like none of them is left out.

Of configuration (JSON, TOML, YAML, `.env`, ini, Dockerfile, shell, Terraform) a word is a value where it stands
alone between quotes, commas, brackets, or line ends, after an equals sign or colon, or after an option (`--model
gpt-4o`) or the word `model`. A word in the middle of a sentence is a mention, not a use.

Manifests (`package.json`, `requirements.txt`, `pyproject.toml`, `go.mod`, `Cargo.toml` and others) say which SDKs a
project declares.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from pathlib import PurePath
from typing import Literal, NamedTuple

from freehold.catalog import retirements
from freehold.catalog.retirements import HOLE
from freehold.workflows.incumbent.meaning import Word

CONSTANT_PATTERN = r"(?:\w+\.){1,6}[A-Z]\w*"
_MEMBER = re.compile(r"(?:\w+\s*\.\s*){0,5}(\w+)\s*\.\s*([A-Z]\w*)")
_CONSTANT_TYPE = re.compile(r"(?:\w*(?:Model|Models|ModelName|ModelId)|openai|anthropic)", re.IGNORECASE)
_CONSTANT_PREFIX = re.compile(r"(?:Chat|Embedding|Image|Audio|Speech)?Model(?=[A-Z_])")


def constant_model(expression: str) -> str | None:
    """The id that a qualified name stands for (`openai.GPT3Dot5Turbo` → ``gpt-3.5-turbo``), or None."""
    found = _MEMBER.fullmatch(expression)
    if found is None:
        return None
    owner, member = found.groups()
    bare = _CONSTANT_PREFIX.sub("", member, count=1)
    if bare == member and _CONSTANT_TYPE.fullmatch(owner) is None:
        return None
    letters = _letters(re.sub(r"(?<=\d)Dot(?=\d)", "", bare))
    if len(letters) < 4 and bare == member and owner not in ("ChatModel", "openai"):
        return None  # `PhoneModel.O1`
    return _by_letters().get(letters)


@cache
def _by_letters() -> dict[str, str]:
    """Ids of makers by their letters and digits. A host's spellings (`gpt-35-turbo`) are in no SDK's constants."""
    return {
        _letters(name): name
        for name in retirements.known_names()
        if re.search(r"\d", name) and _is_makers(name)
    }


def _is_makers(name: str) -> bool:
    served, rows = retirements.active_on(name), retirements.find(name)
    platforms = [row.platform for row in rows] + ([] if served is None else [served[0]])
    return not platforms or any(platform not in retirements.HOSTS for platform in platforms)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_COMMENT = re.compile(r"(?:^|\s)(?:#|//).*$")
_VARIABLE = re.compile(r"\$\{[^}]*\}|\{\{[^}]*\}\}|\$\w+|\$\([^)]*\)")
_WORD = re.compile(r"[^\s\"'`,;=()\[\]{}<>|]+")
_ALONE = re.compile(r"(?:^|[\"'`,;=\[{>|:\\])\s*(?:-\s+)?$")
_AFTER_OPTION = re.compile(r"(?:^|\s)(?:--?[\w-]+|\w*model\w*:?)\s+[\"']?$", re.IGNORECASE)
_KEY = re.compile(r"[\"']?\s*[:=]")
_BEFORE = 80
"""How far a word is looked back from: a file may be one line of two megabytes."""
_END = re.compile(r"\s*(?:$|[\"'`,;\]}<|\\&])")


def read_config(source: str) -> list[Word]:
    """All values of a configuration file, and its keys that stand alone before an equals sign or colon."""
    found: list[Word] = []
    for number, line in enumerate(source.splitlines(), 1):
        found.extend(config_values(_COMMENT.sub("", line), number))
    return found


def config_values(line: str, number: int, column: int = 0) -> list[Word]:
    """The values in one line. A variable (`${SIZE}`, `{{ size }}`) in a value is a hole."""
    text = _VARIABLE.sub(
        lambda match: HOLE + "\a" * (len(match.group()) - 1), line
    )  # places stay as they were
    found = []
    for match in _WORD.finditer(text):
        word = match.group()
        is_key = word.endswith(":") or _KEY.match(text, match.end()) is not None
        before = text[max(0, match.start() - _BEFORE) : match.start()]
        if match.start() > _BEFORE and not before.strip():
            continue  # after that much white space nothing is known of what stands before
        alone = _ALONE.search(before) is not None and _END.match(text, match.end()) is not None
        if is_key or alone or _AFTER_OPTION.search(before) is not None:
            found.append(
                Word(word.replace("\a", "").rstrip(":"), number, column + match.start() + 1, "string")
            )
    return found


_MODEL_KEY = re.compile(
    r"(?:\b|(?<=\\[nrt]))model(?:_?name|_?id)?\\?[\"']?\s*[:=]\s*\\?[\"']([\w.:/@+-]+)", re.IGNORECASE
)


def embedded(word: Word) -> list[Word]:
    """Models that a longer string sets, as a request's body does: ``{"model": "gpt-4o"}``."""
    found = []
    for match in _MODEL_KEY.finditer(word.text):
        before = word.text[: match.start(1)]
        line = before.count("\n")
        column = len(before) - before.rfind("\n") if line else word.column
        found.append(Word(match.group(1), word.line + line, column, "string"))
    return found


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
_CONSTANT = rf"(?<![\w.])(?P<constant>{CONSTANT_PATTERN})"
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


def read_code(source: str, language: Code) -> list[Word]:
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
                found.extend(embedded(word))
    return sorted(found, key=lambda word: (word.line, word.column))


def read_page(source: str) -> list[Word]:
    """Of a page or a component the scripts, and the quoted values of its markup."""
    found: list[Word] = []
    markup = source
    for match in _SCRIPT.finditer(source):
        begin, end = match.span(2)
        found.extend(read_code(_blank(source[:begin]) + source[begin:end], "javascript"))
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
            model = constant_model(match.group(kind))
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


_VERSION = r"(?:[\^~<>=*\dv]|latest|npm:|workspace:|file:|git)"
_JSON = (re.compile(rf"^\s*\"([^\"]+)\"\s*:\s*\"{_VERSION}"),)
_PYPROJECT = (
    re.compile(r"[\"']([A-Za-z][\w.-]*)(?:\[[\w,-]*\])?\s*(?:[<>=!~;][^\"']*)?[\"']"),
    re.compile(rf"^\s*([A-Za-z][\w.-]*)\s*=\s*(?:\"{_VERSION}|\{{)"),  # Poetry and Pipenv
)
_MANIFESTS: dict[str, tuple[re.Pattern[str], ...]] = {
    "package.json": _JSON,
    "composer.json": _JSON,
    "pyproject.toml": _PYPROJECT,
    "pipfile": _PYPROJECT,
    "requirements": (re.compile(r"^\s*[\"']?([A-Za-z][\w.-]*)\s*(?:\[[\w,.\s-]*\])?\s*(?:[<>=!~;@,\"']|$)"),),
    "go.mod": (re.compile(r"^\s*(?:require\s+)?([\w.-]+\.[\w./-]+)\s+v"),),
    "cargo.toml": (re.compile(r"^\s*([\w-]+)\s*=\s*(?:\"[\d^~*=<>]|\{)"),),
    "gemfile": (re.compile(r"^\s*gem\s+[\"']([\w-]+)"),),
    "pom.xml": (re.compile(r"<groupId>([\w.]+)</groupId>"),),
    "gradle": (re.compile(r"[\"']([\w.]+):[\w.-]+:[^\"']+[\"']"),),
    "csproj": (re.compile(r"<PackageReference\s+Include=\"([\w.]+)\""),),
}
"""How each manifest names what it asks for, by lines: the first group is the package."""
_OF_PYTHON = ("pyproject.toml", "pipfile", "requirements")


def manifest_kind(name: str) -> str | None:
    """Which manifest a file is, by its name; None for others."""
    lower = PurePath(name).name.lower()
    if lower.startswith("requirements") and lower.endswith((".txt", ".in")):
        return "requirements"
    if lower.endswith((".gradle", ".gradle.kts")):
        return "gradle"
    return "csproj" if lower.endswith(".csproj") else lower if lower in _MANIFESTS else None


def read_manifest(source: str, kind: str) -> list[Word]:
    """The packages a manifest asks for, as imports: a Python or Rust package by the module it brings."""
    found = []
    for number, line in enumerate(source.splitlines(), 1):
        text = re.sub(r"(?:^|\s)#.*$", "", line) if kind in _OF_PYTHON else line
        for match in (match for pattern in _MANIFESTS[kind] for match in pattern.finditer(text)):
            name = match.group(1)
            if kind in _OF_PYTHON:
                name = module_of(name)
            elif kind == "cargo.toml":
                name = name.replace("-", "_")
            found.append(Word(name, number, match.start(1) + 1, "import"))
    return found


_MODULES = {
    "google-genai": "google.genai", "google-generativeai": "google.generativeai", "google-cloud-aiplatform": "vertexai",
    "llama-index": "llama_index", "semantic-kernel": "semantic_kernel",
}  # fmt: skip


def module_of(package: str) -> str:
    """The module of a Python package. LlamaIndex's parts are named after their place in it."""
    name = package.lower().replace("_", "-").replace(".", "-")
    part = re.fullmatch(r"llama-index-(llms|embeddings)-(.+)", name)
    if part:
        return f"llama_index.{part.group(1)}.{part.group(2).replace('-', '_')}"
    return _MODULES.get(name, name.replace("-", "_"))
