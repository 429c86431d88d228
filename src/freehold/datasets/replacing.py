"""Personal data and secrets of samples replaced by placeholders: the same value gets the same one, always.

A placeholder is the kind of find and eight hex digits of a keyed hash (HMAC-SHA-256) of the value:
``<EMAIL_1f0c9a2b>``. So it needs no table, does not depend on what else is in the data, and says nothing to those
without the key. Case and spaces of an e-mail address, punctuation of a number do not count: ``+49 170 123`` and
``+49-170-123`` are one phone.
"""

from __future__ import annotations

import hmac
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from freehold.privacy.finds import Find, Finder, blanked, replaced
from freehold.types.dataset import Message, Replaced, Sample

_BY_DIGITS = frozenset({"PHONE", "CARD", "IBAN", "ID", "ACCOUNT", "LICENSE", "DOCUMENT", "MAC"})
_PLACEHOLDER = re.compile(r"<[A-Z]{2,12}_[0-9a-f]{8}>")
_QUESTION_ID = re.compile(r"(?=.*[a-f])[0-9a-f]{16}")
BLANK = "\x1f"
_REMEMBERED = 4096
_REMEMBERED_CHARACTERS = 20_000


class Replacer:
    """Replaces what `finders` find and counts it. `key` ties placeholders to a project; keep it secret."""

    def __init__(self, finders: tuple[Finder, ...], key: bytes) -> None:
        self._finders = finders
        self._key = key
        self._found: Counter[str] = Counter()
        self._samples: Counter[str] = Counter()
        self._different: dict[str, set[str]] = {}
        self._here: Counter[str] = Counter()
        self._known: dict[str, tuple[str, Counter[str]]] = {}

    @property
    def counts(self) -> dict[str, Replaced]:
        """What was replaced so far, by kind."""
        return {
            kind: Replaced(found=count, different=len(self._different[kind]), samples=self._samples[kind])
            for kind, count in sorted(self._found.items())
        }

    def sample(self, sample: Sample) -> Sample:
        """The sample with every text in it replaced; the very same object where nothing was found.

        Roles, names of tools and of fields, ids of calls and schemas stay.
        """
        self._here = Counter()
        messages = self._messages(sample.messages)
        incumbent, gold = self._optional(sample.incumbent), self._optional(sample.gold)
        completion = None if sample.completion is None else self._messages(sample.completion)
        # A group found from messages is a question's id: what looks like a number in it is none.
        found = sample.group is not None and _QUESTION_ID.fullmatch(sample.group)
        group = sample.group if found else self._optional(sample.group)
        metadata = self._value(sample.metadata)
        if not self._here:
            return sample
        self._found.update(self._here)
        self._samples.update(self._here.keys())
        return msgspec.structs.replace(
            sample,
            messages=messages,
            incumbent=incumbent,
            gold=gold,
            completion=completion,
            group=group,
            metadata=metadata,
        )

    def text(self, text: str) -> str:
        """A text with its finds replaced. What is a placeholder already stays."""
        if len(text) < 4 or text.startswith("data:"):  # an image or a sound in a message
            return text
        known = self._known.get(text)
        if known is None:
            known = self._looked(text)
            if len(text) <= _REMEMBERED_CHARACTERS:
                if len(self._known) >= _REMEMBERED:
                    self._known.pop(next(iter(self._known)))
                self._known[text] = known
        self._here.update(known[1])
        return known[0]

    def _looked(self, text: str) -> tuple[str, Counter[str]]:
        counts: Counter[str] = Counter()

        def shown(find: Find, value: str) -> str:
            counts[find.kind] += 1
            placeholder = self._placeholder(find.kind, value)
            self._different.setdefault(find.kind, set()).add(placeholder)
            return placeholder

        again = True
        while again:  # until nothing more is found: a number may hide in what looked like a longer one
            again = False
            for finder in self._finders:
                ours = [Find(*match.span(), "") for match in _PLACEHOLDER.finditer(text)]
                found = finder(blanked(text, ours, BLANK) if ours else text)
                if found:
                    text, again = replaced(text, found, shown), True
        return text, counts

    def _placeholder(self, kind: str, value: str) -> str:
        plain = re.sub(r"[^0-9A-Za-z]", "", value) if kind in _BY_DIGITS else " ".join(value.split())
        plain = plain if kind == "SECRET" else plain.lower()
        digest = hmac.digest(self._key, f"{kind}:{plain}".encode("utf-8", "surrogatepass"), "sha256")
        return f"<{kind}_{digest.hex()[:8]}>"

    def _optional(self, text: str | None) -> str | None:
        return None if text is None else self.text(text)

    def _messages(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        return tuple(self._message(message) for message in messages)

    def _message(self, message: Message) -> Message:
        content, calls = self._value(message.content), self._calls(message.tool_calls)
        if content == message.content and calls == message.tool_calls:
            return message
        return msgspec.structs.replace(message, content=content, tool_calls=calls)

    def _calls(self, calls: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
        """Only the arguments hold a person's data; a placeholder is safe inside of JSON text."""
        return calls and [_with_arguments(call, self._value) for call in calls]

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {name: self._value(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._value(inner) for inner in value]
        return value


def _with_arguments(call: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    function = call.get("function")
    if not isinstance(function, dict) or "arguments" not in function:
        return call
    return {**call, "function": {**function, "arguments": change(function["arguments"])}}
