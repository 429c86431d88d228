"""Text made comparable, JSON found in it, and tool calls read from it."""

from __future__ import annotations

import ast
import json
import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

_SEPARATORS = re.compile(r"[\s_\-]+")
_WRAPPING = " \t\n\"'`“”‘’«»*.,;:!()[]{}<>"
_FENCE = re.compile(r"\A\s*```[\w+-]*[ \t]*\n(.*?)\n?[ \t]*```\s*\Z", re.DOTALL)


def normalized_label(text: str) -> str:
    """A label without case, surrounding punctuation, and with ``_``, ``-`` and runs of spaces as one space."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _SEPARATORS.sub(" ", folded.strip(_WRAPPING)).strip(_WRAPPING)


def collapsed(text: str) -> str:
    """NFC text with runs of white space as one space and none around."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def unfenced(text: str) -> str:
    """What is inside when the whole text is one Markdown code fence, else the text; without outer space."""
    found = _FENCE.match(text)
    return (found.group(1) if found else text).strip()


class Fault(NamedTuple):
    """Why one call is not the expected one: a stable code, and details. `name_right`: it calls the right function."""

    code: str
    detail: str
    name_right: bool = True


def first_unmatched(faults: Sequence[Sequence[Fault | None]]) -> Fault | None:
    """Give every expected one a partner of its own; what is in the way where that cannot be, else None.

    ``faults[expected][given]`` is None where the two fit. By augmenting paths (H. W. Kuhn, "The Hungarian method for
    the assignment problem", 1955), so that the order of neither side counts.
    """
    taken: dict[int, int] = {}  # given -> expected

    def place(wanted: int, seen: set[int]) -> bool:
        for given, fault in enumerate(faults[wanted]):
            if fault is None and given not in seen:
                seen.add(given)
                if given not in taken or place(taken[given], seen):
                    taken[given] = wanted
                    return True
        return False

    for wanted in range(len(faults)):
        if not place(wanted, set()):
            free = [fault for given, fault in enumerate(faults[wanted]) if fault and given not in taken]
            found = free or [fault for fault in faults[wanted] if fault]
            # the one of the right name says best what went wrong
            return next((fault for fault in found if fault.name_right), found[0])
    return None


Accept = Literal["strict", "fenced", "anywhere"]


class NotJson(ValueError):
    """The text holds no JSON of the accepted form; the message says where it breaks."""


def parse_json(text: str, accept: Accept = "fenced") -> Any:
    """The JSON value an answer holds. Raises `NotJson`.

    ``strict``: the whole text. ``fenced``: the same, or one Markdown code fence around it. ``anywhere``: else
    the first object or array in the text. ``NaN`` and ``Infinity`` are not JSON (RFC 8259, section 6).
    """
    body = text.strip() if accept == "strict" else unfenced(text)
    try:
        return json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        if accept == "anywhere":
            decoder = json.JSONDecoder(parse_constant=_refuse)
            for start, character in enumerate(text):
                if character in "{[":
                    try:
                        return decoder.raw_decode(text, start)[0]
                    except RecursionError:
                        break  # what is nested in it is too deep as well, and trying it all takes a square of the time
                    except ValueError:
                        continue
        message = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise NotJson(message) from None


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def same(
    left: Any, right: Any, *, tolerance: float = 0.0, normalize: bool = False, ordered: bool = True
) -> bool:
    """Whether two JSON values mean the same.

    Numbers by value (``1`` and ``1.0``) within `tolerance` relative to the right one; booleans are not numbers; strings
    in NFC without outer space, or as labels with `normalize`; lists in order, lists of text as sets unless `ordered`.
    """
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right or math.isclose(left, right, rel_tol=0.0, abs_tol=tolerance * abs(right))
    if isinstance(left, str) and isinstance(right, str):
        return _text(left, normalize) == _text(right, normalize)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            same(left[key], right[key], tolerance=tolerance, normalize=normalize, ordered=ordered)
            for key in left
        )
    if isinstance(left, list) and isinstance(right, list):
        if not ordered and all(isinstance(label, str) for label in (*left, *right)):
            return {_text(label, normalize) for label in left} == {_text(label, normalize) for label in right}
        return len(left) == len(right) and all(
            same(one, other, tolerance=tolerance, normalize=normalize, ordered=ordered)
            for one, other in zip(left, right, strict=True)
        )
    return left is None and right is None


def without_nulls(value: Any) -> Any:
    """A JSON value without the keys whose value is null: an absent key and a null one mean the same."""
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


def _text(value: str, normalize: bool) -> str:
    return normalized_label(value) if normalize else unicodedata.normalize("NFC", value).strip()


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
