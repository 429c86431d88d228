"""The sizes of functions over the whole source, as CONTRIBUTING.md says them."""

import ast
import re

from tests.source import source_files

MOST_LINES, MOST_PARAMETERS = 80, 8
Function = ast.FunctionDef | ast.AsyncFunctionDef

REASON = re.compile(r"parameters|click passes", re.IGNORECASE)


def functions():
    """Every function of the source as ``path:name`` and its node."""
    for file in source_files():
        for node in ast.walk(file.tree):
            if isinstance(node, Function):
                yield f"{file.place}:{node.name}", node


def parameters_of(node):
    names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def is_command(node):
    """Whether it is a command, with a parameter for each option."""
    return any(
        ast.unparse(decorator).startswith(("operation(", "group(")) for decorator in node.decorator_list
    )


def test_no_function_has_more_than_80_lines():
    assert not [name for name, node in functions() if node.end_lineno - node.lineno >= MOST_LINES]


def test_more_than_8_parameters_have_a_reason():
    assert not [
        name
        for name, node in functions()
        if parameters_of(node) > MOST_PARAMETERS
        and not is_command(node)
        and not REASON.search(ast.get_docstring(node) or "")
    ]
