"""Tool calls read from answers and references, whatever their spelling."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any, NamedTuple

from freehold.evals.json_text import NotJson, parse_json
from freehold.evals.normalizing import unfenced


class Call(NamedTuple):
    """One call: function name and arguments by name."""

    name: str
    arguments: dict[str, Any]


class BrokenCall(ValueError):
    """Something that is meant as a call and can't be read as one."""


def read_calls(text: str) -> list[Call]:
    """The calls an answer makes; none for an answer in plain words. Raises `BrokenCall`.

    Read are OpenAI's ``tool_calls`` (arguments as JSON text), ``{"name", "arguments"}`` objects, ``{name:
    {argument: value}}`` objects, each alone or in a list, and Python calls (``[f(x=1), g()]``).
    """
    body = unfenced(text)
    if not body:
        return []
    try:
        value = parse_json(body)
    except NotJson as error:
        calls = _python_calls(body)
        if calls is None:
            if body[0] in "[{" and body.rstrip()[-1] in "]}" and '"' in body:
                raise BrokenCall(f"not valid JSON: {error}") from None
            return []
        return calls
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, dict) for one in values):
        return []
    return [_call(one) for one in values if one]


def plain_name(name: str) -> str:
    """A function's name as OpenAI's API allows it: dots are sent as underscores."""
    return name.replace(".", "_")


def declared_parameters(tools: Sequence[dict[str, Any]] | None) -> dict[str, dict[str, Any]]:
    """The JSON schema of each offered tool's arguments, by plain name."""
    found = {}
    for tool in tools or ():
        function = tool.get("function", tool) if isinstance(tool, dict) else None
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            parameters = function.get("parameters")
            found[plain_name(function["name"])] = parameters if isinstance(parameters, dict) else {}
    return found


def _call(value: dict[str, Any]) -> Call:
    inner = value.get("function")
    if isinstance(inner, dict):
        value = inner
    if isinstance(value.get("name"), str):
        return Call(value["name"], _arguments(value.get("arguments", value.get("parameters"))))
    if len(value) == 1:
        ((name, arguments),) = value.items()
        return Call(name, _arguments(arguments))
    raise BrokenCall(f"an object with the keys {', '.join(value)} is not a call")


def _arguments(value: Any) -> dict[str, Any]:
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except NotJson as error:
            raise BrokenCall(f"arguments are not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise BrokenCall("arguments are not a JSON object")
    return value


def _python_calls(text: str) -> list[Call] | None:
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    nodes = tree.elts if isinstance(tree, ast.List | ast.Tuple) else [tree]
    if not nodes or not all(isinstance(node, ast.Call) for node in nodes):
        return None
    calls = []
    for node in nodes:
        assert isinstance(node, ast.Call)
        if node.args:
            raise BrokenCall("an argument has no name")
        arguments = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                raise BrokenCall("an argument has no name")
            try:
                arguments[keyword.arg] = ast.literal_eval(keyword.value)
            except (ValueError, TypeError, RecursionError, MemoryError):
                arguments[keyword.arg] = ast.unparse(keyword.value)  # a variable: compared as its name
        calls.append(Call(ast.unparse(node.func), arguments))
    return calls
