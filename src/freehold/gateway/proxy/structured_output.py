"""Structured output: what a request says about the form of its answer, and whether an answer meets it.

Judged in the words of OpenAI's chat API, whichever API the client and the endpoint speak: JSON by `response_format`,
and the arguments of tool calls by the tools' parameters.

A tool call that an engine was told to make and did not is asked for once more as JSON of the call's form: llama.cpp's
grammar of a demanded call (2026-11) lets any text go before it, so a small model talks until its length limit and the
demand is passed over in silence. Its grammar of a JSON schema lets nothing go before, and the JSON is told as the call
it stands for.
"""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple

import msgspec

from freehold.gateway.messages import ApiKind
from freehold.types.endpoint import Endpoint
from freehold.wire import anthropic, openai, responses
from freehold.wire.errors import UNREADABLE, ApiError
from freehold.wire.openai import AssembledAnswer
from freehold.wire.tool_choice import may_be_called, named_tools, tool_name


class OutputContract(NamedTuple):
    """`form` is the chat API's response_format where it asks for JSON; `tools` are those that may be called.

    `demanded` is the tool that must be called: its name, empty for any of them, None where none must be.
    """

    form: dict[str, Any] | None
    tools: list[Any]
    demanded: str | None = None

    @property
    def schema(self) -> dict[str, Any]:
        """What the answer's text must meet."""
        described = (self.form or {}).get("json_schema")
        schema = described.get("schema") if isinstance(described, dict) else None
        return schema if isinstance(schema, dict) else {"type": "object"}


class _Choice(msgspec.Struct):
    tool_choice: Any = None


def demanded_tool(choice: Any) -> str | None:
    """The tool a chat request's ``tool_choice`` says must be called: its name, empty for any, None for no demand."""
    if choice == "required":
        return ""
    named = named_tools(choice)
    if named is None or named.mode != "required":
        return None
    return tool_name(choice) or ""


def demands_a_tool(body: bytes) -> bool:
    """Whether a chat request says that a tool must be called."""
    if b'"tool_choice"' not in body:
        return False
    try:
        return demanded_tool(msgspec.json.decode(body, type=_Choice).tool_choice) is not None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


class ContractViolation(NamedTuple):
    """Why an answer breaks its contract. `tool` is the called one, None for a text; `cut` by the length limit.

    `undecided`: nothing is known, except that finding out takes too much. `uncalled`: no tool was called where one must
    be.
    """

    why: str
    tool: str | None = None
    cut: bool = False
    undecided: bool = False
    uncalled: bool = False


def contract_of(kind: ApiKind, body: bytes, peek: openai.Peek) -> OutputContract | None:
    """The contract of a request; None where it has none, or none that can be read."""
    tools, form = bytes(peek.tools), bytes(peek.response_format)
    if tools in (b"", b"null", b"[]") and b'"json_' not in (form if kind == "chat" else body):
        return None
    try:
        match kind:
            case "chat":
                chat = {
                    name: msgspec.json.decode(raw) for name, raw in (("tools", tools), ("form", form)) if raw
                }
                chat["tool_choice"] = msgspec.json.decode(body, type=_Choice).tool_choice
            case "messages" | "responses":
                read = anthropic.read_request if kind == "messages" else responses.read_request
                chat = msgspec.json.decode(read(body))
                chat["form"] = chat.get("response_format")
            case _:
                return None
    except (ApiError, *UNREADABLE):
        return None
    response_format = chat.get("form")
    wants_json = isinstance(response_format, dict) and response_format.get("type") in (
        "json_object",
        "json_schema",
    )
    contract = OutputContract(
        response_format if wants_json else None,
        may_be_called(chat.get("tools") or [], chat.get("tool_choice")),
        demanded_tool(chat.get("tool_choice")),
    )
    return contract if contract.form or contract.tools else None


def answer_of(kind: ApiKind, endpoint: Endpoint, body: bytes, *, streamed: bool) -> AssembledAnswer:
    """An endpoint's answer as a chat completion."""
    reader: Any = openai
    if endpoint.api == "anthropic":
        reader = anthropic
    elif kind == "responses" and endpoint.capabilities.responses:
        reader = responses
    try:
        answer: AssembledAnswer = reader.read_stream(body) if streamed else reader.read_answer(body)
    except UNREADABLE:
        return AssembledAnswer(None, None, None, False)
    return answer


