"""Strings and imports of Go, Java, Kotlin, C#, Ruby, PHP, Rust, shell and Terraform, from syntax trees (tree-sitter).

The grammars are packages of their own (extra `scan`), each a few hundred kB and without a download at run time. Without
them `plain` reads these languages.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from freehold.workflows.incumbent.scanning import syntax
from freehold.workflows.incumbent.scanning.syntax import Grammar
from freehold.workflows.incumbent.scanning.word import Word

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

Parsed = Literal["go", "java", "kotlin", "csharp", "ruby", "php", "rust", "shell", "terraform"]


class _Package(NamedTuple):
    module: str
    function: str
    grammar: Grammar


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")


def _nothing(node: Node) -> list[tuple[str, Node]]:
    return []


def _go(node: Node) -> list[tuple[str, Node]]:
    path = node.child_by_field_name("path") if node.type == "import_spec" else None
    return [] if path is None else [(_text(path).strip('"`'), path)]


def _last_name(kinds: frozenset[str], statement: str, node: Node) -> list[tuple[str, Node]]:
    """The dotted name at the end of an import statement."""
    if node.type != statement:
        return []
    named = [child for child in node.named_children if child.type in kinds]
    return [(_text(named[-1]), named[-1])] if named else []


def _java(node: Node) -> list[tuple[str, Node]]:
    return _last_name(frozenset({"scoped_identifier", "identifier"}), "import_declaration", node)


def _kotlin(node: Node) -> list[tuple[str, Node]]:
    return _last_name(frozenset({"qualified_identifier", "identifier"}), "import", node)


def _csharp(node: Node) -> list[tuple[str, Node]]:
    return _last_name(frozenset({"qualified_name", "identifier"}), "using_directive", node)


def _php(node: Node) -> list[tuple[str, Node]]:
    if node.type != "namespace_use_clause":
        return []
    named = [child for child in node.named_children if child.type in ("qualified_name", "name")]
    return [(_text(named[0]), named[0])] if named else []


def _ruby(node: Node) -> list[tuple[str, Node]]:
    method = node.child_by_field_name("method") if node.type == "call" else None
    if method is None or _text(method) not in ("require", "gem"):
        return []
    arguments = node.child_by_field_name("arguments")
    strings = [] if arguments is None else [one for one in arguments.named_children if one.type == "string"]
    return [(_text(strings[0]).strip("'\""), strings[0])] if strings else []


def _rust(node: Node) -> list[tuple[str, Node]]:
    if node.type == "use_declaration":
        path = node.child_by_field_name("argument")
        return [] if path is None else [(_text(path).split("::{")[0], path)]
    name = node.child_by_field_name("name") if node.type == "extern_crate_declaration" else None
    return [] if name is None else [(_text(name), name)]


def _grammar(
    strings: str, contents: str, holes: str, imported: object, joins: dict[str, str] | None = None
) -> Grammar:
    assert callable(imported)
    return Grammar(
        frozenset(strings.split()),
        frozenset(contents.split()),
        frozenset(holes.split()),
        joins or {},
        imported,
    )


_PLUS = {"binary_expression": "+"}

PACKAGES: dict[Parsed, _Package] = {
    "go": _Package("tree_sitter_go", "language", _grammar(
        "interpreted_string_literal raw_string_literal",
        "interpreted_string_literal_content raw_string_literal_content escape_sequence", "", _go, _PLUS)),
    "java": _Package("tree_sitter_java", "language", _grammar(
        "string_literal", "string_fragment multiline_string_fragment escape_sequence", "string_interpolation",
        _java, _PLUS)),
    "kotlin": _Package("tree_sitter_kotlin", "language", _grammar(
        "string_literal multiline_string_literal", "string_content escape_sequence", "interpolation", _kotlin, _PLUS)),
    "csharp": _Package("tree_sitter_c_sharp", "language", _grammar(
        "string_literal verbatim_string_literal raw_string_literal interpolated_string_expression",
        "string_literal_content raw_string_content string_content escape_sequence", "interpolation", _csharp, _PLUS)),
    "ruby": _Package("tree_sitter_ruby", "language", _grammar(
        "string bare_string delimited_symbol heredoc_body", "string_content heredoc_content escape_sequence",
        "interpolation", _ruby, {"binary": "+"})),
    "php": _Package("tree_sitter_php", "language_php", _grammar(
        "string encapsed_string heredoc_body nowdoc_body", "string_content string_value nowdoc_string escape_sequence",
        "variable_name subscript_expression member_access_expression dynamic_variable_name", _php,
        {"binary_expression": "."})),
    "rust": _Package("tree_sitter_rust", "language", _grammar(
        "string_literal raw_string_literal", "string_content escape_sequence", "", _rust, _PLUS)),
    "shell": _Package("tree_sitter_bash", "language", _grammar(
        "string raw_string ansi_c_string concatenation word heredoc_body", "string_content heredoc_content",
        "expansion simple_expansion command_substitution arithmetic_expansion", _nothing)),
    "terraform": _Package("tree_sitter_hcl", "language", _grammar(
        "string_lit quoted_template heredoc_template", "template_literal", "template_interpolation", _nothing)),
}  # fmt: skip


@cache
def parser(language: Parsed) -> Parser | None:
    """The parser of a language, or None where its grammar is not installed."""
    from tree_sitter import Language, Parser

    package = PACKAGES[language]
    try:
        module = importlib.import_module(package.module)
        return Parser(Language(getattr(module, package.function)()))
    except (ImportError, AttributeError, ValueError):  # not installed, or made for another tree-sitter
        return None


def read(source: str, language: Parsed) -> list[Word] | None:
    """All strings and imports of a file, in order; None where the grammar is not installed."""
    found = parser(language)
    return None if found is None else list(syntax.words(found, source, PACKAGES[language].grammar))
