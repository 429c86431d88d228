"""The two steps of preparing a body that need no index: what is asked in it, and the body with the examples found."""

from __future__ import annotations

from typing import Any

import msgspec

from freehold.preparing.conversation import is_chat, prepare, question_of, unprepared
from freehold.types.endpoint import Example, Preparation
from freehold.wire import openai
from freehold.wire.errors import ApiError


class PreparedBody(msgspec.Struct, frozen=True, array_like=True):
    """How a body is prepared."""

    preparation: Preparation
    found: tuple[Example, ...] = ()


def question(preparation: Preparation, body: bytes) -> tuple[str | None, list[bytes]]:
    """Why a body goes as it came (None: it is prepared), and the question in it. Raises `ApiError`
    (400) for what cannot be read."""
    try:
        asked = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ApiError(
            400,
            "the request holds text that cannot be read, so it cannot be prepared",
            code="cannot_be_prepared",
        ) from None
    if not is_chat(asked):
        return "not_chat", [b""]
    why = unprepared(asked, preparation)
    return why, [b"" if why is not None else question_of(asked).encode(errors="replace")]


def prepared(how: PreparedBody, body: bytes) -> tuple[int, list[bytes]]:
    """How many examples are in it, and the body. Fields besides its messages stay as they came, byte for byte."""
    made = prepare(msgspec.json.decode(body), how.preparation, how.found)
    changes: dict[str, Any] = {"messages": made.body["messages"]}
    return made.examples, [openai.splice(body, changes)]
