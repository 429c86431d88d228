"""What must hold before a client sees a candidate's answer; where it does not, the next target is asked.

Covered: answers and tool arguments against the schema the request carries; prompts that do not fit the context, as the
engine counts them with the model's own tokenizer (llama.cpp, vLLM and remote APIs say so themselves, Ollama would cut
them and is asked beforehand); the time to the first byte.
Not covered: other servers that cut a prompt without a word; do not put such an endpoint behind a route.
"""

from __future__ import annotations

from typing import Any

import msgspec
from pyreqwest.exceptions import RequestError

from freehold.gateway.exchange import Exchange
from freehold.gateway.state import WorkerState
from freehold.gateway.upstream import close, failure
from freehold.types.endpoint import Endpoint
from freehold.wire import ollama, openai
from freehold.wire.errors import ApiError

_CONTEXT_SIGNS = (
    b"context_length_exceeded",
    b"exceed_context_size",
    b"context length",
    b"context size",
    b"prompt is too long",
)
CONTEXT_STATUSES = frozenset((400, 413, 422))


class NextTarget(Exception):
    """The client has nothing yet, and another target shall be asked. The text says why."""


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
    return status in CONTEXT_STATUSES and any(sign in body.lower() for sign in _CONTEXT_SIGNS)


def hold_context(state: WorkerState, exchange: Exchange, status: int, body: bytes, *, last: bool) -> None:
    """Raise where an endpoint says that the prompt does not fit: `NextTarget`, or at the `last` one `ApiError`."""
    route = exchange.route
    if (route is not None and not route.guard.context) or not is_context_error(status, body):
        return
    outcome = "refused" if last else "fallback"
    state.meters.count("freehold_guard_events", exchange.route_name, "context", outcome)
    if not last:
        raise NextTarget("context")
    raise _context_error(body)


def may_be_cut(endpoint: Endpoint, body: bytes) -> bool:
    """Must an endpoint be asked whether a prompt fits? A token has at least one byte, so a short body always does."""
    return endpoint.engine == "ollama" and len(body) > (endpoint.context_tokens or 0) > 0


async def check_fits(
    state: WorkerState, exchange: Exchange, endpoint: Endpoint, headers: Any, body: bytes, *, last: bool
) -> None:
    """Ask Ollama whether it would cut a prompt. It keeps what it read, so the request itself costs little more.

    Raises what `hold_context` raises, and `UpstreamFailure`.
    """
    opened = await state.upstreams.open(endpoint, "/api/chat", headers, ollama.probe_from_openai(body))
    try:
        answer = await opened.whole()
    except RequestError as error:
        raise failure(endpoint, error) from error
    finally:
        await close(opened)
    hold_context(state, exchange, opened.status, answer, last=last)


def _context_error(body: bytes) -> ApiError:
    """The same in OpenAI's words."""
    try:
        said = msgspec.json.decode(body)["error"]
        said = said["message"] if isinstance(said, dict) else said
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
