"""OpenAI's Responses API: https://platform.openai.com/docs/api-reference/responses."""

from __future__ import annotations

import json
from typing import Any

from checks import PIXEL, SCHEMA, add_check, is_a, meets_schema, must, openai_error, same, sse
from openai.types.responses import Response, ResponseStreamEvent
from openai_output_checks import Paint
from rig import CHAT, CONTEXT_TOKENS, TEXT, TOOLS, Clients

PATH = "/v1/responses"
CREATE, STREAM, CALLS, STATE, ERRORS = (
    f"OpenAI responses: {one}" for one in ("create", "stream", "tools", "state", "errors")
)
TOOL = {"type": "function", "name": "paint", "parameters": SCHEMA, "strict": False}
FORM = {"type": "json_schema", "name": "paint", "schema": SCHEMA, "strict": True}


def respond(ask: Clients, **more: Any) -> Any:
    asked = {"model": CHAT, "input": TEXT, "max_output_tokens": 24, "temperature": 0, **more}
    return ask.post(PATH, asked)


@must(CREATE, "has every field of its type")
def types(ask: Clients) -> None:
    answer = respond(ask)
    made = is_a(Response, answer.json())
    assert made.id.startswith("resp_") and made.created_at > 1.7e9 and answer.headers["x-request-id"]
    same((made.object, made.model, made.error), ("response", CHAT, None), "object, model, error")
    item = made.output[0]
    same((item.type, item.role), ("message", "assistant"), "the item")
    same((item.content[0].type, item.content[0].annotations), ("output_text", []), "the part")
    assert item.id.startswith("msg_") and made.output_text


@must(CREATE, "usage adds up, with its details")
def usage(ask: Clients) -> None:
    used = is_a(Response, respond(ask).json()).usage
    same(used.total_tokens, used.input_tokens + used.output_tokens, "total_tokens")
    assert used.input_tokens_details.cached_tokens >= 0 and used.output_tokens_details.reasoning_tokens == 0


@must(CREATE, "repeats what was asked")
def repeated(ask: Clients) -> None:
    asked = {"instructions": "Be brief.", "metadata": {"a": "b"}, "temperature": 0.5, "top_p": 0.9,
             "max_output_tokens": 20, "parallel_tool_calls": False, "user": "anna", "truncation": "disabled",
             "safety_identifier": "s", "prompt_cache_key": "k"}  # fmt: skip
    made = respond(ask, **asked).json()
    for name, value in asked.items():
        same(made.get(name), value, name)


@must(CREATE, "status completed, incomplete; of the item as well")
def status(ask: Clients) -> None:
    made = respond(ask, max_output_tokens=3).json()
    same(
        (made["status"], made["incomplete_details"]),
        ("incomplete", {"reason": "max_output_tokens"}),
        "status",
    )
    same(made["output"][0]["status"], "incomplete", "the item's status")
    whole = respond(ask, text={"format": FORM}, max_output_tokens=120).json()
    same((whole["status"], whole["incomplete_details"]), ("completed", None), "status")
    same(whole["output"][0]["status"], "completed", "the item's status")


@must(CREATE, "instructions are read as a system message is")
def instructions(ask: Clients) -> None:
    one = respond(ask, instructions="Say yes.").json()
    two = ask.chat(messages=[{"role": "system", "content": "Say yes."}, {"role": "user", "content": TEXT}])
    same(one["output"][0]["content"][0]["text"], two.choices[0].message.content, "text")
    same(one["usage"]["input_tokens"], two.usage.prompt_tokens, "input_tokens")


@must(CREATE, "input of items: roles, parts, earlier output")
def items(ask: Clients) -> None:
    first = ask.respond()
    given = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": TEXT}]},
        *[item.to_dict() for item in first.output],
        {"type": "message", "role": "user", "content": "Go on."},
    ]
    assert ask.respond(given).usage.input_tokens > first.usage.input_tokens


@must(CREATE, "text.format: json_schema, json_object, text")
def formats(ask: Clients) -> None:
    meets_schema(ask.respond(text={"format": FORM}, max_output_tokens=120).output_text)
    found = ask.respond("JSON", text={"format": {"type": "json_object"}}, max_output_tokens=200)
    assert found.output_text.lstrip().startswith("{"), found.output_text[:20]
    assert ask.respond(text={"format": {"type": "text"}}).output_text


@must(CREATE, "the SDK's parse reads it into a class")
def parse(ask: Clients) -> None:
    made = ask.gpt.responses.parse(
        model=CHAT, input=TEXT, text_format=Paint, max_output_tokens=120, temperature=0
    )
    assert isinstance(made.output_parsed, Paint)


