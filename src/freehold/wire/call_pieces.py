"""The calls of tools in a chat completion stream, which come in pieces.

OpenAI's API gives each call an index. Others begin every call under the same one, or tell none: what stands in front of
Gemini's API does (github.com/NousResearch/hermes-agent, pull request 12930; github.com/QuantumNous/new-api, 672). And
some tell the id and the name again with each piece, or as empty texts.
"""

from __future__ import annotations

from typing import Any


def place_of(calls: list[dict[str, Any]], piece: dict[str, Any]) -> int:
    """Which of the calls so far a piece is of, by its place among them; a piece that begins a call adds it, without
    what it says."""
    index = piece.get("index")
    place = len(calls) - 1
    while place >= 0 and index is not None and calls[place].get("index") != index:
        place -= 1
    if place < 0 or _begins_another(calls[place], piece):
        calls.append({"index": index})
        return len(calls) - 1
    return place


def note(call: dict[str, Any], piece: dict[str, Any]) -> None:
    """Keep of a piece what tells its call from the next: id, name, and that it has arguments."""
    known, function = call.setdefault("function", {}), piece.get("function") or {}
    call["id"] = piece.get("id") or call.get("id")
    for name in ("name", "arguments"):
        known[name] = function.get(name) or known.get(name)


def _begins_another(call: dict[str, Any], piece: dict[str, Any]) -> bool:
    """Whether a piece under the index of `call` begins a call of its own: it has another id, or, where ids are not
    told, a name though the call had its name and arguments."""
    if piece.get("id"):
        return call.get("id") not in (None, "", piece["id"])
    known, function = call.get("function") or {}, piece.get("function") or {}
    return bool(function.get("name") and known.get("name") and known.get("arguments"))
