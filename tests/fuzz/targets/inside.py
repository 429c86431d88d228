"""Targets of freehold's own formats and texts: the messages of the spool, stored bodies, licences, `freehold.toml`."""

from __future__ import annotations

import contextlib
import gzip
import typing
from typing import Any

import msgspec
import zstandard
from tests.fuzz.draw import Draw, flipped, text_of
from tests.fuzz.target import Target
from tests.fuzz.targets.wire import (
    CHAT,
    CHAT_STREAM,
    COMPLETION,
    EMBED,
    MESSAGE,
    MESSAGE_STREAM,
    MESSAGES,
    RESPONSE,
    RESPONSE_STREAM,
    RESPONSES,
    stream_of,
)

from freehold.catalog.licenses import fingerprints
from freehold.errors import ConfigError, StorageError
from freehold.gateway.capture import spool as frames
from freehold.gateway.capture.redaction import redact
from freehold.gateway.capture.traces import to_trace
from freehold.gateway.messages import CapturedExchange, TableMessage, UsageTotals
from freehold.licensing.identify import identify
from freehold.store.damage import DamagedBody, pack_lines, seal, unpack_lines
from freehold.types.config import ProjectConfig
from freehold.types.config_file import parse
from freehold.types.trace import Trace

_MESSAGES = (CapturedExchange, UsageTotals, TableMessage)
_decoders = [msgspec.msgpack.Decoder(kind) for kind in _MESSAGES]
_KINDS: tuple[tuple[str, str, Any, Any, list[Any]], ...] = (
    ("chat", "openai", CHAT, COMPLETION, CHAT_STREAM),
    ("messages", "anthropic", MESSAGES, MESSAGE, MESSAGE_STREAM),
    ("responses", "responses", RESPONSES, RESPONSE, RESPONSE_STREAM),
    ("embeddings", "openai", EMBED, COMPLETION, CHAT_STREAM),
    ("messages", "openai", MESSAGES, COMPLETION, CHAT_STREAM),
)


def spool(data: bytes) -> None:
    """Messages of a segment come out as they were written; other bytes are messages, or nothing."""
    draw = Draw(data)
    sent = [(draw.below(8), draw.take(draw.below(40))) for _ in range(draw.below(6))]
    written = b"".join(frames.framed(tag, payload) for tag, payload in sent)
    segment = (64 + len(written)).to_bytes(8, "little") + bytes(56) + written
    read = [
        (tag, segment[at + 5 : at + 5 + size])
        for at, tag, size, _, done in frames.messages_in(segment)
        if not done
    ]
    if read != sent:
        raise AssertionError(f"sent {sent}, read {read}")
    loose = draw.rest()
    for at, tag, size, _, _ in frames.messages_in(loose):
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            _decoders[tag % len(_decoders)].decode(loose[at + 5 : at + 5 + size])


def traces(data: bytes) -> None:
    """What the recorder makes of an exchange is a trace that the store gives back as it was, or none."""
    draw = Draw(data)
    kind, response_kind, asked, answered, chunks = draw.one_of(_KINDS)
    streamed = bool(draw.below(2))
    request = text_of(draw, asked)
    response = stream_of(draw, chunks) if streamed else text_of(draw, answered)
    encoding = draw.one_of((None, None, None, "gzip", "br"))
    captured = CapturedExchange(
        id="1", at_ms=1_760_000_000_000, kind=kind, model="m", request=request, status=200,
    streamed=streamed,  # type: ignore[arg-type]
        response=flipped(draw, gzip.compress(response, 1)) if encoding == "gzip" else response,
        completeness="complete", response_kind=response_kind, content_encoding=encoding,  # type: ignore[arg-type]
        user=draw.one_of((None, "u")),
    )  # fmt: skip
    made = to_trace(captured, redactor=draw.one_of((None, redact)))
    if made is not None and msgspec.json.decode(msgspec.json.encode(made), type=Trace) != made:
        raise AssertionError("the store gives back another trace")


_TRACE = {
    "id": "1", "at": "2026-05-01T10:00:00Z", "source": "gateway", "model": "m", "request": CHAT,
    "response": COMPLETION, "usage": {"prompt_tokens": 1}, "metadata": {"k": "v"}, "rejected": [{"role": "x"}],
}  # fmt: skip
_BODY_ERRORS = (StorageError, DamagedBody, msgspec.MsgspecError)


