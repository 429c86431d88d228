"""`tool_call`: the answer calls the right functions with allowed arguments.

The rules are those of the Berkeley Function Calling Leaderboard's AST check for Python (Patil et al.; package
bfcl-eval 2026.3.23), so that published accuracies can be reproduced: calls in any order, an int where a float
is declared, strings without case, spaces and ``,./-_*^``, the empty string among the accepted values of an
argument that may be left out. Two differences: a list of no accepted values accepts every value of the declared
type, where that check accepts none (2 of the 258 user-written items could not be answered otherwise); and calls are
matched in the best way, where that check takes the first that fits (1 of 200 parallel items then depends on order).

Covered: function, argument names, types one level deep, values, parallel calls, no call at all.
Not covered: what the call does when it is run; declarations of Java and JavaScript types.
"""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

from freehold.evals.scorer import NO_REFERENCE, Options, Scorer, malformed, read_options, right, wrong
from freehold.evals.text import (
    BrokenCall,
    Call,
    Fault,
    NotJson,
    declared_parameters,
    first_unmatched,
    parse_json,
    plain_name,
    read_calls,
    same,
)
from freehold.types.dataset import Sample
from freehold.types.evaluation import Score


class ToolCallOptions(Options, frozen=True, kw_only=True):
    """`strings`: ``lenient`` ignores case, spaces and ``,./-_*^``, ``exact`` only outer space. ``auto``: lenient
    where the reference lists accepted values, exact where it is a recorded call. `ignore` names arguments that
    don't count."""

    strings: Literal["auto", "lenient", "exact"] = "auto"
    ignore: tuple[str, ...] = ()


class _Expected(NamedTuple):
    name: str
    accepted: dict[str, list[Any]]


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "float": (float, int),
    "number": (float, int),
    "double": (float, int),
    "boolean": (bool,),
    "array": (list,),
    "tuple": (list,),
    "dict": (dict,),
    "object": (dict,),
    "any": (str,),
}
_DROPPED = re.compile(r"[ ,./\-_*^]")


class ToolCallScorer(Scorer):
    """1 when every expected call is made and no other. A reference of ``[]`` (or empty) wants no call.

    Reasons: ``broken_call`` (format failure), ``no_call``, ``unexpected_call``, ``wrong_count``,
    ``wrong_function``, ``missing_required``, ``missing_argument``, ``unexpected_argument``, ``wrong_type``,
    ``wrong_item_type``, ``wrong_value``, ``wrong_key``. `parts` has ``function`` and ``arguments``.
    """

    name = "tool_call"
    binary = True
    needs_reference = True
    checks_parity = False

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = read_options(self.name, options, ToolCallOptions)

    async def score(self, sample: Sample, answer: str, reference: str | None) -> Score:
        if reference is None:
            return NO_REFERENCE
        try:
            expected, listed = _read_expected(reference)
        except (BrokenCall, NotJson) as error:
            return Score(value=None, reason=f"reference_not_calls: {error}")
        try:
            calls = read_calls(answer)
        except BrokenCall as error:
            return malformed(f"broken_call: {error}", function=0.0, arguments=0.0)
        if not expected:
            return (
                right()
                if not calls
                else wrong(f"unexpected_call: {calls[0].name}", function=0.0, arguments=0.0)
            )
        if not calls:
            return wrong("no_call", function=0.0, arguments=0.0)
        lenient = listed if self.options.strings == "auto" else self.options.strings == "lenient"
        fault = self._match(expected, calls, declared_parameters(sample.tools), lenient)
        if fault is None:
            return right(function=1.0, arguments=1.0)
        return wrong(f"{fault.code}: {fault.detail}", function=float(fault.name_right), arguments=0.0)

    def _match(
        self, expected: list[_Expected], calls: list[Call], declared: dict[str, dict[str, Any]], lenient: bool
    ) -> Fault | None:
        """Pair every expected call with a call of its own; what is in the way where that cannot be."""
        if len(calls) != len(expected):
            return Fault("wrong_count", f"{len(calls)} calls, expected {len(expected)}", False)
        return first_unmatched(
            [
                [self._fault(wanted, call, declared.get(plain_name(wanted.name)), lenient) for call in calls]
                for wanted in expected
            ]
        )

    def _fault(
        self, wanted: _Expected, call: Call, declaration: dict[str, Any] | None, lenient: bool
    ) -> Fault | None:
        if plain_name(call.name) != plain_name(wanted.name):
            return Fault("wrong_function", f"{call.name}, expected {wanted.name}", False)
        properties = (declaration or {}).get("properties") or {}
        given = {name: value for name, value in call.arguments.items() if name not in self.options.ignore}
        accepted = {
            name: values for name, values in wanted.accepted.items() if name not in self.options.ignore
        }
        for name in (declaration or {}).get("required") or ():
            if name not in given and name not in self.options.ignore and name in {*accepted, *properties}:
                return Fault("missing_required", name)
        for name, value in given.items():
            if name not in accepted or (properties and name not in properties):
                return Fault("unexpected_argument", name)
            fault = _value_fault(name, value, accepted[name], properties.get(name), lenient)
            if fault is not None:
                return fault
        for name, values in accepted.items():
            if name not in given and "" not in values:
                return Fault("missing_argument", name)
        return None


