"""Whether a request's fields have the types that its API says: for what is translated or answered by an engine here.

One decoding into typed records, without values being made of what is not looked at. The errors are OpenAI's: code,
`param` by the path of the field, words alike; a client of Anthropic's API reads the path in Anthropic's spelling.
A rented endpoint that is asked in its own API checks its requests itself.

https://platform.openai.com/docs/api-reference and https://docs.claude.com/en/api/messages, read 2026-11-29. Values
that are not looked into stay unread.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from freehold.wire.errors import ApiError

_Fraction = Annotated[float, Meta(ge=0, le=1)]
_Heat = Annotated[float, Meta(ge=0, le=2)]
_Penalty = Annotated[float, Meta(ge=-2, le=2)]
_Count = Annotated[int, Meta(ge=1)]
# What OpenAI's and Anthropic's references say of the names of tools.
_ToolName = Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,128}$")]


class AskedFunction(msgspec.Struct, gc=False):
    name: _ToolName
    description: str | None = None
    parameters: dict[str, msgspec.Raw] | None = None
    strict: bool | None = None


class AskedTool(msgspec.Struct, gc=False):
    type: str
    function: AskedFunction | None = None


class AskedSchema(msgspec.Struct, gc=False):
    name: str
    schema: dict[str, msgspec.Raw] | None = None
    strict: bool | None = None
    description: str | None = None


class AskedForm(msgspec.Struct, gc=False):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: AskedSchema | None = None


class AskedPart(msgspec.Struct, gc=False):
    """A part of a message's content: OpenAI's types, and those of vLLM beside them."""

    type: Literal["text", "image_url", "input_audio", "file", "refusal", "audio_url", "video_url", "thinking"]
    text: str | None = None
    image_url: dict[str, msgspec.Raw] | None = None


class AskedTurn(msgspec.Struct, gc=False):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[AskedPart] | None = None
    tool_calls: list[dict[str, msgspec.Raw]] | None = None
    tool_call_id: str | None = None


class AskedSampling(msgspec.Struct, gc=False):
    """What all of OpenAI's ways to ask for a text have."""

    stop: str | list[str] | None = None
    temperature: _Heat | None = None
    top_p: _Fraction | None = None
    frequency_penalty: _Penalty | None = None
    presence_penalty: _Penalty | None = None
    n: _Count | None = None
    seed: int | None = None
    stream: bool | None = None
    stream_options: dict[str, msgspec.Raw] | None = None
    user: str | None = None


class AskedChat(AskedSampling, gc=False, kw_only=True):
    messages: list[AskedTurn]
    max_tokens: _Count | None = None
    max_completion_tokens: _Count | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[AskedTool] | None = None
    tool_choice: str | dict[str, msgspec.Raw] | None = None
    parallel_tool_calls: bool | None = None
    response_format: AskedForm | None = None


class AskedCompletion(AskedSampling, gc=False, kw_only=True):
    prompt: str | list[Any]
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    logprobs: int | None = None


class AskedEmbeddings(msgspec.Struct, gc=False):
    input: str | list[Any]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None


class ResponseTool(msgspec.Struct, gc=False):
    type: str
    name: str | None = None
    parameters: dict[str, msgspec.Raw] | None = None


class ResponseForm(msgspec.Struct, gc=False):
    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema: dict[str, msgspec.Raw] | None = None


class ResponseText(msgspec.Struct, gc=False):
    format: ResponseForm | None = None


class AskedResponse(msgspec.Struct, gc=False):
    input: str | list[dict[str, msgspec.Raw]]
    instructions: str | None = None
    temperature: _Heat | None = None
    top_p: _Fraction | None = None
    max_output_tokens: _Count | None = None
    max_tool_calls: int | None = None
    stream: bool | None = None
    store: bool | None = None
    tools: list[ResponseTool] | None = None
    tool_choice: str | dict[str, msgspec.Raw] | None = None
    parallel_tool_calls: bool | None = None
    text: ResponseText | None = None
    reasoning: dict[str, msgspec.Raw] | None = None
    include: list[str] | None = None
    metadata: dict[str, msgspec.Raw] | None = None
    truncation: Literal["auto", "disabled"] | None = None


class MessageBlock(msgspec.Struct, gc=False):
    type: str
    text: str | None = None


class MessageTurn(msgspec.Struct, gc=False):
    role: str
    content: str | list[MessageBlock]


class MessageTool(msgspec.Struct, gc=False):
    name: _ToolName
    type: str | None = None
    input_schema: dict[str, msgspec.Raw] | None = None


class AskedCount(msgspec.Struct, gc=False):
    messages: list[MessageTurn]
    system: str | list[dict[str, msgspec.Raw]] | None = None
    tools: list[MessageTool] | None = None
    tool_choice: dict[str, msgspec.Raw] | None = None


