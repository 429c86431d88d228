"""How the source speaks: the glossary, one class a name, and plain English (STYLE.md has all three)."""

import ast
import io
import re
import tokenize
from collections import Counter
from functools import cache

import pytest
from tests.source import SOURCE, source_files

BANNED = re.compile(r"backend|provider|licence|finetuned_weights|challenger|champion", re.IGNORECASE)
ALLOWED = re.compile(r"^licences$|^claimed_licence$")  # the vocabulary of files that others write

ENGLISH = {
    "is no X": r"(?<!there )\bis no (?!longer\b|more\b|less\b|fewer\b|better\b|worse\b|other\b|such\b)[a-z]+\b",
    "anew": r"\banew\b",
    "nobody, somebody, whoever": r"\b(?:nobody|somebody|whoever)\b",
    "shall": r"\bshall\b",
    "so many": r"\bso many\b",
    "we, us, our": r"\b(?:we|us(?!\.[a-z])|ours?)\b",
}
"""Patterns of sentences over which a native reader trips, in either case. US is a country, and us.NAME a region."""


OTHERS_WORDS = {
    "OWN_MARK": "users write it in lineage files",
}
"""Constants that quote others, each with its reason."""


def identifiers(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def readable(node):
    """The nodes below one, without others' words: the arguments of `re.compile` and `OTHERS_WORDS`."""
    yield node
    pattern = isinstance(node, ast.Call) and ast.unparse(node.func) == "re.compile"
    quoted = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in OTHERS_WORDS
    if not (pattern or quoted):
        for child in ast.iter_child_nodes(node):
            yield from readable(child)


@cache
def prose():
    """Each source file's strings, docstrings and comments."""
    texts = {}
    for place, source, tree in source_files():
        strings = [node.value for node in readable(tree) if isinstance(node, ast.Constant)]
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
        texts[place] = [text for text in strings if isinstance(text, str)] + comments
    return texts


def unidiomatic(pattern):
    """Matches of a pattern by file."""
    seen = re.compile(pattern, re.IGNORECASE)
    return Counter(
        {
            place: n
            for place, texts in prose().items()
            if (n := sum(match.group() != "US" for text in texts for match in seen.finditer(text)))
        }
    )


def shared_class_names():
    """Public names that more than one class of the source bears."""
    names = Counter(
        node.name
        for file in source_files()
        for node in ast.walk(file.tree)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    return Counter({name: n for name, n in names.items() if n > 1})


@pytest.mark.parametrize("rule", ENGLISH)
def test_sentences_are_plain_english(rule):
    assert not unidiomatic(ENGLISH[rule])


def test_a_class_name_is_borne_once():
    assert not shared_class_names()


def test_identifiers_use_the_glossary():
    names = {(file.place, name) for file in source_files() for name in identifiers(file.tree)}
    assert not [(place, name) for place, name in names if BANNED.search(name) and not ALLOWED.search(name)]


def test_file_names_use_the_glossary():
    assert not [path for path in SOURCE.rglob("*") if BANNED.search(path.name)]


def test_constants_that_quote_others_are_there():
    assigned = {
        ast.unparse(node.targets[0])
        for file in source_files()
        for node in file.tree.body
        if isinstance(node, ast.Assign)
    }
    assert OTHERS_WORDS.keys() <= assigned
