"""Whether a request's fields have the types that its API says: for what is translated or answered by an engine here.

One decoding into typed records, without values being made of what is not looked at. The errors are OpenAI's: code,
`param` by the path of the field, words alike; a client of Anthropic's API reads the path in Anthropic's spelling.
A rented endpoint that is asked in its own API checks its requests itself.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from freehold.wire.errors import ApiError

_PATH = re.compile(r" - at `\$\.?([^`]*)`$")
_MISSING = re.compile(r"^Object missing required field `([^`]+)`")
_INDEX = re.compile(r"\[(\d+)\]")


class _Function(msgspec.Struct, gc=False):
    name: str
    description: str | None = None
    parameters: dict[str, msgspec.Raw] | None = None
    strict: bool | None = None


class _Tool(msgspec.Struct, gc=False):
    type: str
    function: _Function | None = None


class _Schema(msgspec.Struct, gc=False):
    name: str
    schema: dict[str, msgspec.Raw] | None = None
    strict: bool | None = None
    description: str | None = None


class _Form(msgspec.Struct, gc=False):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _Schema | None = None


class _Message(msgspec.Struct, gc=False):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, msgspec.Raw]] | None = None
    tool_calls: list[dict[str, msgspec.Raw]] | None = None


class _Sampled(msgspec.Struct, gc=False):
    """What all of OpenAI's ways to ask for a text have."""

    stop: str | list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    n: int | None = None
    seed: int | None = None
    stream: bool | None = None
    stream_options: dict[str, msgspec.Raw] | None = None
    user: str | None = None


class _Chat(_Sampled, gc=False, kw_only=True):
    messages: list[_Message]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, msgspec.Raw] | None = None
    parallel_tool_calls: bool | None = None
    response_format: _Form | None = None


class _Completion(_Sampled, gc=False, kw_only=True):
    prompt: str | list[Any]
    max_tokens: int | None = None
    logprobs: int | None = None


class _Embedding(msgspec.Struct, gc=False):
    input: str | list[Any]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None


class _ResponseTool(msgspec.Struct, gc=False):
    type: str
    name: str | None = None
    parameters: dict[str, msgspec.Raw] | None = None


class _TextForm(msgspec.Struct, gc=False):
    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema: dict[str, msgspec.Raw] | None = None


class _Text(msgspec.Struct, gc=False):
    format: _TextForm | None = None


class _Response(msgspec.Struct, gc=False):
    input: str | list[dict[str, msgspec.Raw]]
    instructions: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    stream: bool | None = None
    store: bool | None = None
    tools: list[_ResponseTool] | None = None
    tool_choice: str | dict[str, msgspec.Raw] | None = None
    parallel_tool_calls: bool | None = None
    text: _Text | None = None
    reasoning: dict[str, msgspec.Raw] | None = None
    include: list[str] | None = None
    metadata: dict[str, msgspec.Raw] | None = None


class _Turn(msgspec.Struct, gc=False):
    role: str
    content: str | list[dict[str, msgspec.Raw]]


class _MessageTool(msgspec.Struct, gc=False):
    name: str
    type: str | None = None
    input_schema: dict[str, msgspec.Raw] | None = None


class _Counted(msgspec.Struct, gc=False):
    messages: list[_Turn]
    system: str | list[dict[str, msgspec.Raw]] | None = None
    tools: list[_MessageTool] | None = None
    tool_choice: dict[str, msgspec.Raw] | None = None


class _Asked(_Counted, gc=False, kw_only=True):
    max_tokens: int
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stream: bool | None = None
    metadata: dict[str, msgspec.Raw] | None = None


_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    "chat": msgspec.json.Decoder(_Chat),
    "completions": msgspec.json.Decoder(_Completion),
    "embeddings": msgspec.json.Decoder(_Embedding),
    "responses": msgspec.json.Decoder(_Response),
    "messages": msgspec.json.Decoder(_Asked),
    "count_tokens": msgspec.json.Decoder(_Counted),
}


