"""What is the same question: how often it counts as evidence, and how often it was looked at, follows from this.

The question is what the conversation says: its messages without the instructions (`system`, `developer`), which are
how it is asked and not what is asked. White space, the ids of tool calls, the spelling of their arguments, the order
of parallel calls, and whether a text stands alone or in parts change nothing.

Within a dataset, an item is a question together with the names of the tools and the form of answer it was asked for:
the same words asked for a label and for a filled-in schema are two tasks.

Not covered: an instruction that stands in the user's turn (words changed there make another question), and questions
in each of which personal data is replaced at one time and not at another.

A question is near another by its bag of words (`words`). Two are near when the bags are equal, when one has a single
word more, or when each has one that the other has not and the new one is an error: a word without a digit that no
question beside has, in a place that few fill. "How do I close my account" and "How do I remove my account" are two
questions, and so are two that differ in a town. At least `LEAST` words must be shared.

Each bag without one of its words has an id; two bags that are near share one, so nothing is compared in pairs (the
neighbourhoods of deletions of Mor and Fraenkel 1982, Communications of the ACM 25:935).

Of two parts a question is near as well to one that begins or ends with all of it, or with which it begins or ends,
where `RUN` words or more stand in both and at least `PART` of the longer one.

Not covered: two words at once, another wording. Longer texts with more changes are found by their pieces.
"""

from __future__ import annotations

import hashlib
import math
import re
import sys
import unicodedata
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
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


LEAST = 3
"""Words that two questions must share, to be near by more than their order."""
FILLERS = 3
"""In a place that more different words fill, a word is what the question is about."""
MOST_WORDS = 256
"""A longer question is near only to one of the same words."""
RUN, PART, _MOST_OF_A_RUN = 8, 0.45, 64
"""Words in a row that make another question the half of this one, or this one with words before it; a shorter run many
people write."""
_BITS = 2**64 - 1


class Wordings:
    """Questions that others are compared with. `within`: the others are these themselves."""

    def __init__(self, questions: Iterable[Sequence[str]], *, within: bool = False) -> None:
        self._questions: list[tuple[str, ...]] = []
        self._known: Counter[str] = Counter()
        self._own = int(within)
        self._runs: dict[int, list[int]] = {}
        first: dict[int, int] = {}
        self._again: dict[int, list[int]] = {}
        ids, places = array("Q"), array("Q")
        for place, words in enumerate(questions):
            asked = tuple(map(sys.intern, words))
            self._questions.append(asked)
            whole, *less = _sums(asked)
            if not asked or first.setdefault(whole, place) != place:
                self._again.setdefault(first.get(whole, place), []).append(place)
                continue
            for run in () if within else {asked, *_runs(asked)}:
                self._runs.setdefault(hash(run), []).append(place)
            self._known.update(set(asked))
            ids.extend((whole, *less))
            places.extend([place] * (1 + len(less)))
        order = sorted(range(len(ids)), key=ids.__getitem__)
        self._ids = array("Q", (ids[at] for at in order))
        self._places = array("Q", (places[at] for at in order))

    def near(self, words: Sequence[str]) -> set[int]:
        """Places of the questions that are near to this one; those of the same words are among them."""
        found: set[int] = set()
        sums = _sums(words) if words else []
        for id in sums:
            low, high = bisect_left(self._ids, id), bisect_right(self._ids, id)
            for place in self._places[low:high]:
                if self._one_apart(words, self._questions[place], high - low):
                    found.update((place, *self._again.get(place, ())))
        asked = tuple(map(sys.intern, words))
        for run in (asked, *_runs(asked)):
            for place in self._runs.get(hash(run), ()):
                other = self._questions[place]
                if len(run) >= RUN and run in (asked, other):  # else both only share an end
                    found.update((place, *self._again.get(place, ())))
        return found

    def _one_apart(self, words: Sequence[str], others: Sequence[str], fillers: int) -> bool:
        """Whether two questions that share an id are near: `fillers` questions have it."""
        bag, other = Counter(words), Counter(others)
        new, old = bag - other, other - bag
        if new.total() + old.total() < 2:
            return True
        if new.total() != 1 or old.total() != 1 or fillers > FILLERS:
            return False
        return any(
            self._known[word] <= self._own and not _has_digit(word)
            for word in (*new, *(old if self._own else ()))
        )


def near_ids(questions: Iterable[Sequence[str]]) -> list[list[bytes]]:
    """For each question ids of its words in any order, and of those without one that has no digit, in a place that few
    of the questions fill otherwise: two that differ in such a word share one. 8 bytes each; a word cannot be told from
    them."""
    sums = [_sums(words, numbers=False) if words else [] for words in questions]
    often = Counter(
        id for whole, *less in {one[0]: one for one in sums if one}.values() for id in (whole, *less)
    )
    return [
        [_digest_of_bytes(id.to_bytes(8)) for id in ids if id == ids[0] or often[id] <= FILLERS]
        for ids in sums
    ]


def connected(pairs: Iterable[tuple[int, int]], count: int) -> list[int]:
    """For each of `count` things the first one that it is joined with, by `pairs` or through others."""
    first = list(range(count))

    def root(one: int) -> int:
        while first[one] != one:
            first[one] = first[first[one]]
            one = first[one]
        return one

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        first[high] = low
    return [root(one) for one in range(count)]


def _sums(words: Sequence[str], *, numbers: bool = True) -> list[int]:
    """What is the same for the same bag of words: the sum of their hashes, 64 bits; and the sums without each one of
    them (with a digit only if `numbers`), where `LEAST` stay."""
    whole = sum(map(_hash, words)) & _BITS
    left = (
        {word for word in words if numbers or not _has_digit(word)}
        if LEAST < len(words) <= MOST_WORDS
        else ()
    )
    return [whole, *{(whole - _hash(word)) & _BITS for word in left}]


def _runs(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """What a question begins and ends with, as far as it makes another one."""
    if len(words) <= _MOST_OF_A_RUN:
        for length in range(max(RUN, math.ceil(PART * len(words))), len(words)):
            yield words[:length]
            yield words[-length:]


def _has_digit(word: str) -> bool:
    return any(map(str.isdigit, word))


@lru_cache(maxsize=1 << 16)
def _hash(word: str) -> int:
    return int.from_bytes(_digest_of_bytes(word.encode("utf-8", "surrogatepass")))


def _digest_of_bytes(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=8).digest()
