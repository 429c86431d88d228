"""What OpenAI's chat API says of an answer's form: schemas, and calls of tools.

https://platform.openai.com/docs/guides/structured-outputs and /docs/guides/function-calling.
"""

from __future__ import annotations

import json
from typing import Any

from checks import SCHEMA, add_check, chunks, meets_schema, must, openai_error, same
from openai_chat_checks import ask_raw
from pydantic import BaseModel
from rig import CHAT, TEXT, TOOLS, Clients, user

FORM, CALLS = "OpenAI chat: response_format", "OpenAI chat: tools"
TOOL = {"type": "function", "function": {"name": "paint", "description": "Paints.", "parameters": SCHEMA}}
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
NAMED = {"type": "function", "function": {"name": "paint"}}


class Paint(BaseModel):
    colour: str
    count: int


@must(FORM, "text")
def form_text(ask: Clients) -> None:
    same(
        ask.chat(response_format={"type": "text"}).choices[0].message.content,
        ask.chat().choices[0].message.content,
        "content",
    )


@must(FORM, "json_object")
def form_object(ask: Clients) -> None:
    found = ask.chat("A small JSON object", response_format={"type": "json_object"}, max_tokens=300)
    text = found.choices[0].message.content
    if found.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(text), dict)
    assert text.lstrip().startswith("{"), f"{text[:20]!r}"


def form(title: str, schema: dict[str, Any], holds: Any = None, **more: Any) -> None:
    asked = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, **more}}

    def check(ask: Clients) -> None:
        found = ask.chat(response_format=asked, max_tokens=120).choices[0]
        same(found.finish_reason, "stop", "finish_reason")
        value = json.loads(found.message.content)
        meets_schema(value) if holds is None else holds(value)
        parts = ask.chat(response_format=asked, max_tokens=120, stream=True)
        streamed = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
        meets_schema(streamed) if holds is None else holds(json.loads(streamed))

    add_check(FORM, f"json_schema: {title}", check)


def is_true(found: bool) -> None:
    assert found, "the schema is not held"


_PAIR = {"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}}, "required": ["a"],
         "additionalProperties": False, "$defs": {"n": {"type": "string", "enum": ["x", "y"]}}}  # fmt: skip
_CHOICE = {"anyOf": [{"type": "integer", "enum": [1, 2]}, {"type": "null"}]}
form("enums and numbers", SCHEMA)
form("strict", SCHEMA, strict=True, description="A colour")
form("$ref and $defs", _PAIR, lambda value: is_true(value["a"] in ("x", "y")))
form("anyOf", {"type": "object", "properties": {"a": _CHOICE}, "required": ["a"],
               "additionalProperties": False}, lambda value: is_true(value["a"] in (1, 2, None)))  # fmt: skip
form("arrays with bounds", {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "boolean"},
     "minItems": 2, "maxItems": 2}}, "required": ["a"], "additionalProperties": False},
     lambda value: is_true(len(value["a"]) == 2))  # fmt: skip
form("nested objects", {"type": "object", "properties": {"o": SCHEMA}, "required": ["o"],
     "additionalProperties": False}, lambda value: meets_schema(value["o"]))  # fmt: skip
form("const", {"type": "object", "properties": {"a": {"const": "k"}}, "required": ["a"],
     "additionalProperties": False}, lambda value: same(value, {"a": "k"}))  # fmt: skip


@must(FORM, "json_schema: a pattern is held, or the answer is an error")
def form_pattern(ask: Clients) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^Q[0-9]{3}$"}},
              "required": ["a"], "additionalProperties": False}  # fmt: skip
    asked = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    for streamed in (False, True):
        answer = ask_raw(ask, response_format=asked, max_tokens=60, stream=streamed)
        if answer.status_code != 200:
            openai_error(answer, 502)
            continue
        whole = answer.json()["choices"][0]["message"]["content"] if not streamed else "".join(
            one["choices"][0]["delta"].get("content") or "" for one in chunks(answer) if one["choices"])  # fmt: skip
        value = json.loads(whole)["a"]
        assert len(value) == 4 and value[0] == "Q" and value[1:].isdigit(), f"{value!r} breaks the pattern"


@must(FORM, "the SDK's parse reads it into a class")
def form_parse(ask: Clients) -> None:
    found = ask.gpt.chat.completions.parse(
        model=CHAT, messages=user(TEXT), response_format=Paint, max_tokens=120, temperature=0
    )
    assert isinstance(found.choices[0].message.parsed, Paint)


