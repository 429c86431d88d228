"""What one turn of an assistant is (calls, a refusal, words), and which arguments of calls are the same.

Covered: calls as the chat API returns them, calls written out as text, references as accepted values (`tool_call`).
Not covered: what stands beside a call; refusals in languages other than English, German, French and Spanish, unless
their words are given.

Covered: values that a caller need not send (a schema's ``default``, null where the argument is optional), numbers by
value and within a tolerance, the case of a choice (``enum`` of texts), objects and lists to any depth, local ``$ref``,
``anyOf``/``oneOf``, lists whose order is said not to count.
Not covered: what a value means to the tool ("tomorrow" and a date), references to other files.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from freehold.evals.text import (
    BrokenCall,
    Call,
    Fault,
    NotJson,
    first_unmatched,
    parse_json,
    plain_name,
    read_calls,
)
from freehold.types.dataset import Sample

TurnKind = Literal["call", "parallel calls", "refusal", "text", "no call"]
REFUSED = "refusal"
"""The field of a sample's metadata that marks a recorded answer as a refusal, where the API said so."""

_REFUSAL = re.compile(
    r"\bI ?(?:can(?:no|['’]?)t|can not|won['’]?t|will not|(?:am|['’]m) (?:not able|unable)) (?:to )?"
    r"(?:help|assist|comply|do (?:that|this)|provide|share|disclose|discuss|reveal|fulfil|support|engage|create|"
    r"generate|answer (?:that|this)|continue with|write|give (?:out|you)|recommend|advise)"
    r"|\b(?:against|violates?) (?:my|our|the) (?:guidelines|polic(?:y|ies))"
    r"|\bkann (?:ich )?(?:(?:Ihnen|dir|dabei|damit|das|leider) )*nicht (?:helfen|weitergeben|beantworten)"
    r"|\bje ne peux pas (?:vous aider|t['’]aider|répondre|fournir|partager)"
    r"|\bno puedo (?:ayudar|proporcionar|compartir|responder)"
)
_BEGINNING = 240
"""Characters in which a refusal says that it is one: what comes later is about something else."""


class Turn(NamedTuple):
    """A turn as it was read. `accepted` says that the reference lists accepted values rather than one call."""

    kind: TurnKind
    text: str
    calls: tuple[Call, ...] = ()
    accepted: bool = False


def refusal_pattern(more: Sequence[str] = ()) -> re.Pattern[str]:
    """What a refusal says in its first sentences, with `more` patterns. Raises `re.error` for one that is none."""
    return re.compile("|".join(f"(?:{one})" for one in (_REFUSAL.pattern, *more)), re.IGNORECASE)


def refuses(text: str, pattern: re.Pattern[str]) -> bool:
    """Whether a text declines to do what was asked."""
    return pattern.search(text[:_BEGINNING]) is not None


def api_calls(text: str) -> tuple[Call, ...]:
    """The calls of an answer as the chat API returns them; none for words. Raises `BrokenCall`."""
    listed = _listed(text)
    if not listed or not all(isinstance(one, dict) and _function(one) for one in listed):
        return ()
    return tuple(read_calls(text))


def written_calls(text: str, offered: frozenset[str]) -> tuple[Call, ...]:
    """Calls of offered tools that an answer spells out in its text; none where it is words. Never raises."""
    try:
        calls = tuple(read_calls(text))
    except BrokenCall:
        return ()
    return calls if calls and all(plain_name(one.name) in offered for one in calls) else ()


def reference_turn(reference: str, sample: Sample, offered: frozenset[str], pattern: re.Pattern[str]) -> Turn:
    """The turn that is wanted. Never raises: a recorded call whose arguments are not JSON is kept as it stands."""
    text = reference.strip()
    if text in ("", "[]"):
        return Turn("no call", text)
    if accepted := _accepted(text, offered):
        return _calls(text, accepted, accepted=True)
    try:
        calls = api_calls(text) or _named(text) or written_calls(text, offered)
    except BrokenCall:
        calls = tuple(Call(str(_function(one)), {}) for one in _listed(text))
    if calls:
        return _calls(text, calls)
    marked = sample.metadata.get(REFUSED) is True and reference == sample.incumbent
    if marked or refuses(text, pattern):
        return Turn("refusal", text)
    return Turn("text", text)


def _calls(text: str, calls: tuple[Call, ...], *, accepted: bool = False) -> Turn:
    return Turn("call" if len(calls) == 1 else "parallel calls", text, calls, accepted)


