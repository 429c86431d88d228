"""Requests that two readers may read differently."""

from __future__ import annotations

import re

import msgspec

# Fields that decide who answers, what it may cost, and what is kept. One search for all is a fifth of nine of them.
_DECIDING = re.compile(rb'"(?:model|messages|prompt|input|stream|n|max_(?:completion_|output_)?tokens)"')
# A letter or underscore that names of fields are made of: accented ones, which JSON often escapes, are none of these.
_ESCAPED_LETTER = re.compile(rb"\\u00[4-7][0-9a-fA-F]")
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def unambiguous(body: bytes) -> bytes:
    """The body with each top-level field once, the last of its name; anything but a JSON object as it came.

    An upstream may take the first of two fields, or not read an escaped name as this does: a key would then be checked
    for one model and answered by another, and a trace would show other messages than were asked. The bytes of values
    stay as they are.
    """
    named = _DECIDING.findall(body)
    if len(named) == len(set(named)) and not (b"\\u00" in body and _ESCAPED_LETTER.search(body)):
        return body
    try:
        return msgspec.json.encode(_fields.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
