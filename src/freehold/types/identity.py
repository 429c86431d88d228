"""What is the same question: how often it counts as evidence, and how often it was looked at, follows from this.

The question is what the conversation says: its messages without the instructions (`system`, `developer`), which are how
it is asked and not what is asked. White space, the ids of tool calls, the spelling of their arguments, the order of
parallel calls, and whether a text stands alone or in parts change nothing.

Within a dataset, an item is a question together with the names of the tools and the form of answer it was asked for:
the same words asked for a label and for a filled-in schema are two tasks.

Not covered: an instruction that stands in the user's turn (words changed there make another question), and questions
in each of which personal data is replaced at one time and not at another.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from freehold.types.dataset import Message, Sample
from freehold.types.record import canonical_json
from freehold.types.trace import Trace

INSTRUCTIONS = frozenset({"system", "developer"})
_PLACEHOLDER = re.compile(rb"<([A-Z][A-Z_]*)_[0-9a-f]{8}>")
_EDGES = re.compile(r"^[^\w<>+=$€£%]+|[^\w<>+=$€£%]+$")
_NO_SPACES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_UNSPACED = re.compile(f"[{_NO_SPACES}]|[^{_NO_SPACES}]+")
"""Thai to Khmer, Japanese and Chinese characters, one by one."""
ID_BYTES = 8
"""Length of a question's id. Among a million questions two share one by chance with a probability of 3 in 100 million
(birthday bound, n² / 2⁶⁵)."""


def question_id(messages: Sequence[Message | Mapping[str, Any]]) -> str:
    """The id of what is asked, 16 hex digits: BLAKE2b of the messages that are not instructions.

    Where all of them are instructions, they are what is asked.
    """
    plain = [msgspec.structs.asdict(one) if isinstance(one, Message) else one for one in messages]
    asked = [one for one in plain if one.get("role") not in INSTRUCTIONS]
    return _digest([_turn(one) for one in asked or plain], ID_BYTES).hex()


def looked_at(sample: Sample) -> str:
    """The id under which looks at a sample are counted: of its question without case and punctuation around words, so
    that another spelling is no other item, and with nothing but the kind of each placeholder for personal data.

    Placeholders are made with a project's key, and questions are the same in another project. The hash is never of what
    was replaced: without a key that could be guessed.
    """
    turns = [[role, bare(said), *others] for role, said, *others in _without_personal_data(sample)]
    return _digest(turns, ID_BYTES).hex()


def words(sample: Sample) -> list[str]:
    """The bare words of what a sample asks, in order: those of `looked_at`. In writing without spaces each character is
    one; pictures and calls are one word each, by their hash."""
    found: list[str] = []
    for _, said, *others in _without_personal_data(sample):
        for word in bare(said).split():
            found += _UNSPACED.findall(word)
        found += [_digest(other, ID_BYTES).hex() for other in others]
    return found


def _without_personal_data(sample: Sample) -> list[list[Any]]:
    """The turns that are not instructions (all where there are no others), of placeholders the kind only."""
    data = canonical_json([msgspec.structs.asdict(message) for message in sample.messages])
    turns = msgspec.json.decode(_PLACEHOLDER.sub(rb"<\1>", data))
    return [_turn(one) for one in [turn for turn in turns if turn.get("role") not in INSTRUCTIONS] or turns]


def bare(text: str) -> str:
    """A text's words in lower case without the punctuation around them; a text that has no word as it is."""
    words = (_EDGES.sub("", word) for word in text.casefold().split())
    return " ".join(filter(None, words)) or text


def item_key(sample: Sample) -> bytes:
    """16 bytes that samples share when they are the same item of a dataset."""
    key: list[Any] = [
        question_id(sample.messages),
        sorted(_tool_name(tool) for tool in sample.tools or ()),
        _form(sample.response_format),
    ]
    return _digest(key, 16)


def answer_id(answer: str | None) -> bytes:
    """8 bytes that right answers share when they say the same, zeros for none: case, white space and the order of
    the keys of a JSON object do not count."""
    if answer is None:
        return bytes(ID_BYTES)
    return _digest(_json_or(answer, collapsed(answer).casefold()), ID_BYTES)


def trace_key(id: str | None) -> bytes:
    """8 bytes that stand for a trace, zeros for none."""
    return bytes(ID_BYTES) if id is None else _digest(id, ID_BYTES)


def collapsed(text: str) -> str:
    """A text in Unicode's composed form (NFC), its runs of white space single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def stated_at(trace: Trace) -> datetime:
    """When what a trace says was said last: by feedback, by an import, or when it was asked."""
    feedback = trace.metadata.get("feedback")
    said = feedback.get("at") if isinstance(feedback, dict) else None
    if isinstance(said, str) and trace.gold is not None:
        try:
            found = datetime.fromisoformat(said)
            return found if found.tzinfo else found.replace(tzinfo=UTC)
        except ValueError:
            pass
    return trace.imported_at or trace.at


def _turn(message: Mapping[str, Any]) -> list[Any]:
    role = message.get("role")
    said, others = _content(message.get("content"))
    turn: list[Any] = ["tool" if role == "function" else role, said]
    calls = message.get("tool_calls")
    if isinstance(calls, list | tuple) and calls:
        others = [*others, sorted((_call(call) for call in calls), key=canonical_json)]
    return [*turn, *others]


def _content(content: Any) -> tuple[str, list[Any]]:
    """The text of a message, and what else stands in it (pictures, files)."""
    if isinstance(content, str):
        return collapsed(content), []
    if not isinstance(content, list | tuple):
        return "", [] if content is None else [content]
    texts = [part["text"] for part in content if _is_text(part)]
    return collapsed("".join(texts)), [part for part in content if not _is_text(part)]


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str)


def _call(call: Any) -> list[Any]:
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return [call]
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        arguments = _json_or(arguments, collapsed(arguments))
    return [function.get("name"), arguments]


def _json_or(text: str, otherwise: str) -> Any:
    """The JSON object or list that a text is, else `otherwise`."""
    if text.lstrip()[:1] not in ("{", "["):
        return otherwise
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return otherwise


def _tool_name(tool: Any) -> str:
    function = tool.get("function", tool) if isinstance(tool, dict) else None
    return str(function.get("name")) if isinstance(function, dict) else str(tool)


def _form(response_format: Any) -> list[Any]:
    if not isinstance(response_format, dict) or response_format.get("type") in (None, "text"):
        return []
    schema = response_format.get("json_schema")
    return [response_format["type"], schema.get("name") if isinstance(schema, dict) else None]


def _digest(value: Any, size: int) -> bytes:
    try:
        data = canonical_json(value)
    except UnicodeEncodeError:  # half of a surrogate pair, as logs cut in mid-character hold
        data = repr(value).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=size).digest()
