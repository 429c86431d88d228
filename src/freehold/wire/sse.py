"""Server-sent events: taking a stream apart, and changing one on its way: an event left out, the name of its model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

# An empty line, whichever of the three ends of a line it and the one before it have; CR LF is one of them.
_BREAK = re.compile(rb"(?>\r\n|\n|\r)(?:\r\n|\n|\r)")
EVENT_BYTES_MAX = 8 * 1024 * 1024
"""The longest event of a stream that is taken apart."""
_LINES = re.compile(rb"\r\n|\n|\r")


def events(stream: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The ``(event, data)`` pairs of a stream; `event` is empty where none was named.

    Comments, ids and retry times are passed over; several data lines are joined by a line feed. A last
    event without an empty line after it counts too: what a cut stream had already said is not lost.
    """
    for block in stream.split(b"\n\n") if b"\r" not in stream else _BREAK.split(stream):
        if block.startswith(b"data: ") and b"\n" not in block and b"\r" not in block:
            yield b"", block[6:]
            continue
        name, data = b"", []
        for line in _LINES.split(block):
            field, _, value = line.partition(b":")
            if field == b"data":
                data.append(value.removeprefix(b" "))
            elif field == b"event":
                name = value.removeprefix(b" ")
        if data:
            yield name, b"\n".join(data)