def _value_fault(
    name: str, value: Any, accepted: list[Any], declaration: dict[str, Any] | None, lenient: bool
) -> Fault | None:
    if isinstance(value, tuple):
        value = list(value)
    values = [one for one in accepted if not (isinstance(one, str) and one == "")] or accepted
    kinds = _kinds(declaration)
    if kinds and type(value) not in kinds:
        # a variable named in place of a value: then the accepted values are text where the type is not
        if not values or type(value) is not type(values[0]) or type(values[0]) in kinds:
            return Fault("wrong_type", f"{name} is {type(value).__name__}, expected {_spelled(declaration)}")
    elif not kinds and values and not any(_same_kind(value, one) for one in values):
        return Fault("wrong_type", f"{name} is {type(value).__name__}, expected {type(values[0]).__name__}")
    if not accepted:
        return None
    items = (declaration or {}).get("items")
    inner = _kinds(items if isinstance(items, dict) else None)
    if lenient and float in inner:
        inner = (float,)  # the leaderboard takes an int for a declared float, but not inside a list
    if isinstance(value, list) and inner and not all(type(one) in inner for one in value):
        known = [one for listed in values if isinstance(listed, list) for one in listed]
        if not all(any(type(one) is type(other) for other in known) for one in value):
            return Fault("wrong_item_type", f"{name} holds other than {_spelled(items)}")
    if any(_meets(value, one, lenient) for one in values):
        return None
    if isinstance(value, dict) and all(isinstance(one, dict) and set(value) - set(one) for one in values):
        return Fault("wrong_key", f"{name} has {', '.join(value)}")
    return Fault("wrong_value", f"{name} is {value!r:.60}")


def _meets(value: Any, accepted: Any, lenient: bool) -> bool:
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, str) and isinstance(accepted, str):
        return _text(value, lenient) == _text(accepted, lenient)
    if isinstance(value, dict) and isinstance(accepted, dict):
        return all(
            key in accepted
            and (
                any(_meets(one, other, lenient) for other in accepted[key])
                if isinstance(accepted[key], list)
                else _meets(one, accepted[key], lenient)
            )
            for key, one in value.items()
        ) and all(
            key in value or (isinstance(values, list) and "" in values) for key, values in accepted.items()
        )
    if isinstance(value, list) and isinstance(accepted, list):
        return len(value) == len(accepted) and all(
            _meets(one, other, lenient) for one, other in zip(value, accepted, strict=True)
        )
    return same(value, accepted)


def _read_expected(reference: str) -> tuple[list[_Expected], bool]:
    """The expected calls, and whether their arguments are lists of accepted values."""
    if not reference.strip():
        return [], True
    value = parse_json(reference)
    values = value if isinstance(value, list) else [value]
    if all(_lists_accepted(one) for one in values):
        return [_Expected(name, accepted) for one in values for name, accepted in one.items()], True
    calls = read_calls(reference)
    return [
        _Expected(call.name, {name: [_as_accepted(one)] for name, one in call.arguments.items()})
        for call in calls
    ], False


def _lists_accepted(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(value) == 1
        and all(
            isinstance(accepted, dict) and all(isinstance(one, list) for one in accepted.values())
            for accepted in value.values()
        )
    )


def _as_accepted(value: Any) -> Any:
    """A recorded value in the form of accepted ones: inside objects each value stands in a list."""
    if isinstance(value, dict):
        return {key: [_as_accepted(one)] for key, one in value.items()}
    return [_as_accepted(one) for one in value] if isinstance(value, list) else value


def _kinds(declaration: dict[str, Any] | None) -> tuple[type, ...]:
    declared = (declaration or {}).get("type")
    names = declared if isinstance(declared, list) else [declared]
    found: tuple[type, ...] = ()
    for name in names:
        found += (type(None),) if name == "null" else _TYPES.get(str(name).lower(), ())
    return found


def _spelled(declaration: Any) -> str:
    return str((declaration or {}).get("type", "another type"))


def _same_kind(value: Any, accepted: Any) -> bool:
    if isinstance(value, bool) or isinstance(accepted, bool):
        return type(value) is type(accepted)
    numbers = (int, float)
    return type(value) is type(accepted) or (isinstance(value, numbers) and isinstance(accepted, numbers))


def _text(value: str, lenient: bool) -> str:
    return _DROPPED.sub("", value).lower().replace("'", '"') if lenient else value.strip()