def check_types(kind: str, body: bytes) -> None:
    """Raise `ApiError` (400) for a field that is missing, empty or of another type than its API says."""
    try:
        asked = _DECODERS[kind].decode(body)
    except msgspec.ValidationError as error:
        raise _wrong(kind, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"the request body is not a JSON object: {error}") from None
    match asked:
        case _Chat():
            _check_chat(asked)
        case _Response():
            _check_response(asked)
        case _Counted():
            if not asked.messages:
                raise _error(kind, "messages", "at least one message is required", "empty_array")
            if isinstance(asked, _Asked) and asked.max_tokens < 1:
                raise _error(
                    kind,
                    "max_tokens",
                    "Input should be greater than or equal to 1",
                    "integer_below_min_value",
                )
            for place, tool in enumerate(asked.tools or ()):
                if tool.type in (None, "custom") and tool.input_schema is None:
                    raise _error(
                        kind, f"tools[{place}].input_schema", "Field required", "missing_required_parameter"
                    )
        case _Completion(prompt=[]):
            raise _empty("prompt")
        case _Embedding(input=[]) | _Embedding(input=""):
            raise _empty("input")


def _check_chat(asked: _Chat) -> None:
    if not asked.messages:
        raise _empty("messages")
    for place, tool in enumerate(asked.tools or ()):
        if tool.type == "function" and tool.function is None:
            raise _missing(f"tools[{place}].function")
    if asked.response_format is not None and asked.response_format.type == "json_schema":
        if asked.response_format.json_schema is None:
            raise _missing("response_format.json_schema")
        if asked.response_format.json_schema.schema is None:
            raise _missing("response_format.json_schema.schema")
    choice = asked.tool_choice
    if isinstance(choice, str) and choice not in ("none", "auto", "required"):
        raise ApiError(
            400,
            f"Invalid value for 'tool_choice': '{choice[:100]}'. Supported values are: 'none', 'auto', and 'required'.",
            code="invalid_value",
            param="tool_choice",
        )
    if choice not in (None, "none") and not asked.tools:
        raise ApiError(400, "'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")


def _check_response(asked: _Response) -> None:
    if not asked.input:
        raise _empty("input")
    for place, tool in enumerate(asked.tools or ()):
        if tool.type == "function" and not tool.name:
            raise _missing(f"tools[{place}].name")
    form = None if asked.text is None else asked.text.format
    if form is not None and form.type == "json_schema":
        for name in ("name", "schema"):
            if getattr(form, name) is None:
                raise _missing(f"text.format.{name}")


def _wrong(kind: str, told: str) -> ApiError:
    found = _PATH.search(told)
    path = found[1] if found is not None else ""
    words = told[: found.start()] if found is not None else told
    missing = _MISSING.match(words)
    if missing is not None:
        param = f"{path}.{missing[1]}" if path else missing[1]
        if kind in ("messages", "count_tokens"):
            return _error(kind, param, "Field required", "missing_required_parameter")
        return _missing(param)
    words = words[:1].lower() + words[1:500]
    if not path:
        return ApiError(400, f"the request body is not a JSON object: {words}")
    if kind in ("messages", "count_tokens"):
        return _error(kind, path, words, "invalid_type")
    return ApiError(400, f"Invalid type for '{path}': {words}.", code="invalid_type", param=path)


def _missing(param: str) -> ApiError:
    return ApiError(
        400, f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param
    )


def _empty(param: str) -> ApiError:
    return ApiError(
        400,
        f"Invalid '{param}': empty. Expected at least one.",
        code="empty_array",
        param=param,
    )


def _error(kind: str, path: str, words: str, code: str) -> ApiError:
    """In Anthropic's spelling: ``tools.0.input_schema: Field required``."""
    assert kind in ("messages", "count_tokens")
    spelled = _INDEX.sub(r".\1", path)
    return ApiError(400, f"{spelled}: {words}", code=code, param=path)
