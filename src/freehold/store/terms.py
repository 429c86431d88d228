"""What a trace is found by: its words and its tags, and what a search for words means.

A tag is one value of one field, behind a letter that names the field: tags are looked up in the same index as words.
Pure.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from freehold.errors import UsageError
from freehold.types.trace import Trace
from freehold.types.trace_search import TraceQuery

MOST_CHARACTERS = 20_000
"""Of one trace's text: the answer, then messages from the newest to the oldest."""
SLOW_MS = (100, 300, 1_000, 3_000, 10_000, 30_000)
_INSTRUCTIONS = ("system", "developer")
_USER_FIELDS = ("user", "user_id", "end_user", "customer", "customer_id")
_STATUS = re.compile(r"[1-9]\d\d")
_STATUS_CLASS = re.compile(r"[1-9]xx")
_PIECE = re.compile(r'"([^"]*)"?|(\S+)')
_WORD = re.compile(r"[^\W_]+")
_ASCII_PARTED = bytes(one if chr(one).isalnum() and one < 128 else 32 for one in range(256))
"""For `bytes.translate`: ASCII's letters and digits stay, all else is a space."""


class Phrase(NamedTuple):
    """Words that stand side by side; with `prefix` the last one is the beginning of a word."""

    words: tuple[str, ...]
    prefix: bool = False

    def is_said(self, words: str) -> bool:
        """Whether a text says it, given its words with a space between each two."""
        return f" {' '.join(self.words)}{'' if self.prefix else ' '}" in f" {words} "


def phrases_of(text: str) -> list[Phrase]:
    """What a search for `text` asks for, all of it. Raises `UsageError` where there is not a word in it."""
    found = []
    for quoted, bare in _PIECE.findall(text):
        words = tuple(words_in(quoted or bare))
        if words:
            found.append(Phrase(words, prefix=bare.endswith("*")))
    if not found:
        raise UsageError(
            f"there is not a word in {text!r} to look for", hint="words are letters and digits: --text refund"
        )
    return found


def words_in(text: str) -> list[str]:
    """The words of a text, letters and digits, as they are looked for."""
    if text.isascii():  # by far the most texts, and a tenth of the time
        return text.encode().translate(_ASCII_PARTED).decode().split()
    return _WORD.findall(text)


def text_of(trace: Trace) -> str:
    """What was asked and answered, newest first, without instructions, which all requests share."""
    pieces: list[str] = []
    left = MOST_CHARACTERS
    for piece in _pieces(trace):
        pieces.append(piece[:left])
        left -= len(piece)
        if left <= 0:
            break
    # PostgreSQL's text has no NUL.
    return "\n".join(pieces).replace("\0", " ")


def _pieces(trace: Trace) -> Iterator[str]:
    response, request = trace.response or {}, trace.request
    for choice in _dicts(response.get("choices")):
        if isinstance(choice.get("text"), str):
            yield choice["text"]
        if isinstance(choice.get("message"), dict):
            yield from _said(choice["message"])
    for message in reversed(list(_dicts(request.get("messages")))):
        if message.get("role") not in _INSTRUCTIONS:
            yield from _said(message)
    yield from _strings(request.get("prompt"))
    yield from _strings(request.get("input"))


def _said(message: dict[str, Any]) -> Iterator[str]:
    yield from _strings(message.get("content"))
    yield from _strings(message.get("refusal"))
    for call in _dicts(message.get("tool_calls")):
        function = call.get("function")
        if isinstance(function, dict):
            yield from (str(function[name]) for name in ("name", "arguments") if function.get(name))


def _strings(value: Any) -> Iterator[str]:
    """A text, a list of texts, or content parts with texts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            if isinstance(one, str):
                yield one
            elif isinstance(one, dict) and isinstance(one.get("text"), str):
                yield one["text"]


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        yield from (one for one in value if isinstance(one, dict))


def users_of(trace: Trace) -> list[str]:
    """Whom a request names as its user, in a header, in the request or in its metadata: where a user who is to be
    forgotten is looked for, too."""
    said = [trace.user, trace.request.get("user"), trace.request.get("safety_identifier")]
    for metadata in (trace.metadata, trace.request.get("metadata")):
        if isinstance(metadata, dict):
            said.extend(metadata.get(name) for name in _USER_FIELDS)
    return list(dict.fromkeys(str(one) for one in said if one is not None))


def answer_id_of(trace: Trace) -> str | None:
    """The id that the upstream gave its answer (``chatcmpl-…``, ``msg_…``)."""
    id = (trace.response or {}).get("id")
    return id if isinstance(id, str) and id else None


def is_error(trace: Trace) -> bool:
    """Did the arm a request was sent to fail? A client that left is not counted.

    Where a rule of deferral decides, that arm is the mixture, in which the incumbent answers for the candidate.
    """
    return (
        trace.status >= 500
        or trace.completeness == "upstream_cut"
        or (trace.deferral is None and trace.fallback not in (None, "schema", "context"))
    )


def term_of(tag: str) -> str:
    """The term that stands for a tag in the index: no word begins with an equals sign. Others may have the same one, so
    what is found by it is compared."""
    return f"={tag[0]}{zlib.crc32(tag.encode(errors='replace')):x}"


def terms_of(trace: Trace) -> Iterator[str]:
    """What a trace is found by in the index. Case is folded and words are parted here, so that no database's locale
    matters, nor what its parser takes for one word: an address, a number with a point, a file's path."""
    yield from words_in(text_of(trace).casefold())
    yield from map(term_of, tags_of(trace))


def tags_of(trace: Trace) -> list[str]:
    """All tags of a trace."""
    named = [
        ("k", trace.api_key),
        ("r", trace.route),
        ("m", trace.model),
        ("e", trace.endpoint),
        ("c", trace.conversation_id),
        ("p", trace.parent_id),
        ("x", trace.upstream_id),
        ("x", answer_id_of(trace)),
        *(("u", user) for user in users_of(trace)),
    ]
    tags = [kind + value for kind, value in named if value]
    tags += [f"a{trace.arm}", f"s{trace.status}", f"s{trace.status // 100}xx"]
    if is_error(trace):
        tags.append("serror")
    if trace.parent_id is None:
        tags.append("own")
    if trace.completeness == "complete":
        tags.append("whole")
    tags += [f"t{slow}" for slow in SLOW_MS if trace.total_ms is not None and trace.total_ms > slow]
    return tags


def wanted_tags(query: TraceQuery) -> list[str]:
    """The tags that a trace must have. Raises `UsageError` for a status that is none."""
    named = [
        ("k", query.api_key),
        ("r", query.route),
        ("m", query.model),
        ("e", query.endpoint),
        ("c", query.conversation_id),
        ("x", query.upstream_id),
        ("u", query.user),
    ]
    tags = [kind + value for kind, value in named if value is not None]
    if query.arm is not None:
        tags.append(f"a{query.arm}")
    if query.status is not None:
        status = query.status.casefold()
        if status != "error" and not (_STATUS.fullmatch(status) or _STATUS_CLASS.fullmatch(status)):
            raise UsageError(f"{query.status!r} is not a status", hint="404, 4xx, 5xx or error")
        tags.append(f"s{status}")
    if query.own_only:
        tags.append("own")
    if query.complete_only:
        tags.append("whole")
    if query.slower_than_ms is not None:
        below = [slow for slow in SLOW_MS if slow <= query.slower_than_ms]
        tags += [f"t{slow}" for slow in below[-1:]]
    return tags
