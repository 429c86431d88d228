"""What OpenAI's API says of wrong requests: https://platform.openai.com/docs/guides/error-codes."""

from __future__ import annotations

from typing import Any

import openai
from checks import SCHEMA, add_check, must, openai_error, same
from openai_chat_checks import PATH, ask_raw
from openai_output_checks import TOOL
from rig import CHAT, CONTEXT_TOKENS, TEXT, Clients, user

ERRORS = "OpenAI chat: errors"


def wrong(title: str, param: Any, code: Any = ..., **more: Any) -> None:
    """A request that is refused whole and streamed alike."""

    def check(ask: Clients) -> None:
        for stream in (False, True):
            openai_error(ask_raw(ask, stream=stream, **more), 400, param, code)

    add_check(ERRORS, title, check)


def form(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


def tool(**function: Any) -> list[dict[str, Any]]:
    return [{"type": "function", "function": function}]


MISSING = "missing_required_parameter"
wrong("messages: empty", "messages", "empty_array", messages=[])
wrong("messages: a text", "messages", "invalid_type", messages="hello")
wrong("messages: no role", "messages[0].role", MISSING, messages=[{"content": "x"}])
wrong("messages: another role", "messages[0].role", messages=[{"role": "king", "content": "x"}])
wrong("messages: content is a number", "messages[0].content", messages=[{"role": "user", "content": 5}])
wrong("messages: a user's content is missing", "messages[0].content", messages=[{"role": "user"}])
wrong("messages: a part without its text", "messages[0].content[0].text", MISSING,
      messages=user([{"type": "text"}]))  # fmt: skip
wrong("messages: a part of another type", "messages[0].content[0].type", messages=user([{"type": "smell"}]))
wrong("messages: a tool's result without its call's id", "messages[0].tool_call_id", MISSING,
      messages=[{"role": "tool", "content": "x"}, *user("y")])  # fmt: skip
wrong("stop: an object", "stop", "invalid_type", stop={"a": 1})
wrong("stop: numbers", "stop[0]", "invalid_type", stop=[1])
wrong("temperature: a text", "temperature", "invalid_type", temperature="hot")
wrong("temperature: above 2", "temperature", "decimal_above_max_value", temperature=2.5)
wrong("temperature: below 0", "temperature", "decimal_below_min_value", temperature=-0.1)
wrong("top_p: above 1", "top_p", "decimal_above_max_value", top_p=1.5)
wrong("presence_penalty: below -2", "presence_penalty", "decimal_below_min_value", presence_penalty=-3)
wrong("frequency_penalty: above 2", "frequency_penalty", "decimal_above_max_value", frequency_penalty=3)
wrong("max_tokens: a text", "max_tokens", "invalid_type", max_tokens="many")
wrong("max_tokens: 0", "max_tokens", "integer_below_min_value", max_tokens=0)
wrong("max_completion_tokens: below 0", "max_completion_tokens", "integer_below_min_value",
      max_completion_tokens=-5)  # fmt: skip
wrong("n: 0", "n", "integer_below_min_value", n=0)
wrong("top_logprobs: 21", "top_logprobs", logprobs=True, top_logprobs=21)
wrong("top_logprobs without logprobs", "top_logprobs", top_logprobs=2)
wrong("logprobs: a number", "logprobs", "invalid_type", logprobs=3)
wrong("seed: a fraction", "seed", "invalid_type", seed=1.5)
wrong("logit_bias: a list", "logit_bias", logit_bias=[1])
wrong("tools: a text", "tools", "invalid_type", tools="find")
wrong("tools: no function", "tools[0].function", MISSING, tools=[{"type": "function"}])
wrong("tools: no name", "tools[0].function.name", MISSING, tools=tool(parameters=SCHEMA))
wrong("tools: a name with a space", "tools[0].function.name", tools=tool(name="two words"))
wrong("tools: a broken schema", "tools[0].function.parameters", "invalid_function_parameters",
      tools=tool(name="f", parameters={"type": "obj"}))  # fmt: skip
wrong("tool_choice: another word", "tool_choice", tools=[TOOL], tool_choice="must")
wrong("tool_choice: a tool that is not there", "tool_choice", tools=[TOOL],
      tool_choice={"type": "function", "function": {"name": "other"}})  # fmt: skip
wrong("tool_choice without tools", "tool_choice", tool_choice="auto")
wrong("response_format: a text", "response_format", "invalid_type", response_format="json")
wrong("response_format: another type", "response_format.type", response_format={"type": "xml"})
wrong("response_format: no json_schema", "response_format.json_schema", MISSING,
      response_format={"type": "json_schema"})  # fmt: skip
wrong("response_format: no name", "response_format.json_schema.name", MISSING,
      response_format={"type": "json_schema", "json_schema": {"schema": SCHEMA}})  # fmt: skip
wrong("response_format: no schema", "response_format.json_schema.schema", MISSING,
      response_format={"type": "json_schema", "json_schema": {"name": "x"}})  # fmt: skip
wrong("response_format: a broken schema", "response_format", "invalid_json_schema",
      response_format=form({"type": "strin"}))  # fmt: skip
wrong("response_format: a reference to nothing", "response_format", response_format=form({"$ref": "#/no"}))
wrong("response_format: a reference to another host", "response_format",
      response_format=form({"$ref": "http://example.com/a.json"}))  # fmt: skip
wrong("a prompt over the context", "messages", "context_length_exceeded",
      messages=user("word " * CONTEXT_TOKENS * 2))  # fmt: skip


@must(ERRORS, "stream: a text")
def stream_type(ask: Clients) -> None:
    openai_error(ask_raw(ask, stream="yes"), param="stream", code="invalid_type")


@must(ERRORS, "messages: missing")
def no_messages(ask: Clients) -> None:
    openai_error(ask.post(PATH, {"model": CHAT}), param="messages", code=MISSING)


@must(ERRORS, "model: missing, not a text, unknown")
def models(ask: Clients) -> None:
    openai_error(ask.post(PATH, {"messages": user(TEXT)}), param="model")
    openai_error(ask.post(PATH, {"model": 5, "messages": user(TEXT)}), param="model")
    openai_error(ask_raw(ask, model="org/other"), 404, "model", "model_not_found")


@must(ERRORS, "a body that is not JSON, not an object, empty")
def bodies(ask: Clients) -> None:
    for body in (b"{", b"[]", b"", b"null", b'"x"', b"\xff"):
        openai_error(ask.post(PATH, body, headers={"content-type": "application/json"}))


@must(ERRORS, "the SDK raises what it says it raises")
def raised(ask: Clients) -> None:
    for kind, status, more in (
        (openai.BadRequestError, 400, {"messages": []}),
        (openai.NotFoundError, 404, {"model": "other"}),
    ):
        try:
            ask.chat(**more)
        except kind as error:
            same(error.status_code, status, "status")
            assert error.request_id and error.param and error.code and isinstance(error.body, dict)
        else:
            raise AssertionError("nothing was raised")
