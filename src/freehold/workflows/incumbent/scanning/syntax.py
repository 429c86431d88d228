"""Strings of a syntax tree (tree-sitter), put together over concatenation and interpolation.

A `Grammar` says which nodes of a language are strings, what is literal in them and what a hole, and how strings are
joined. `"gpt-4.1-" + size` is one word with a hole; a joined text with white space in it is prose, so its pieces are
given one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from freehold.catalog.retirements import HOLE
from freehold.workflows.incumbent.scanning.word import Word

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_QUOTES = re.compile(r"^[A-Za-z@$#]*(\"\"\"|'''|[\"'`])|(\"\"\"|'''|[\"'`])#*$")
MAX_PIECES = 100
"""What consists of more pieces than this is data, not a name."""


class Grammar(NamedTuple):
    """`joins`: type of node → operator that concatenates. `imported`: the names that a node imports, with the node of
    each; a string among them is no other word."""

    strings: frozenset[str]
    contents: frozenset[str]
    holes: frozenset[str]
    joins: dict[str, str]
    imported: Callable[[Node], list[tuple[str, Node]]]


class StringPiece(NamedTuple):
    """A literal, or a hole (`text` is `HOLE`) with the node in it, which may hold strings of its own."""

    text: str
    node: Node


def words(parser: Parser, source: str, grammar: Grammar) -> Iterator[Word]:
    """All strings and imports of a file, in order. Lines and columns from 1."""
    data = source.encode("utf-8", "replace")
    lines = data.split(b"\n")

    def placed(text: str, node: Node, *, imported: bool = False) -> Word:
        row, column = node.start_point
        before = lines[row][:column].decode("utf-8", "replace")
        return Word(text, row + 1, len(before) + 1, "import" if imported else "string")

    waiting = [parser.parse(data).root_node]
    taken: set[int] = set()
    while waiting:  # a stack, since a file may nest deeper than Python's
        node = waiting.pop()
        for name, at in grammar.imported(node):
            taken.add(at.id)
            yield placed(name, at, imported=True)
        pieces = None if node.id in taken else _pieces(node, grammar)
        if pieces is None:
            waiting.extend(reversed(node.children))
            continue
        text = "".join(piece.text for piece in pieces)
        if len(pieces) > MAX_PIECES or re.search(r"\s", text):
            for piece in pieces:
                if piece.text != HOLE:
                    yield placed(piece.text, piece.node)
        else:
            yield placed(text, node)
        waiting.extend(piece.node for piece in reversed(pieces) if piece.text == HOLE)


def _pieces(node: Node, grammar: Grammar) -> list[StringPiece] | None:
    """What a string, or strings joined, consist of; None for another expression."""
    if node.is_named and node.type in grammar.strings:
        return _parts(node, grammar)
    if not _joins(node, grammar):
        return None
    found: list[StringPiece] = []
    strings = 0
    for operand in _operands(node, grammar):
        parts = _parts(operand, grammar) if operand.type in grammar.strings else None
        strings += parts is not None
        found.extend([StringPiece(HOLE, operand)] if parts is None else parts)
    return found if strings else None


def _joins(node: Node, grammar: Grammar) -> bool:
    operator = grammar.joins.get(node.type)
    return operator is not None and any(child.type == operator for child in node.children)


def _operands(node: Node, grammar: Grammar) -> Iterator[Node]:
    """The operands of a chain, left to right, without those in parentheses taken apart."""
    rights: list[Node] = []
    while _joins(node, grammar):
        named = [child for child in node.children if child.is_named and "comment" not in child.type]
        if len(named) < 2:
            break
        rights.extend(reversed(named[1:]))
        node = named[0]
    yield node
    yield from reversed(rights)


def _parts(node: Node, grammar: Grammar) -> list[StringPiece]:
    found: list[StringPiece] = []
    literal = b""
    known = grammar.contents | grammar.holes | grammar.strings
    children = [child for child in node.named_children if child.type in known]
    if not children:
        text = (node.text or b"").decode("utf-8", "replace")
        return [StringPiece(_QUOTES.sub("", text), node)]
    for child in children:
        if child.type in grammar.strings:  # `gpt-"$size"` of a shell
            inner = _parts(child, grammar)
            if all(piece.text != HOLE for piece in inner):
                literal += "".join(piece.text for piece in inner).encode()
                continue
        if child.type in grammar.contents:
            literal += child.text or b""
            continue
        if literal:
            found.append(StringPiece(literal.decode("utf-8", "replace"), node))
        literal = b""
        found.append(StringPiece(HOLE, child))
    if literal:
        found.append(StringPiece(literal.decode("utf-8", "replace"), node))
    return found