def stored(data: bytes) -> None:
    """Bodies of the store, damaged: an error, never another kind of failure."""
    draw = Draw(data)
    text = text_of(draw, _TRACE)
    with contextlib.suppress(*_BODY_ERRORS):
        unpack_lines(seal(zstandard.compress(text, 1), "trace_blocks", 7), 7)
    try:
        trace = msgspec.json.decode(text, type=Trace)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return
    lines = [msgspec.json.encode(trace), b""]
    packed = pack_lines(lines, 7)
    if unpack_lines(packed, 7) != lines:
        raise AssertionError("a sound body is not read as it was")
    with contextlib.suppress(*_BODY_ERRORS):
        unpack_lines(flipped(draw, packed), 7)


_SENTENCES = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software.",
    "Copyright (c) 2024 Example.", 'THE SOFTWARE IS PROVIDED "AS IS",',
    "WITHOUT WARRANTY OF ANY KIND.", "\n\n", "1.1 ",
    "You may not use the Materials for commercial purposes", "。许可证；", "  ", "* ",
    "All rights reserved.", "\0", "é" * 40,
    "-" * 60, "http://www.apache.org/licenses/LICENSE-2.0", "a.b;c:d " * 20, "\u2028", "Copyright " * 30,
)  # fmt: skip


def licences(data: bytes) -> None:
    draw = Draw(data)
    text = "".join(draw.one_of(_SENTENCES) + draw.one_of((" ", "\n")) for _ in range(draw.below(40)))
    text += draw.rest().decode("utf-8", "replace")
    identify(text, fingerprints()[:: 1 + draw.below(8)])


def _keys(kind: Any, place: tuple[str, ...]) -> list[tuple[str, ...]]:
    keys = []
    for field in msgspec.structs.fields(kind):
        keys.append((*place, field.encode_name))
        parts = (field.type, *typing.get_args(field.type))
        inner = [part for part in parts if isinstance(part, type) and issubclass(part, msgspec.Struct)]
        if inner and len(place) < 2:
            keys += _keys(inner[0], (*place, field.encode_name))
    return keys


_KEYS = [place for place in _keys(ProjectConfig, ()) if len(place) > 1]
_TOML = (
    "1", "-1", "0", "1.5", "nan", "inf", "-inf", "true", '""', '"x"', '"a\\u0000b"', "[]", "{}",
    "[1, 2]", '["x"]', "[[]]",
    '{ endpoint = "x" }', '{ prompt = "1e999", completion = 1 }', "1979-05-27T07:32:00Z",
    "07:32:00", "9" * 40, "0x1f",
    "1e400", "[" * 30 + "]" * 30, '{ a = { b = { c = 1 } } }', '"""\nx\n"""', "'raw'", '[{ name = "x" }]',
)  # fmt: skip


def toml(data: bytes) -> None:
    draw = Draw(data)
    lines = ["[app]", 'name = "x"']
    if draw.below(4) == 0:
        lines = [draw.rest().decode("utf-8", "replace")]
    for _ in range(draw.below(8)):
        place = draw.one_of(_KEYS)
        if draw.below(6) == 0:
            lines.append(draw.one_of(("[", "[[")) + ".".join(place[:-1]) + draw.one_of(("]", "]]")))
        else:
            lines.insert(0, f"{'.'.join(place)} = {draw.one_of(_TOML)}")
    with contextlib.suppress(ConfigError):
        parse("\n".join(lines))


TARGETS = (
    Target(
        "spool",
        spool,
        "frames between the gateway's processes",
        (b"\3\1\5hello\2\0\3\3abc", b"\0\0\0\0\0\5\1hello"),
    ),
    Target(
        "traces",
        traces,
        "exchanges as the recorder keeps them",
        tuple(bytes([n, m] + [0] * 12) for n in range(5) for m in (0, 1)),
    ),
    Target("stored", stored, "bodies in the store", (bytes(8),)),
    Target("licences", licences, "texts of licences", (b"\5\0\0\1\0\2\0", b"\0MIT License")),
    Target(
        "toml", toml, "freehold.toml", (b"\1\4\0\1\0\1\3\2\2", b"\0[app]\nname = 'x'\n[task]\nmargin = 0.1")
    ),
)