class AskedMessage(AskedCount, gc=False, kw_only=True):
    max_tokens: _Count
    stop_sequences: list[str] | None = None
    temperature: _Fraction | None = None
    top_p: _Fraction | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None
    stream: bool | None = None
    metadata: dict[str, msgspec.Raw] | None = None


_PATH = re.compile(r" - at `\$\.?([^`]*)`$")
_MISSING = re.compile(r"^Object missing required field `([^`]+)`")
_INDEX = re.compile(r"\[(\d+)\]")
_OUT_OF_BOUNDS = re.compile(r"^Expected `(int|float)` ([<>]=) (-?[\d.]+)")
_NOT_A_VALUE = re.compile(r"^Invalid enum value '([^']*)'")


_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    "chat": msgspec.json.Decoder(AskedChat),
    "completions": msgspec.json.Decoder(AskedCompletion),
    "embeddings": msgspec.json.Decoder(AskedEmbeddings),
    "responses": msgspec.json.Decoder(AskedResponse),
    "messages": msgspec.json.Decoder(AskedMessage),
    "count_tokens": msgspec.json.Decoder(AskedCount),
}


_ANTHROPICS = ("messages", "count_tokens")
# Of the request's blocks; which of them a model here can be given is said where they are translated.
# https://docs.claude.com/en/api/messages
_BLOCKS = frozenset(
    (
        *(
            "text",
            "image",
            "document",
            "search_result",
            "thinking",
            "redacted_thinking",
            "tool_use",
            "tool_result",
        ),
        *("server_tool_use", "web_search_tool_result", "web_fetch_tool_result", "container_upload"),
        *("code_execution_tool_result", "bash_code_execution_tool_result", "tool_search_tool_result"),
        *("text_editor_code_execution_tool_result", "mcp_tool_use", "mcp_tool_result"),
    )
)


_NAMES: dict[str, tuple[tuple[re.Pattern[str], str], ...]] = {
    kind: tuple((re.compile(f"^{pattern}$"), name) for pattern, name in names.items())
    for kind, names in {
        "responses": {
            "response_format": "text.format.schema",
            r"tools\[(\d+)\]\.function\.parameters": r"tools[\1].parameters",
            "messages": "input",
        },
        "messages": {
            "response_format": "output_config.format.schema",
            r"tools\[(\d+)\]\.function\.parameters": r"tools[\1].input_schema",
        },
    }.items()
}


def check_types(kind: str, body: bytes) -> None:
    """Raise `ApiError` (400) for a field that is missing, empty, out of bounds or of another type than its API says.

    `kind` is that of the path.
    """
    try:
        asked = _DECODERS[kind].decode(body)
    except msgspec.ValidationError as error:
        raise _wrong(kind, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"the request body is not a JSON object: {error}") from None
    match asked:
        case AskedChat():
            _check_chat(asked)
        case AskedResponse():
            _check_response(asked)
        case AskedCount():
            _check_message(kind, asked)
        case AskedCompletion(prompt=[]):
            raise _empty("prompt")
        case AskedEmbeddings(input=[]) | AskedEmbeddings(input=""):
            raise _empty("input")
        case AskedEmbeddings(input=list() as texts) if "" in texts:
            raise _empty(f"input[{texts.index('')}]")


def in_words_of(kind: str, error: ApiError) -> ApiError:
    """An error about a field of a chat request, as one about that of the client's API which became it."""
    names = _NAMES.get(kind, ())
    param = error.param or ""
    for pattern, name in names:
        param = pattern.sub(name, param)
    if not names or not param or param == error.param:
        return error
    message = error.message
    if kind in _ANTHROPICS:
        spelled = _INDEX.sub(r".\1", param)
        message = f"{spelled}: {message}"
    return ApiError(error.status, message, code=error.code, param=param)


def _check_turns(turns: list[AskedTurn]) -> None:
    for place, turn in enumerate(turns):
        content = turn.content
        if content is None and turn.role not in ("assistant", "function"):
            raise _missing(f"messages[{place}].content")
        if turn.role == "tool" and turn.tool_call_id is None:
            raise _missing(f"messages[{place}].tool_call_id")
        if content.__class__ is list:
            for number, part in enumerate(content):
                if part.type in ("text", "image_url") and getattr(part, part.type) is None:
                    raise _missing(f"messages[{place}].content[{number}].{part.type}")


