"""Errors as each model API spells them, and bodies that two readers would read differently."""

from __future__ import annotations

import math
import re
from collections.abc import Container, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec


class RateState(NamedTuple):
    """A limit a minute that a request was over: of ``requests`` or ``tokens``, how many are left, and when all that is
    used is free again."""

    kind: str
    limit: int
    remaining: int
    reset_s: float


class ApiError(Exception):
    """A request is answered with an error instead of being passed on.

    `code` is OpenAI's machine-readable code; other APIs' spellings are derived from the status.
    `retry_after_s` becomes a Retry-After header, `rate` the headers by which OpenAI's and Anthropic's APIs tell a
    limit, `allow` the methods that a path has (RFC 9110, 15.5.6).
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        type: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
        rate: RateState | None = None,
        allow: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.type = type or _OPENAI_TYPES.get(status, "api_error")
        self.param = param
        self.retry_after_s = retry_after_s
        self.rate = rate
        self.allow = allow


THREAD_NOT_FOUND = "thread_not_found"
"""The code of a request that goes on from a conversation which is not held here; Anthropic's clients send all of it
then.
"""
_ERROR_TOLD = re.compile(rb'"error"\s*:\s*[{"]')
_TOLD_WITHIN = 200
_NOT_TAKEN = re.compile(rb"(image|audio|video) input is not supported")
UNREADABLE = (
    AttributeError,
    TypeError,
    KeyError,
    IndexError,
    ValueError,
    RecursionError,
    msgspec.MsgspecError,
)
"""What reading a body raises whose fields are not of the types its API says."""


def told_error(status: int, body: bytes) -> ApiError:
    """The error that an endpoint answers with, in OpenAI's form or Ollama's; in other words where it cannot be read.

    What an engine says it does not do at all (501) is the client's choice of a model that does not.
    """
    try:
        said = msgspec.json.decode(body)["error"]
    except UNREADABLE:
        said = None
    told = said if isinstance(said, dict) else {"message": said}
    message, code, param = (
        value if isinstance(value := told.get(name), str) else None for name in ("message", "code", "param")
    )
    message = message or "the model's endpoint answered with an error"
    if status == 501:
        return ApiError(400, message, code="unsupported_model", param="model")
    if status == 500 and (fault := clients_fault(body)) is not None:
        return fault
    return ApiError(status, message, code=code, param=param)


def is_only_error(body: bytes) -> bool:
    """Whether a whole answer tells an error in the place of one."""
    if _ERROR_TOLD.search(body, 0, _TOLD_WITHIN) is None:
        return False
    try:
        told = msgspec.json.decode(body)
        return bool(told["error"]) and not told.get("choices")
    except UNREADABLE:
        return False


def clients_fault(body: bytes) -> ApiError | None:
    """What an engine calls a fault of its own (500), and is one of the request: a picture or sound for a model that
    takes none, as llama.cpp tells it (2026-11). None for others, and for a prompt over the context."""
    if (found := _NOT_TAKEN.search(body)) is None:
        return None
    what = found[1].decode()
    return ApiError(
        400,
        f"this model takes no {what}: {what} input is not supported",
        code="unsupported_value",
        param="messages",
    )


def redirect_refused(endpoint_name: str) -> ApiError:
    """An endpoint answered with a redirect, which is neither followed nor passed on."""
    return ApiError(
        502,
        f"endpoint {endpoint_name} answered with a redirect, which is not followed",
        code="upstream_redirect",
    )


def cut_off() -> ApiError:
    """An upstream's answer ended before it was whole."""
    return ApiError(502, "the upstream broke off its answer", code="upstream_cut")


def refuse_others(asked: dict[str, Any], known: Container[str], whose: str) -> None:
    """Raise `ApiError` (400) for a field that a translation would leave out: the answer would be one to another
    question. Fields that say nothing (null, false, empty) are no reason; `whose` API lacks the others."""
    for name, value in asked.items():
        if name not in known and value not in (None, False, [], {}, ""):
            raise ApiError(400, f"{name[:100]} is not possible with {whose}", param=name[:100])


class HttpReply(NamedTuple):
    """A whole HTTP answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


_OPENAI_TYPES = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    403: "invalid_request_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    409: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "requests",
}

_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


def openai_error(error: ApiError, _request_id: str) -> HttpReply:
    """``{"error": {"message", "type", "param", "code"}}``."""
    body = {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}}
    headers = []
    if (rate := error.rate) is not None:
        # https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
        told = (("limit", rate.limit), ("remaining", rate.remaining), ("reset", f"{rate.reset_s:.3f}s"))
        headers = [(f"x-ratelimit-{name}-{rate.kind}", str(value)) for name, value in told]
    return _reply(error, body, headers)


def anthropic_error(error: ApiError, request_id: str) -> HttpReply:
    """``{"type": "error", "error": {"type", "message"}, "request_id"}``: https://docs.claude.com/en/api/errors."""
    kind = _ANTHROPIC_TYPES.get(error.status, "api_error")
    headers = []
    if (rate := error.rate) is not None:
        # https://docs.anthropic.com/en/api/rate-limits#response-headers
        reset = datetime.now(UTC) + timedelta(seconds=math.ceil(rate.reset_s))
        told = (
            ("limit", rate.limit),
            ("remaining", rate.remaining),
            ("reset", f"{reset:%Y-%m-%dT%H:%M:%SZ}"),
        )
        headers = [(f"anthropic-ratelimit-{rate.kind}-{name}", str(value)) for name, value in told]
    said: dict[str, Any] = {"type": kind, "message": error.message}
    if error.code == THREAD_NOT_FOUND:
        said["details"] = {"error_code": error.code}
    return _reply(error, {"type": "error", "error": said, "request_id": request_id}, headers)


def request_id_header(api: str) -> str:
    """By which name clients of an API look for the id of a request, on errors and on answers."""
    return "request-id" if api == "anthropic" else "x-request-id"


def _reply(error: ApiError, body: object, more: Iterable[tuple[str, str]] = ()) -> HttpReply:
    headers = [("content-type", "application/json"), *more]
    if error.retry_after_s is not None:
        # Rounded up: who comes too early is refused again.
        headers.append(("retry-after", str(max(1, math.ceil(error.retry_after_s)))))
    if error.allow is not None:
        headers.append(("allow", error.allow))
    return HttpReply(error.status, headers, msgspec.json.encode(body))


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
