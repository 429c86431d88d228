"""The rules of the house over the whole source: sizes of folders, files and functions, and a test for every file.

CONTRIBUTING.md says them in words. What the tests still find is listed in ``tests/remaining.toml``.
"""

import ast
import re
from collections import Counter
from fnmatch import fnmatch

import pytest
from tests.remaining import SOURCE, compare, source_files

MOST_FILES, MOST_LINES, MOST_FUNCTION_LINES, MOST_PARAMETERS = 20, 400, 80, 8
Function = ast.FunctionDef | ast.AsyncFunctionDef

LARGE_FOLDERS = {
    "types": "one noun a file; a reader looks a record up by its name",
}
"""Folders that may hold more files, each with its reason."""

TESTED_ELSEWHERE = {
    "*__main__.py": "two lines that call the command line",
    "store/migrations/*": "tests/store/test_tables.py compares what they leave with the tables",
    "engines/*/engine.py": "tests/engines/contract runs over every engine",
    "engines/*/child.py": "runs in a process of its own, which tests/engines/contract starts",
    "engines/*/options.py": "read by tests/engines/contract, as every option is",
    "licensing/rules/*": "tests/licensing/rules/test_rules.py runs over every rule",
    "training/worker.py": "runs in a process of its own, which tests/training/test_run.py starts",
    "gateway/worker.py": "runs in a process of its own, which all tests of a whole gateway start",
}
"""Files (by pattern) that need no test file of their name, each with its reason. Files without a function need none
either: records and tables have nothing that could be wrong by itself."""

REASON = re.compile(r"parameters|click passes", re.IGNORECASE)


def functions():
    """Every function of the source as ``path:Class.name`` and its node."""

    def below(node, names):
        for child in ast.iter_child_nodes(node):
            named = isinstance(child, Function | ast.ClassDef)
            inner = (*names, child.name) if named else names
            if isinstance(child, Function):
                yield ".".join(inner), child
            yield from below(child, inner)

    for file in source_files():
        for name, node in below(file.tree, ()):
            yield f"{file.place}:{name}", node


def parameters_of(node):
    names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def is_command(node):
    """Whether click calls it, with a parameter for each option."""
    return any(ast.unparse(decorator).startswith("click.") for decorator in node.decorator_list)


def does_something(node):
    """Whether a function has a body: the methods of a Protocol have a docstring only."""
    return any(not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant)) for s in node.body)


def folder_sizes():
    """Python files of each folder, besides its ``__init__``."""
    places = [file.place for file in source_files()]
    return Counter(place.rpartition("/")[0] for place in places if not place.endswith("__init__.py"))


def large_folders():
    sizes = folder_sizes()
    return Counter(
        {folder: 1 for folder, n in sizes.items() if n > MOST_FILES and folder not in LARGE_FOLDERS}
    )


def long_files():
    return Counter({file.place: 1 for file in source_files() if len(file.text.splitlines()) > MOST_LINES})


def long_functions():
    return Counter({n: 1 for n, node in functions() if node.end_lineno - node.lineno >= MOST_FUNCTION_LINES})


def many_parameters():
    return Counter(
        {
            name: 1
            for name, node in functions()
            if parameters_of(node) > MOST_PARAMETERS
            and not is_command(node)
            and not REASON.search(ast.get_docstring(node) or "")
        }
    )


def untested_files():
    """Files with functions, without ``tests/…/test_NAME.py`` at the mirrored place."""
    tests = SOURCE.parents[1] / "tests"
    places = dict.fromkeys(name.partition(":")[0] for name, node in functions() if does_something(node))
    return Counter(
        {
            place: 1
            for place in places
            if not place.endswith("__init__.py")
            and not any(fnmatch(place, pattern) for pattern in TESTED_ELSEWHERE)
            and not (tests / place).with_name(f"test_{place.rpartition('/')[2]}").exists()
        }
    )


RULES = {
    "folder of more than 20 files": large_folders,
    "file of more than 400 lines": long_files,
    "function of more than 80 lines": long_functions,
    "more than 8 parameters without a reason": many_parameters,
    "file without a test of its name": untested_files,
}


@pytest.mark.parametrize("rule", RULES)
def test_only_what_is_listed_is_left(rule):
    assert not compare(rule, RULES[rule]())


def test_what_is_new_and_what_is_mended_are_both_told(monkeypatch):
    monkeypatch.setattr("tests.remaining.listed", lambda rule: Counter({"a.py": 1, "b.py": 2}))
    assert not compare("rule", Counter({"a.py": 1, "b.py": 2}))
    told = compare("rule", Counter({"a.py": 2, "b.py": 1})).splitlines()
    assert [line.split(":")[1] for line in told] == [
        " new",
        " mended, strike it by `python -m tests.remaining`",
    ]


def test_exceptions_are_needed():
    places = [file.place for file in source_files()]
    assert not [pattern for pattern in TESTED_ELSEWHERE if not any(fnmatch(p, pattern) for p in places)]
    assert not [folder for folder in LARGE_FOLDERS if folder_sizes()[folder] <= MOST_FILES]