def call_of(ask: Clients, **more: Any) -> Any:
    found = ask.chat(**{"model": TOOLS, "tools": [LOOK, TOOL], "max_tokens": 120, **more}).choices[0]
    assert found.message.tool_calls, f"no call: {found.message.content!r}"
    return found


@must(CALLS, "tool_choice required: a call that meets its schema")
def calls_required(ask: Clients) -> None:
    found = call_of(ask, tools=[TOOL], tool_choice="required")
    call = found.message.tool_calls[0]
    same((call.type, call.function.name), ("function", "paint"), "the call")
    meets_schema(call.function.arguments)
    assert call.id, "no id"
    same(found.finish_reason, "tool_calls", "finish_reason")


@must(CALLS, "tool_choice by name")
def calls_named(ask: Clients) -> None:
    found = call_of(ask, tool_choice=NAMED)
    same({call.function.name for call in found.message.tool_calls}, {"paint"}, "called")


@must(CALLS, "tool_choice allowed_tools")
def calls_allowed(ask: Clients) -> None:
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [NAMED]}}
    found = call_of(ask, tool_choice=allowed)
    same({call.function.name for call in found.message.tool_calls}, {"paint"}, "called")


@must(CALLS, "tool_choice none, auto")
def calls_none(ask: Clients) -> None:
    assert not ask.chat(model=TOOLS, tools=[TOOL], tool_choice="none").choices[0].message.tool_calls
    assert ask.chat(model=TOOLS, tools=[TOOL], tool_choice="auto").choices


@must(CALLS, "parallel_tool_calls false: one call")
def calls_one(ask: Clients) -> None:
    found = call_of(ask, tool_choice="required", parallel_tool_calls=False)
    same(len(found.message.tool_calls), 1, "the number of calls")


@must(CALLS, "streamed: id and name first, arguments in pieces, finish_reason tool_calls")
def calls_streamed(ask: Clients) -> None:
    parts = chunks(
        ask_raw(ask, model=TOOLS, tools=[TOOL], tool_choice="required", max_tokens=120, stream=True)
    )
    found = [part["choices"][0] for part in parts if part["choices"]]
    deltas = [call for one in found for call in one["delta"].get("tool_calls") or ()]
    assert deltas[0]["id"] and deltas[0]["function"]["name"] == "paint" and deltas[0]["index"] == 0
    assert len(deltas) > 1 and not any(call.get("id") for call in deltas[1:])
    meets_schema("".join(call["function"].get("arguments") or "" for call in deltas))
    same(found[-1]["finish_reason"], "tool_calls", "finish_reason")


@must(CALLS, "results go back")
def calls_results(ask: Clients) -> None:
    called = {"id": "call_1", "type": "function",
              "function": {"name": "paint", "arguments": '{"colour":"red","count":1}'}}  # fmt: skip
    messages = [*user(TEXT), {"role": "assistant", "content": None, "tool_calls": [called]},
                {"role": "tool", "tool_call_id": "call_1", "content": "done"}]  # fmt: skip
    assert ask.chat(model=TOOLS, messages=messages, tools=[TOOL], tool_choice="none").usage.prompt_tokens > 20


@must(CALLS, "strict tools through the SDK's parse")
def calls_parse(ask: Clients) -> None:
    strict = {"type": "function", "function": {**TOOL["function"], "strict": True}}
    found = ask.gpt.chat.completions.parse(
        model=TOOLS,
        messages=user(TEXT),
        tools=[strict],
        tool_choice="required",
        max_tokens=120,
        temperature=0,
    )
    meets_schema(found.choices[0].message.tool_calls[0].function.parsed_arguments)


@must(CALLS, "a demand on a model whose template knows no tools is refused with param")
def calls_impossible(ask: Clients) -> None:
    for choice in ("required", NAMED):
        for stream in (False, True):
            openai_error(ask_raw(ask, tools=[TOOL], tool_choice=choice, stream=stream), param="tool_choice")


@must(CALLS, "custom tools, functions and function_call are refused by name, or answered")
def calls_others(ask: Clients) -> None:
    custom = {"type": "custom", "custom": {"name": "free"}}
    openai_error(ask_raw(ask, model=TOOLS, tools=[custom]), param="tools[0].type")
    old = {"functions": [TOOL["function"]], "function_call": {"name": "paint"}}
    openai_error(ask_raw(ask, model=TOOLS, **old), param="function_call")
    openai_error(ask_raw(ask, model=TOOLS, functions=[TOOL["function"]]), param="functions")