def _accepted(text: str, offered: frozenset[str]) -> tuple[Call, ...]:
    """Calls as lists of accepted values, ``[{function: {argument: [values]}}]``: of offered tools, where those are
    known."""
    found = []
    for one in _listed(text):
        if not isinstance(one, dict) or len(one) != 1:
            return ()
        ((name, arguments),) = one.items()
        if offered and plain_name(name) not in offered:
            return ()
        if not isinstance(arguments, dict) or not all(isinstance(v, list) for v in arguments.values()):
            return ()
        found.append(Call(name, arguments))
    return tuple(found)


def _named(text: str) -> tuple[Call, ...]:
    """Calls as plain objects, ``[{"name": …, "arguments": {…}}]``. Raises `BrokenCall`."""
    listed = _listed(text)
    if listed and all(isinstance(one, dict) and {"name", "arguments"} <= one.keys() for one in listed):
        return tuple(read_calls(text))
    return ()


def _function(one: Any) -> str | None:
    """The name in a call as the chat API spells it."""
    function = one.get("function") if isinstance(one, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None


def _listed(text: str) -> list[Any]:
    if not text.lstrip().startswith("["):
        return []
    try:
        value = parse_json(text)
    except NotJson:
        return []
    return value if isinstance(value, list) else []


_DEEPEST = 40
_DROPPED = re.compile(r"[ ,./\-_*^]")
_ABSENT: Any = object()


class Leeway(NamedTuple):
    """What may differ between two values that count as equal.

    `tolerance` is relative to the expected number. `sets` and `ignored` are paths of arguments (``filter.tags``, lists
    add no part of their own): lists whose order does not count, and arguments that don't count at all. With `lenient`,
    texts are compared without case, spaces and ``,./-_*^``.
    """

    tolerance: float = 0.0
    sets: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()
    lenient: bool = False


_NONE = Leeway()


def difference(given: Any, expected: Any, schema: Any, leeway: Leeway = _NONE) -> Fault | None:
    """What of the `given` arguments differs from the `expected` ones; None where they mean the same to the tool.

    `schema` is the declaration's ``parameters``; without one, values are compared as JSON.
    """
    return _Comparer(schema, leeway).differ(given, expected, schema, (), 0)


class _Comparer:
    def __init__(self, root: Any, leeway: Leeway) -> None:
        self._root = root
        self._leeway = leeway

    def differ(
        self, given: Any, expected: Any, schema: Any, path: tuple[str, ...], depth: int
    ) -> Fault | None:
        if depth > _DEEPEST:
            return Fault("too_deep", _spelled(path))
        if ".".join(path) in self._leeway.ignored and path:
            return None
        schema = self._resolved(schema)
        ways = [one for key in ("anyOf", "oneOf") for one in schema.get(key) or ()]
        if ways:
            faults = [self.differ(given, expected, one, path, depth + 1) for one in ways]
            return None if None in faults else faults[_nearest(ways, expected)]
        if isinstance(given, float) and given.is_integer() and "integer" in _types(schema):
            given = int(given)  # JSON has one kind of number, and 2.0 is an integer to a JSON schema
        if not _is_of_type(given, schema) and _is_of_type(expected, schema):
            kind = "/".join(_types(schema))
            return Fault("wrong_type", f"{_spelled(path)} is {_kind(given)}, expected {kind}")
        if isinstance(given, dict) and isinstance(expected, dict):
            return self._objects(given, expected, schema, path, depth)
        if isinstance(given, list) and isinstance(expected, list):
            return self._lists(given, expected, schema, path, depth)
        if self._same(given, expected, schema):
            return None
        return Fault("wrong_value", f"{_spelled(path)} is {_shown(given)}, expected {_shown(expected)}")

    def _objects(
        self,
        given: dict[str, Any],
        expected: dict[str, Any],
        schema: dict[str, Any],
        path: tuple[str, ...],
        depth: int,
    ) -> Fault | None:
        properties = schema.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        listed = schema.get("required")
        required = set(map(str, listed)) if isinstance(listed, list) else set()
        others = schema.get("additionalProperties")
        for name in dict.fromkeys([*given, *expected]):
            inside = properties.get(name, others if isinstance(others, dict) else {})
            here = (*path, name)
            if ".".join(here) in self._leeway.ignored:
                continue
            one, other = given.get(name, _ABSENT), expected.get(name, _ABSENT)
            if one is _ABSENT or other is _ABSENT:
                told = other if one is _ABSENT else one
                if self._need_not_be_said(told, inside, name in required, here, depth):
                    continue
                if one is _ABSENT:
                    code = "missing_required" if name in required else "missing_argument"
                else:
                    code = "unexpected_argument"
                return Fault(code, _spelled(here))
            fault = self.differ(one, other, inside, here, depth + 1)
            if fault is not None:
                return fault
        return None

    def _need_not_be_said(
        self, told: Any, schema: Any, required: bool, path: tuple[str, ...], depth: int
    ) -> bool:
        """Whether leaving an argument out says what sending `told` says: its default, or null where it is optional."""
        if required:
            return False
        schema = self._resolved(schema)
        if "default" in schema:
            return self.differ(told, schema["default"], schema, path, depth + 1) is None
        return told is None

    def _lists(
        self,
        given: list[Any],
        expected: list[Any],
        schema: dict[str, Any],
        path: tuple[str, ...],
        depth: int,
    ) -> Fault | None:
        if len(given) != len(expected):
            return Fault("wrong_value", f"{_spelled(path)} has {len(given)} items, expected {len(expected)}")
        items = schema.get("items")
        if ".".join(path) in self._leeway.sets:
            return first_unmatched(
                [[self.differ(one, other, items, path, depth + 1) for one in given] for other in expected]
            )
        for one, other in zip(given, expected, strict=True):
            fault = self.differ(one, other, items, path, depth + 1)
            if fault is not None:
                return fault
        return None

    def _same(self, given: Any, expected: Any, schema: dict[str, Any]) -> bool:
        if isinstance(given, bool) or isinstance(expected, bool):
            return given is expected
        if isinstance(given, int | float) and isinstance(expected, int | float):
            allowed = self._leeway.tolerance * abs(expected)
            return given == expected or math.isclose(given, expected, rel_tol=0.0, abs_tol=allowed)
        if isinstance(given, str) and isinstance(expected, str):
            choices = schema.get("enum")
            if isinstance(choices, list) and choices and all(isinstance(one, str) for one in choices):
                return _choice(given, choices) == _choice(expected, choices)
            return self._text(given) == self._text(expected)
        return given is None and expected is None

    def _text(self, value: str) -> str:
        if self._leeway.lenient:
            return _DROPPED.sub("", value).casefold().replace("'", '"')
        return unicodedata.normalize("NFC", value).strip()

    def _resolved(self, schema: Any) -> dict[str, Any]:
        """The schema a local ``$ref`` points to; an empty one for anything else."""
        for _ in range(_DEEPEST):
            reference = schema.get("$ref") if isinstance(schema, dict) else None
            if not isinstance(reference, str) or not reference.startswith("#"):
                break
            found = self._root
            for part in reference.lstrip("#/").split("/"):
                found = found.get(part) if isinstance(found, dict) and part else found
            schema = found
        return schema if isinstance(schema, dict) else {}


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "float": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "dict": (dict,),
    "null": (type(None),),
}


