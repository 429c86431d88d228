"""The fields of requests that are checked, as OpenAI's and Anthropic's references tell their types and bounds.

https://platform.openai.com/docs/api-reference and https://docs.claude.com/en/api/messages, read 2026-11-29. Values
that are not looked into stay unread.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

_Fraction = Annotated[float, Meta(ge=0, le=1)]
_Heat = Annotated[float, Meta(ge=0, le=2)]
_Penalty = Annotated[float, Meta(ge=-2, le=2)]
_Count = Annotated[int, Meta(ge=1)]
# What OpenAI's and Anthropic's references say of the names of tools; Ollama's says nothing.
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


class OllamaFunction(msgspec.Struct, gc=False):
    name: str
    parameters: dict[str, msgspec.Raw] | None = None


class OllamaTool(msgspec.Struct, gc=False):
    type: str
    function: OllamaFunction | None = None


class AskedOllamaChat(AskedChat, gc=False, kw_only=True):
    """Ollama's options have no bounds that its reference would tell."""

    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    max_tokens: int | None = None
    tools: list[OllamaTool] | None = None  # type: ignore[assignment]  # read only: a list of tools all the same


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