def _check_chat(asked: AskedChat) -> None:
    if not asked.messages:
        raise _empty("messages")
    _check_turns(asked.messages)
    for place, tool in enumerate(asked.tools or ()):
        if tool.type != "function":
            told = f"'{tool.type[:100]}'. The model can be given functions only."
            raise _invalid(f"tools[{place}].type", f"Invalid value for 'tools[{place}].type': {told}")
        if tool.function is None:
            raise _missing(f"tools[{place}].function")
    if asked.stream_options is not None and not asked.stream:
        raise _invalid(
            "stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        )
    if asked.top_logprobs is not None and not asked.logprobs:
        raise _invalid(
            "top_logprobs", "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled."
        )
    if asked.response_format is not None and asked.response_format.type == "json_schema":
        if asked.response_format.json_schema is None:
            raise _missing("response_format.json_schema")
        if asked.response_format.json_schema.schema is None:
            raise _missing("response_format.json_schema.schema")
    choice = asked.tool_choice
    if isinstance(choice, str) and choice not in ("none", "auto", "required"):
        known = "'none', 'auto', and 'required'"
        raise _invalid(
            "tool_choice",
            f"Invalid value for 'tool_choice': '{choice[:100]}'. Supported values are: {known}.",
        )
    if choice not in (None, "none") and not asked.tools:
        raise ApiError(400, "'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
    if isinstance(choice, dict) and "function" in choice:
        _check_named(choice["function"], [tool.function.name for tool in asked.tools or () if tool.function])


class _NamedFunction(msgspec.Struct, gc=False):
    name: str


def _check_named(chosen: msgspec.Raw, offered: list[str]) -> None:
    try:
        name = msgspec.json.decode(chosen, type=_NamedFunction).name
    except msgspec.ValidationError:
        raise _missing("tool_choice.function.name") from None
    if name not in offered:
        told = f"Invalid value: 'tool_choice' names '{name[:100]}', which is not one of 'tools'."
        raise _invalid("tool_choice", told)


def _check_message(kind: str, asked: AskedCount) -> None:
    if not asked.messages:
        raise _error(kind, "messages", "at least one message is required", "empty_array")
    for place, turn in enumerate(asked.messages):
        if turn.content.__class__ is not list:
            continue
        for number, block in enumerate(turn.content):
            path = f"messages[{place}].content[{number}]"
            if block.type == "text" and block.text is None:
                raise _error(kind, f"{path}.text", "Field required", "missing_required_parameter")
            if block.type not in _BLOCKS:
                raise _error(kind, f"{path}.type", f"{block.type[:100]!r} is not a type", "invalid_value")
    for place, tool in enumerate(asked.tools or ()):
        if tool.type in (None, "custom") and tool.input_schema is None:
            raise _error(kind, f"tools[{place}].input_schema", "Field required", "missing_required_parameter")
    if asked.tool_choice is not None:
        _check_chosen(kind, asked.tool_choice, [tool.name for tool in asked.tools or ()])


def _check_chosen(kind: str, choice: dict[str, msgspec.Raw], offered: list[str]) -> None:
    said = msgspec.json.decode(choice.get("type", b"null"))
    if said not in ("auto", "any", "tool", "none"):
        words = f"{str(said)[:100]!r} is not one of 'auto', 'any', 'tool', 'none'"
        raise _error(kind, "tool_choice.type", words, "invalid_value")
    if said == "tool" and (name := msgspec.json.decode(choice.get("name", b"null"))) not in offered:
        words = f"Tool {str(name)[:100]!r} not found in provided tools"
        raise _error(kind, "tool_choice.name", words, "invalid_value")


def _check_response(asked: AskedResponse) -> None:
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
        if kind in _ANTHROPICS:
            return _error(kind, param, "Field required", "missing_required_parameter")
        return _missing(param)
    code = "invalid_type"
    if (bound := _OUT_OF_BOUNDS.match(words)) is not None:
        what, side, value = bound.groups()
        kept = "less" if side == "<=" else "greater"
        number = "integer" if what == "int" else "decimal"
        code = f"{number}_{'above_max' if side == '<=' else 'below_min'}_value"
        words = f"Input should be {kept} than or equal to {float(value):g}"
        if kind not in _ANTHROPICS:
            limit = "above maximum" if side == "<=" else "below minimum"
            words = f"Invalid '{path}': {number} {limit} value. Expected a value {side} {float(value):g}."
            return ApiError(400, words, code=code, param=path)
    elif (other := _NOT_A_VALUE.match(words)) is not None and kind not in _ANTHROPICS:
        return _invalid(path, f"Invalid value for '{path}': '{other[1][:100]}'.")
    else:
        words = words[:1].lower() + words[1:500]
    if not path:
        return ApiError(400, f"the request body is not a JSON object: {words}")
    if kind in _ANTHROPICS:
        return _error(kind, path, words, code)
    return ApiError(400, f"Invalid type for '{path}': {words}.", code="invalid_type", param=path)


def _missing(param: str) -> ApiError:
    return ApiError(
        400, f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param
    )


def _invalid(param: str, message: str) -> ApiError:
    return ApiError(400, message, code="invalid_value", param=param)


def _empty(param: str) -> ApiError:
    message = f"Invalid '{param}': empty. Expected at least one."
    return ApiError(400, message, code="empty_array", param=param)


def _error(kind: str, path: str, words: str, code: str) -> ApiError:
    """In Anthropic's spelling: ``tools.0.input_schema: Field required``."""
    assert kind in _ANTHROPICS
    spelled = _INDEX.sub(r".\1", path)
    return ApiError(400, f"{spelled}: {words}", code=code, param=path)