@must(CREATE, "logprobs: include and top_logprobs are refused by name, or told")
def logprobs(ask: Clients) -> None:
    answer = respond(ask, include=["message.output_text.logprobs"], top_logprobs=2)
    if answer.status_code == 200:
        assert answer.json()["output"][0]["content"][0]["logprobs"], "passed over in silence"
    else:
        openai_error(answer)
        assert answer.json()["error"]["param"] in ("include", "top_logprobs")


@must(CREATE, "a picture is refused by a model without eyes")
def picture(ask: Clients) -> None:
    part = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"}
    openai_error(respond(ask, input=[{"role": "user", "content": [part]}]))


def events_of(ask: Clients, **more: Any) -> list[Any]:
    found = sse(respond(ask, stream=True, **more))
    same([name for name, _ in found], [json.loads(data)["type"] for _, data in found], "names of events")
    return [is_a(ResponseStreamEvent, json.loads(data)) for _, data in found]


@must(STREAM, "events in their order, each with its number and every field of its type")
def order(ask: Clients) -> None:
    found = events_of(ask)
    same([event.sequence_number for event in found], list(range(len(found))), "numbers")
    kinds = [event.type.removeprefix("response.") for event in found]
    begins = ["created", "in_progress", "output_item.added", "content_part.added", "output_text.delta"]
    ends = ["output_text.done", "content_part.done", "output_item.done"]
    same(kinds[:5], begins, "the first")
    same(kinds[-4:-1], ends, "the last")
    assert kinds[-1] in ("completed", "incomplete")


@must(STREAM, "one id for the response, one for its item, from first to last")
def ids(ask: Clients) -> None:
    found = events_of(ask)
    same(len({event.response.id for event in found if hasattr(event, "response")}), 1, "ids of the response")
    named = {event.item_id for event in found if hasattr(event, "item_id")}
    named |= {event.item.id for event in found if hasattr(event, "item")}
    same(named, {found[-1].response.output[0].id}, "ids of the item")


@must(STREAM, "says what a whole answer says")
def text(ask: Clients) -> None:
    found = events_of(ask)
    said = "".join(event.delta for event in found if event.type == "response.output_text.delta")
    done = next(event for event in found if event.type == "response.output_text.done")
    whole = ask.respond()
    same((said, done.text), (whole.output_text, whole.output_text), "text")
    same(found[-1].response.usage.output_tokens, whole.usage.output_tokens, "output_tokens")


@must(STREAM, "incomplete: the event, the reason, the item's status")
def incomplete(ask: Clients) -> None:
    found = events_of(ask, max_output_tokens=3)
    same(found[-1].type, "response.incomplete", "the last event")
    same(found[-1].response.incomplete_details.reason, "max_output_tokens", "reason")
    item = next(event.item for event in found if event.type == "response.output_item.done")
    same(item.status, "incomplete", "the item's status")


@must(STREAM, "the SDK's helper puts it together")
def helper(ask: Clients) -> None:
    with ask.gpt.responses.stream(
        model=CHAT, input=TEXT, text_format=Paint, max_output_tokens=120, temperature=0
    ) as events:
        kinds = {event.type for event in events}
        final = events.get_final_response()
    assert "response.output_text.delta" in kinds and isinstance(final.output_parsed, Paint)


@must(STREAM, "an error before the first byte is one of HTTP")
def stream_error(ask: Clients) -> None:
    openai_error(
        respond(ask, stream=True, input="word " * CONTEXT_TOKENS * 2), code="context_length_exceeded"
    )
    openai_error(respond(ask, stream=True, model="other"), 404, "model", "model_not_found")


@must(CALLS, "a call that meets its schema: required, by name, allowed_tools")
def calls(ask: Clients) -> None:
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "paint"}]}
    for choice in ("required", {"type": "function", "name": "paint"}, allowed):
        made = respond(ask, model=TOOLS, tools=[TOOL], tool_choice=choice, max_output_tokens=120)
        call = next(item for item in is_a(Response, made.json()).output if item.type == "function_call")
        same((call.name, call.status), ("paint", "completed"), "the call")
        assert call.call_id and call.id.startswith("fc_")
        meets_schema(call.arguments)


