"""Strings and imports of JavaScript and TypeScript, from a syntax tree (tree-sitter).

The grammar for TSX reads JavaScript and JSX as well. Of a page, or a Vue or Svelte component, the `<script>`
elements are read, and
the quoted values of its markup. A file with errors in it is read as far as possible.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from freehold.workflows.incumbent.scanning import syntax
from freehold.workflows.incumbent.scanning.word import Word

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_SCRIPT = re.compile(r"(<script\b[^>]*>)(.*?)(</script>|\Z)", re.DOTALL | re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_VALUE = re.compile(r"""["']([^"'\n]*)["']""")


@cache
def _parser(grammar: str) -> Parser:
    import tree_sitter_typescript
    from tree_sitter import Language, Parser

    known = {
        "tsx": tree_sitter_typescript.language_tsx,
        "typescript": tree_sitter_typescript.language_typescript,
    }
    return Parser(Language(known[grammar]()))


def read(source: str, suffix: str) -> list[Word]:
    """All strings, and imported modules, in order. Lines and columns from 1."""
    if suffix in (".vue", ".svelte", ".html", ".htm"):
        return sorted(_component(source), key=lambda word: (word.line, word.column))
    grammar = "typescript" if suffix in (".ts", ".mts", ".cts") else "tsx"
    return list(_words(source, grammar))


def _component(source: str) -> Iterator[Word]:
    markup = source
    for match in _SCRIPT.finditer(source):
        typed = re.search(r"""lang\s*=\s*["']?ts\b""", match.group(1)) is not None
        begin, end = match.span(2)
        yield from _words(_blank(source[:begin]) + source[begin:end], "typescript" if typed else "tsx")
        markup = markup[: match.start()] + _blank(match.group()) + markup[match.end() :]
    markup = _COMMENT.sub(lambda match: _blank(match.group()), markup)
    for number, line in enumerate(markup.splitlines(), 1):
        for match in _VALUE.finditer(line):
            yield Word(match.group(1), number, match.start() + 1, "string")


def _blank(text: str) -> str:
    """The same lines and columns, blank."""
    return re.sub(r"[^\n]", " ", text)


def _words(source: str, grammar: str) -> Iterator[Word]:
    return syntax.words(_parser(grammar), source, _STRINGS)


def _imported(node: Node) -> list[tuple[str, Node]]:
    """The module that a string names, if it names one."""
    if node.type != "string" or not _imports(node):
        return []
    return [((node.text or b"").decode("utf-8", "replace").strip("'\""), node)]


def _imports(node: Node) -> bool:
    """Does the string name a module: ``import … from "x"``, ``export … from``, ``require("x")``, ``import("x")``?"""
    above = node.parent
    if above is None:
        return False
    if above.type in ("import_statement", "export_statement", "import_require_clause"):
        return True
    call = above.parent
    if above.type != "arguments" or call is None or call.type != "call_expression":
        return False
    called = call.child_by_field_name("function")
    return called is not None and (called.text or b"") in (b"require", b"import")


_STRINGS = syntax.Grammar(
    strings=frozenset({"string", "template_string"}),
    contents=frozenset({"string_fragment", "escape_sequence"}),
    holes=frozenset({"template_substitution"}),
    joins={"binary_expression": "+"},
    imported=_imported,
)
