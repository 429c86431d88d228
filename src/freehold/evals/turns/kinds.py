"""What one turn of an assistant is: calls, a refusal, or words.

Covered: calls as the chat API returns them, calls written out as text, references as accepted values (`tool_call`).
Not covered: what stands beside a call; refusals in languages other than English, German, French and Spanish, unless
their words are given.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from freehold.evals.json_text import NotJson, parse_json
from freehold.evals.tool_calls import BrokenCall, Call, plain_name, read_calls
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
