"""Two answers to one question, and what differs between them. Pure, and bounded whatever the answers hold."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Any, Literal

from freehold.evals.text import NotJson, parse_json
from freehold.types.record import Record

SHOWN_CHARACTERS = 6000
"""Of a text; what is longer is cut, and its whole length is said."""
COMPARED_WORDS = 300
"""Comparing takes the square of this in the worst case; longer texts are compared by lines."""
COMPARED_FIELDS = 80
_FIELD_CHARACTERS = 300
_WORD = re.compile(r"\s*\S+|\s+$")

Side = Literal["both", "incumbent", "candidate"]


class ClippedText(Record, frozen=True, kw_only=True):
    """A text as it is shown. `characters` is the length of all of it."""

    text: str
    characters: int


class AnswerPiece(Record, frozen=True, kw_only=True):
    """A part of the answers: in both, or in one."""

    side: Side
    text: str


class FieldChange(Record, frozen=True, kw_only=True):
    """A field of two JSON answers, by its path. None: the answer does not have it. `right` is the reference's."""

    path: str
    incumbent: str | None
    candidate: str | None
    right: str | None
    changed: bool


class AnswerDifference(Record, frozen=True, kw_only=True):
    """What differs: by field where both answers are JSON objects, else by words, or by lines where they are long."""

    pieces: tuple[AnswerPiece, ...] = ()
    fields: tuple[FieldChange, ...] = ()


def clipped(text: str | None, most: int = SHOWN_CHARACTERS) -> ClippedText | None:
    """The beginning of a text; None for none."""
    return None if text is None else ClippedText(text=text[:most], characters=len(text))


def difference(
    incumbent: str | None, candidate: str | None, reference: str | None = None
) -> AnswerDifference:
    """What differs between two answers, of which one may be missing."""
    one, other = incumbent or "", candidate or ""
    left, right = _object(one), _object(other)
    if left is not None and right is not None:
        return AnswerDifference(fields=_fields(left, right, _object(reference or "")))
    return AnswerDifference(pieces=_pieces(one[:SHOWN_CHARACTERS], other[:SHOWN_CHARACTERS]))


def _object(text: str) -> dict[str, str] | None:
    if len(text) > SHOWN_CHARACTERS or "{" not in text[:40]:
        return None
    try:
        value = parse_json(text)
    except NotJson:
        return None
    return _flat(value) if isinstance(value, dict) else None


def _flat(value: dict[str, Any]) -> dict[str, str]:
    """Leaves by path. The stack stands in for recursion: an answer may be nested as deeply as its writer liked."""
    found: dict[str, str] = {}
    stack: list[tuple[str, Any]] = [("", value)]
    while stack and len(found) < COMPARED_FIELDS:
        path, one = stack.pop()
        if isinstance(one, dict) and one:
            stack += [(f"{path}.{key}" if path else str(key), inner) for key, inner in reversed(one.items())]
        elif isinstance(one, list) and one:
            stack += [(f"{path}[{place}]", inner) for place, inner in reversed(list(enumerate(one)))]
        else:
            found[path[:_FIELD_CHARACTERS]] = _said(one)
    return found


def _said(value: Any) -> str:
    if isinstance(value, str):
        return value[:_FIELD_CHARACTERS]
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)[:_FIELD_CHARACTERS]


def _fields(
    left: dict[str, str], right: dict[str, str], reference: dict[str, str] | None
) -> tuple[FieldChange, ...]:
    known = reference or {}
    return tuple(
        FieldChange(
            path=path,
            incumbent=left.get(path),
            candidate=right.get(path),
            right=known.get(path),
            changed=left.get(path) != right.get(path),
        )
        for path in dict.fromkeys((*left, *right, *known))
    )


def _pieces(one: str, other: str) -> tuple[AnswerPiece, ...]:
    if one == other:
        return (AnswerPiece(side="both", text=one),) if one else ()
    left, right = _WORD.findall(one), _WORD.findall(other)
    if max(len(left), len(right)) > COMPARED_WORDS:
        left, right = one.splitlines(keepends=True), other.splitlines(keepends=True)
    before = _shared(left, right)
    after = _shared(left[before:][::-1], right[before:][::-1])
    pieces = [("both", left[:before])]
    middle = left[before : len(left) - after], right[before : len(right) - after]
    pieces += _middle(*middle)
    pieces.append(("both", left[len(left) - after :]))
    return tuple(AnswerPiece(side=side, text="".join(words)) for side, words in pieces if words)  # type: ignore[arg-type]


def _middle(left: list[str], right: list[str]) -> list[tuple[str, list[str]]]:
    if not left or not right or max(len(left), len(right)) > COMPARED_WORDS:
        return [("incumbent", left), ("candidate", right)]
    found: list[tuple[str, list[str]]] = []
    for kind, a, b, c, d in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if kind == "equal":
            found.append(("both", left[a:b]))
        else:
            found += [("incumbent", left[a:b]), ("candidate", right[c:d])]
    return found


def _shared(left: list[str], right: list[str]) -> int:
    """How many parts the beginnings have in common."""
    count = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        count += 1
    return count