@must(CALLS, "streamed: arguments in deltas, and done")
def calls_streamed(ask: Clients) -> None:
    found = events_of(ask, model=TOOLS, tools=[TOOL], tool_choice="required", max_output_tokens=120)
    pieces = [event.delta for event in found if event.type == "response.function_call_arguments.delta"]
    done = next(event for event in found if event.type == "response.function_call_arguments.done")
    assert pieces  # one where a small model talked first, and the call was asked for by its schema
    same("".join(pieces), done.arguments, "the pieces")
    meets_schema(done.arguments)
    same({event.item_id for event in found if hasattr(event, "item_id")}, {done.item_id}, "ids")


@must(CALLS, "results go back by call_id")
def results(ask: Clients) -> None:
    made = ask.respond(model=TOOLS, tools=[TOOL], tool_choice="required", max_output_tokens=120)
    call = next(item for item in made.output if item.type == "function_call")
    given = [{"role": "user", "content": TEXT}, call.to_dict(),
             {"type": "function_call_output", "call_id": call.call_id, "output": "done"}]  # fmt: skip
    assert ask.respond(given, model=TOOLS, tools=[TOOL], tool_choice="none").usage.input_tokens > 20


@must(CALLS, "tools that run at OpenAI, and custom ones, are refused by name")
def hosted(ask: Clients) -> None:
    for kind in ("web_search", "code_interpreter", "image_generation", "custom"):
        more = {"name": "x"} if kind == "custom" else {}
        openai_error(respond(ask, tools=[{"type": kind, **more}]), param="tools")


@must(CALLS, "a demand on a model whose template knows no tools is refused with param")
def impossible(ask: Clients) -> None:
    openai_error(respond(ask, tools=[TOOL], tool_choice="required"), param="tool_choice")


def refused(title: str, **more: Any) -> None:
    def check(ask: Clients) -> None:
        openai_error(respond(ask, **more), param=next(iter(more)))

    add_check(STATE, f"{title} is refused by name", check)


refused("previous_response_id", previous_response_id="resp_123")
refused("conversation", conversation="conv_123")
refused("background", background=True)
refused("store: true", store=True)
refused("prompt", prompt={"id": "pmpt_123"})


@must(STATE, "answers say that nothing is stored; previous_response_id of one is refused by name")
def not_stored(ask: Clients) -> None:
    made = respond(ask).json()
    same((made["store"], made["previous_response_id"]), (False, None), "store, previous_response_id")
    openai_error(respond(ask, previous_response_id=made["id"]), param="previous_response_id")


def by_id(title: str, method: str, rest: str) -> None:
    def check(ask: Clients) -> None:
        made = respond(ask).json()["id"]
        for name in (made, "resp_123"):
            openai_error(ask.http.request(method, f"{PATH}/{name}{rest}"), 404)

    add_check(STATE, f"{title} of what is not stored: 404", check)


by_id("retrieve", "GET", "")
by_id("delete", "DELETE", "")
by_id("cancel", "POST", "/cancel")
by_id("input items", "GET", "/input_items")


def wrong(title: str, param: str, **more: Any) -> None:
    def check(ask: Clients) -> None:
        for stream in (False, True):
            openai_error(respond(ask, stream=stream, **more), param=param)

    add_check(ERRORS, title, check)


wrong("input: a number", "input", input=5)
wrong("input: empty", "input", input=[])
wrong("max_output_tokens: a text", "max_output_tokens", max_output_tokens="x")
wrong("max_output_tokens: 0", "max_output_tokens", max_output_tokens=0)
wrong("temperature: above 2", "temperature", temperature=3)
wrong("tools: a text", "tools", tools="find")
wrong("tools: no name", "tools[0].name", tools=[{"type": "function", "parameters": {}}])
wrong("tools: a broken schema", "tools[0].parameters", tools=[{**TOOL, "parameters": {"type": "obj"}}])
wrong("text.format: a broken schema", "text.format.schema",
      text={"format": {"type": "json_schema", "name": "x", "schema": {"type": "strin"}}})  # fmt: skip
wrong("text.format: no schema", "text.format.schema", text={"format": {"type": "json_schema", "name": "x"}})
wrong("text.format: another type", "text.format.type", text={"format": {"type": "xml"}})
wrong("truncation: another word", "truncation", truncation="cut")
wrong("metadata: a text", "metadata", metadata="x")
wrong("a prompt over the context", "input", input="word " * CONTEXT_TOKENS * 2)


@must(ERRORS, "input, model: missing; another model")
def missing(ask: Clients) -> None:
    openai_error(ask.post(PATH, {"model": CHAT}), param="input")
    openai_error(ask.post(PATH, {"input": "x"}), param="model")
    openai_error(respond(ask, model="other"), 404, "model", "model_not_found")