def violation_of(contract: OutputContract, answer: AssembledAnswer) -> ContractViolation | None:
    """Why an answer does not meet its contract; None when it does.

    An answer that was cut off by its length limit is judged as it is: half a JSON object is not a JSON object.
    """
    choices = None if answer.body is None else answer.body.get("choices")
    if (
        not isinstance(choices, list)
        or not choices
        or not all(isinstance(choice, dict) for choice in choices)
    ):
        return ContractViolation("the answer cannot be read")
    if not answer.ended:
        return ContractViolation("the answer broke off")
    for choice in choices:
        message = choice.get("message") or {}
        cut = choice.get("finish_reason") == "length"
        calls = message.get("tool_calls") or ()
        for call in calls:
            reason, tool = _call_error(call, contract.tools)
            if reason is not None:
                return ContractViolation(reason, tool or "", cut)
        if not calls and contract.demanded is not None:
            why = "no tool was called, and the request demands one"
            return ContractViolation(why, contract.demanded, cut, uncalled=True)
        if not calls and contract.form is not None and not message.get("refusal"):
            reason = _content_error(message.get("content"), contract)
            if reason is not None:
                return ContractViolation(reason, None, cut)
    return None


def constrained_request(
    contract: OutputContract, violation: ContractViolation, endpoint: Endpoint, body: bytes
) -> bytes | None:
    """The request once more, with the engine itself constrained to the form of the answer; None where it cannot be.

    A text is requested by its JSON schema and without tools, a call as a call of that one tool. An answer that ran
    into its length limit would do so again; one that may be a text or a call has no one form.
    """
    if violation.tool is None and contract.form is None:
        return None
    if violation.cut or endpoint.api != "openai" or not endpoint.capabilities.json_schema:
        return None
    if violation.tool is not None:
        tools = [tool for tool in contract.tools if tool_name(tool) == violation.tool] or contract.tools
        changes: dict[str, Any] = {"tools": tools, "tool_choice": "required"}
    else:
        schema = {"name": "answer", "schema": contract.schema, "strict": True}
        changes = {"response_format": {"type": "json_schema", "json_schema": schema}}
        if contract.tools:
            changes |= {"tools": None, "tool_choice": None}
        if endpoint.engine_kind.schema_field is not None:
            changes[endpoint.engine_kind.schema_field] = {"json": contract.schema}
    again = openai.splice(body, changes)
    return again if again != body else None


def _call_error(call: Any, tools: list[Any]) -> tuple[str | None, str | None]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return "a tool call without a function", None
    name = function.get("name")
    declared = next(
        (tool["function"] for tool in tools if name is not None and tool_name(tool) == name), None
    )
    if declared is None:
        return f"the tool {str(name)[:60]} was not offered", None
    try:
        arguments = msgspec.json.decode(function.get("arguments") or "{}")
    except (msgspec.DecodeError, TypeError):
        return f"the arguments of the tool {name} are not JSON", name
    return _schema_error(arguments, declared.get("parameters")), name


def _content_error(content: Any, contract: OutputContract) -> str | None:
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, TypeError):
        return "the answer is not JSON"
    if (contract.form or {}).get("type") == "json_object":
        return None if isinstance(value, dict) else "the answer is not a JSON object"
    return _schema_error(value, contract.schema)


def _schema_error(value: Any, schema: Any) -> str | None:
    if not isinstance(schema, dict):
        return None
    from jsonschema import Draft202012Validator, SchemaError
    from jsonschema.exceptions import UnknownType
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    # The empty registry: a schema that points to an address must not be fetched.
    validator = Draft202012Validator(schema, registry=Registry())
    try:
        error = next(validator.iter_errors(value), None)
    except (SchemaError, UnknownType, Unresolvable, TypeError, ValueError, LookupError, RecursionError):
        return "the request's schema cannot be checked"
    return None if error is None else f"the answer does not meet its schema at {error.json_path}"


