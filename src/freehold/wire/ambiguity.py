"""Requests that two readers may read differently."""

from __future__ import annotations

import re

import msgspec

# Fields that decide who answers, what it may cost, and what is kept.
_DECIDING = (
    b'"model"',
    b'"messages"',
    b'"prompt"',
    b'"input"',
    b'"stream"',
    b'"n"',
    b'"max_tokens"',
    b'"max_completion_tokens"',
    b'"max_output_tokens"',
)
# A letter or underscore that names of fields are made of: accented ones, which JSON often escapes, are none of these.
_ESCAPED_LETTER = re.compile(rb"\\u00[4-7][0-9a-fA-F]")
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def unambiguous(body: bytes) -> bytes:
    """The body with each top-level field once, the last of its name; anything but a JSON object as it came.

    An upstream may take the first of two fields, or not read an escaped name as this does: a key would then be checked
    for one model and answered by another, and a trace would show other messages than were asked. The bytes of values
    stay as they are.
    """
    if not (b"\\u00" in body and _ESCAPED_LETTER.search(body)) and all(
        body.count(name) < 2 for name in _DECIDING
    ):
        return body
    try:
        return msgspec.json.encode(_fields.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