def _types(schema: dict[str, Any]) -> list[str]:
    declared = schema.get("type")
    return [str(one) for one in (declared if isinstance(declared, list) else [declared]) if one is not None]


def _is_of_type(value: Any, schema: Any) -> bool:
    if not isinstance(schema, dict):
        return True
    known = [_TYPES[name] for name in _types(schema) if name in _TYPES]
    if not known or len(known) < len(_types(schema)):
        return True
    if isinstance(value, bool):
        return any(bool in kinds for kinds in known)
    return any(isinstance(value, kinds) for kinds in known)


def _nearest(ways: list[Any], expected: Any) -> int:
    """Of several schemas the first that the expected value is of, for a fault that says something."""
    return next((place for place, one in enumerate(ways) if _is_of_type(expected, one)), 0)


def _choice(value: str, choices: list[str]) -> str:
    """The choice a text names, whatever its case; the text itself where two choices differ by case alone."""
    found = [one for one in choices if one.strip().casefold() == value.strip().casefold()]
    return found[0] if len(found) == 1 else value


def _kind(value: Any) -> str:
    return next(
        name
        for name, kind in (
            ("a boolean", bool),
            ("an integer", int),
            ("a number", float),
            ("a text", str),
            ("a list", list),
            ("an object", dict),
            ("null", object),
        )
        if isinstance(value, kind)
    )


def _spelled(path: tuple[str, ...]) -> str:
    return ".".join(path) or "the arguments"


def _shown(value: Any) -> str:
    return f"{value!r:.40}"