def objects(stream: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects of a whole stream; what is none is passed over."""
    for _, data in events(stream):
        try:
            told = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if isinstance(told, dict):
            yield told


class JsonEvents:
    """The JSON objects of a running stream, each once its event is whole.

    What is not a JSON object (``[DONE]``, a comment, an event without data) is passed over; `done` says whether
    ``[DONE]`` was among it.
    """

    __slots__ = ("_held", "done")

    def __init__(self) -> None:
        self._held = bytearray()
        self.done = False

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The objects that are whole now.

        Raises what decoding raises for data that is not JSON: without it the answer would have a hole.
        """
        end = _whole_in(self._held, data)
        if not end:
            if len(self._held) > EVENT_BYTES_MAX:
                raise ValueError("an event of a stream is too long")
            return []
        whole = bytes(self._held[:end])
        del self._held[:end]
        found = []
        for _, event in events(whole):
            if not (text := event.strip()):
                continue
            if text == b"[DONE]":
                self.done = True
                continue
            told = msgspec.json.decode(text)
            if isinstance(told, dict):
                found.append(told)
        return found


class TranslatedStream:
    """A running stream in the words of another API: `_take` puts what each object of it becomes into `_out`."""

    def __init__(self) -> None:
        self._events = JsonEvents()
        self._out: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """What to send on for the bytes that came; may be empty."""
        for told in self._events.feed(data):
            self._take(told)
        return self._sent()

    def broken(self, error: bytes) -> bytes:
        """What to say when the stream broke off."""
        return b"data: " + error + b"\n\n"

    def _take(self, told: dict[str, Any], /) -> None:
        raise NotImplementedError

    def _sent(self) -> bytes:
        out = b"".join(self._out)
        self._out.clear()
        return out


class WholeEvents:
    """Passes the events of a stream on as they came, each when it is whole."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> bytes:
        """What to send on for the bytes that came; may be empty."""
        if not self._held and data.endswith(b"\n\n"):
            return data
        end = _whole_in(self._held, data)
        if len(self._held) > EVENT_BYTES_MAX:
            end = len(self._held)  # it goes on as it is
        whole = bytes(self._held[:end])
        del self._held[:end]
        return whole

    def rest(self) -> bytes:
        """What was held when the stream ended in the middle of an event."""
        held = bytes(self._held)
        self._held.clear()
        return held

    def broken(self, error: bytes) -> bytes:
        """What to say when the stream broke off: the error, without half an event that would garble it."""
        self._held.clear()
        return b"data: " + error + b"\n\n"


class UsageFilter(WholeEvents):
    """Leaves out the usage chunk that only freehold asked for, so that the client gets the stream it asked for.

    OpenAI's API sends usage in one last chunk whose ``choices`` are empty.
    """

    __slots__ = ()

    def passes(self, data: bytes) -> bool:
        """Whether these bytes go on as they came, as nearly all do."""
        return (
            not self._held
            and data.endswith(b"\n\n")
            and b'"choices":[]' not in data
            and b'"choices": []' not in data
        )

    def feed(self, data: bytes) -> bytes:
        """What to send on for the bytes that came; may be empty."""
        if self.passes(data):
            return data
        whole = super().feed(data)
        kept, start = [], 0
        for match in _BREAK.finditer(whole):
            event = whole[start : match.end()]
            if not _is_usage_only(event):
                kept.append(event)
            start = match.end()
        return b"".join([*kept, whole[start:]])


class SeparateUsage(WholeEvents):
    """Tells usage in a last chunk of its own, as OpenAI's API does, where an engine tells it with its last words; with
    `hides` it leaves it out. What is not such a chunk passes as it came."""

    __slots__ = ("_hides",)

    def __init__(self, *, hides: bool) -> None:
        super().__init__()
        self._hides = hides

    def feed(self, data: bytes) -> bytes:
        """What to send on for the bytes that came; may be empty."""
        whole = super().feed(data)
        if b'"usage"' not in whole:
            return whole
        out, start = [], 0
        for match in _BREAK.finditer(whole):
            out.append(self._apart(whole[start : match.end()]))
            start = match.end()
        return b"".join([*out, whole[start:]])

    def _apart(self, event: bytes) -> bytes:
        try:
            chunk = msgspec.json.decode(next(events(event))[1])
            usage = chunk.pop("usage", None)
        except (StopIteration, msgspec.DecodeError, UnicodeDecodeError, AttributeError, TypeError):
            return event
        if not isinstance(usage, dict):
            return event
        told = [chunk] if chunk.get("choices") else []
        if not self._hides:
            told.append({**chunk, "choices": [], "usage": usage})
        return b"".join(b"data: %b\n\n" % msgspec.json.encode(one) for one in told)


class ModelName:
    """Tells answers of the model `known` under the name `asked`.

    Only where JSON has a field ``model`` with exactly this name: quotes in a text of an answer are escaped, so that
    what the model wrote is never met.
    """

    __slots__ = ("_named", "_told")

    def __init__(self, known: str, asked: str) -> None:
        self._named = re.compile(rb'("model"\s*:\s*)' + re.escape(msgspec.json.encode(known)))
        self._told = msgspec.json.encode(asked)

    def told(self, answer: bytes) -> bytes:
        """A whole answer, or whole events of a stream."""
        return self._named.sub(lambda found: found[1] + self._told, answer)


class NamedStream:
    """The events of a stream under another name of its model, after they went through `before`."""

    __slots__ = ("_before", "_name")

    def __init__(self, name: ModelName, before: WholeEvents | None = None) -> None:
        self._name, self._before = name, before or WholeEvents()

    def feed(self, data: bytes) -> bytes:
        """What to send on for the bytes that came; may be empty."""
        return self._name.told(self._before.feed(data))

    def rest(self) -> bytes:
        """What was held when the stream ended in the middle of an event."""
        return self._name.told(self._before.rest())

    def broken(self, error: bytes) -> bytes:
        """What to say when the stream broke off."""
        return self._before.broken(error)


def _whole_in(held: bytearray, data: bytes) -> int:
    """Add `data` to what is held; returns where the last event in it that is whole ends, 0 where none is.

    What was looked at before is not looked at again, so that a long event costs by its length alone.
    """
    looked_at = max(0, len(held) - 3)  # the longest break may lack its last byte so far
    held += data
    return max((match.end() for match in _BREAK.finditer(held, looked_at)), default=0)


def _is_usage_only(event: bytes) -> bool:
    compact = event.replace(b" ", b"")
    return b'"choices":[]' in compact and b'"usage":{' in compact