def request_of_call(contract: OutputContract, body: bytes) -> bytes | None:
    """The request whose answer is one of the demanded calls as JSON; None where no tool that is offered is demanded."""
    tools = _demanded(contract)
    if not tools:
        return None
    schema = _schema(tools[0], "#")
    if len(tools) > 1:
        # Each by its name, for llama.cpp follows references through objects alone.
        forms = {f"call_{number}": tool for number, tool in enumerate(tools)}
        schema = {
            "anyOf": [{"$ref": f"#/$defs/{name}"} for name in forms],
            "$defs": {name: _schema(tool, f"#/$defs/{name}") for name, tool in forms.items()},
        }
    described = {"name": "call", "schema": schema, "strict": True}
    changes = {"response_format": {"type": "json_schema", "json_schema": described}, "tool_choice": "none"}
    return openai.splice(body, changes)


def told_as_call(contract: OutputContract, answer: bytes, *, streamed: bool) -> bytes:
    """The answer to `request_of_call`, with calls in the place of their JSON; as it came where it is not whole JSON."""
    try:
        chat = (openai.read_stream(answer) if streamed else openai.read_answer(answer)).body
        names = {tool_name(tool) for tool in _demanded(contract)}
        choices = [_as_call(choice, names) for choice in (chat or {})["choices"]]
    except UNREADABLE:
        return answer
    whole = {**(chat or {}), "choices": choices}
    return _events(whole) if streamed else msgspec.json.encode(whole)


def _demanded(contract: OutputContract) -> list[dict[str, Any]]:
    named = [tool for tool in contract.tools if tool_name(tool) is not None]
    return [tool for tool in named if contract.demanded in ("", tool_name(tool))]


def _schema(tool: dict[str, Any], place: str) -> dict[str, Any]:
    parameters = tool["function"].get("parameters") or {"type": "object"}
    return {
        "type": "object",
        "properties": {
            "name": {"const": tool_name(tool)},
            "arguments": _moved(parameters, f"{place}/properties/arguments"),
        },
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _moved(schema: Any, place: str) -> Any:
    """A schema whose references to its own root lead to `place`. As deep as requests may be nested."""
    if isinstance(schema, list):
        return [_moved(one, place) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: place + value[1:]
        if name == "$ref" and isinstance(value, str) and value[:1] == "#"
        else _moved(value, place)
        for name, value in schema.items()
    }


def _as_call(choice: dict[str, Any], names: set[str | None]) -> dict[str, Any]:
    """Raises one of `UNREADABLE` for a choice that is not one of the calls."""
    told = msgspec.json.decode(choice["message"]["content"])
    if told["name"] not in names:
        raise ValueError("another tool")
    function = {"name": told["name"], "arguments": msgspec.json.encode(told["arguments"]).decode()}
    call = {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"index": choice.get("index", 0), "message": message, "finish_reason": "tool_calls"}


def _events(chat: dict[str, Any]) -> bytes:
    """A whole answer with one call in each choice as the events of a stream: the call, its arguments, the end."""
    head: dict[str, Any] = {
        name: chat[name] for name in ("id", "created", "model", "system_fingerprint") if name in chat
    }
    head["object"] = "chat.completion.chunk"
    parts: list[dict[str, Any]] = []
    for choice in chat["choices"]:
        call = choice["message"]["tool_calls"][0]
        begun = {**call, "index": 0, "function": {**call["function"], "arguments": ""}}
        rest = {"index": 0, "function": {"arguments": call["function"]["arguments"]}}
        for delta, finish in (
            ({"role": "assistant", "content": None, "tool_calls": [begun]}, None),
            ({"tool_calls": [rest]}, None),
            ({}, choice["finish_reason"]),
        ):
            told = {"index": choice["index"], "delta": delta, "finish_reason": finish}
            parts.append({**head, "choices": [told]})
    if isinstance(chat.get("usage"), dict):
        parts.append({**head, "choices": [], "usage": chat["usage"]})
    return b"".join(b"data: %b\n\n" % msgspec.json.encode(part) for part in parts) + b"data: [DONE]\n\n"
