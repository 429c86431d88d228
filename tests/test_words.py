"""One word per idea: identifiers of the source don't use the banned ones (STYLE.md has the glossary)."""

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "freehold"
BANNED = re.compile(r"backend|provider|licence|finetuned_weights|challenger|champion", re.IGNORECASE)
ALLOWED = re.compile(r"^licences$|^claimed_licence$")  # the vocabulary of files that others write


def identifiers(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_identifiers_use_the_glossary(path):
    found = {name for name in identifiers(ast.parse(path.read_text())) if BANNED.search(name)}
    assert not {name for name in found if not ALLOWED.search(name)}


def test_file_names_use_the_glossary():
    assert not [path for path in SOURCE.rglob("*") if BANNED.search(path.name)]
