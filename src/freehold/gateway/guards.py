"""What must hold before a client sees a candidate's answer; where it does not, the next target is asked.

Covered: answers and tool arguments against the schema the request carries, prompts an endpoint says do not
fit its context (it counts them with the model's own tokenizer), the time to the first byte.
Not covered: engines that cut a prompt without a word; do not put such an endpoint behind a route.
"""

from __future__ import annotations

from typing import Any

import msgspec

from freehold.gateway.exchange import Exchange
from freehold.wire import openai
from freehold.wire.errors import ApiError

_CONTEXT_SIGNS = (b"context_length_exceeded", b"exceed_context_size", b"context length", b"context size")


def promises_structure(exchange: Exchange) -> bool:
    """Does the request ask for JSON of a given form, or may it call tools?"""
    seen = exchange.seen
    form = bytes(seen.response_format)
    tools = bytes(seen.tools)
    return (form not in (b"", b"null") and b"json" in form) or tools not in (b"", b"null", b"[]")


def broken_promise(exchange: Exchange, body: bytes) -> str | None:
    """Why an answer is not what the request asked for; None when it is.

    An answer that was cut off by its length limit is judged as it is: half a JSON object is no JSON object.
    """
    answer = openai.read_stream(body) if exchange.streamed else openai.read_answer(body)
    if answer.body is None:
        return "the answer cannot be read"
    seen = exchange.seen
    form = msgspec.json.decode(seen.response_format) if bytes(seen.response_format) else None
    tools = msgspec.json.decode(seen.tools) if bytes(seen.tools) else None
    for choice in answer.body.get("choices") or ():
        message = choice.get("message") or {}
        calls = message.get("tool_calls") or ()
        for call in calls:
            reason = _bad_call(call, tools or ())
            if reason is not None:
                return reason
        if not calls and isinstance(form, dict) and not message.get("refusal"):
            reason = _bad_content(message.get("content"), form)
            if reason is not None:
                return reason
    return None


def is_context_error(status: int, body: bytes) -> bool:
    """Does an endpoint say that the prompt does not fit?"""
    return status in (400, 413, 422) and any(sign in body.lower() for sign in _CONTEXT_SIGNS)


def context_error(body: bytes) -> ApiError:
    """The same in OpenAI's words."""
    try:
        said = msgspec.json.decode(body)["error"]["message"]
    except (msgspec.DecodeError, KeyError, TypeError):
        said = "the prompt does not fit the model's context"
    return ApiError(400, str(said), code="context_length_exceeded", param="messages")


def _bad_call(call: Any, tools: Any) -> str | None:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return "a tool call without a function"
    name = function.get("name")
    declared = next(
        (
            tool["function"]
            for tool in tools
            if isinstance(tool, dict)
            and isinstance(tool.get("function"), dict)
            and tool["function"].get("name") == name
        ),
        None,
    )
    if declared is None:
        return f"the tool {str(name)[:60]} was not offered"
    try:
        arguments = msgspec.json.decode(function.get("arguments") or "{}")
    except msgspec.DecodeError:
        return f"the arguments of the tool {name} are not JSON"
    return _against(arguments, declared.get("parameters"))


def _bad_content(content: Any, form: dict[str, Any]) -> str | None:
    kind = form.get("type")
    if kind not in ("json_object", "json_schema"):
        return None
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, TypeError):
        return "the answer is not JSON"
    if kind == "json_object":
        return None if isinstance(value, dict) else "the answer is not a JSON object"
    return _against(value, (form.get("json_schema") or {}).get("schema"))


def _against(value: Any, schema: Any) -> str | None:
    if not isinstance(schema, dict):
        return None
    from jsonschema import Draft202012Validator, SchemaError
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    # The empty registry: a schema that points to an address must not make us fetch it.
    validator = Draft202012Validator(schema, registry=Registry())
    try:
        error = next(validator.iter_errors(value), None)
    except (SchemaError, Unresolvable, TypeError, ValueError, LookupError, RecursionError):
        return "the request's schema cannot be checked"
    return None if error is None else f"the answer does not meet its schema at {error.json_path}"
