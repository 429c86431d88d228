"""Anthropic's Messages API: https://docs.claude.com/en/api/messages."""

from __future__ import annotations

import json
from typing import Any, Literal

import anthropic
from anthropic.types import Message, MessageTokensCount, ModelInfo, RawMessageStreamEvent
from checks import PIXEL, SCHEMA, add_check, claude_error, is_a, meets_schema, must, same, sse
from pydantic import BaseModel
from rig import CHAT, CONTEXT_TOKENS, EMBEDDER, TEXT, TOOLS, Clients, user

PATH, COUNT = "/v1/messages", "/v1/messages/count_tokens"
CREATE, STREAM, CALLS, COUNTS, MODELS, ERRORS = (
    f"Anthropic: {one}" for one in ("create", "stream", "tools", "count_tokens", "models", "errors")
)
TOOL = {"name": "paint", "description": "Paints.", "input_schema": SCHEMA}
LOOK = {"name": "look", "input_schema": {"type": "object", "properties": {}}}


class Painted(BaseModel):
    colour: Literal["red", "green"]
    count: int


def ask_raw(ask: Clients, **more: Any) -> Any:
    asked = {"model": CHAT, "max_tokens": 24, "messages": user(TEXT), "temperature": 0, **more}
    return ask.claude_post(PATH, {name: value for name, value in asked.items() if value is not ...})


@must(CREATE, "has every field of its type")
def types(ask: Clients) -> None:
    answer = ask_raw(ask)
    made = is_a(Message, answer.json())
    assert made.id.startswith("msg_") and answer.headers["request-id"]
    same((made.type, made.role, made.model), ("message", "assistant", CHAT), "type, role, model")
    assert made.content[0].type == "text" and made.content[0].text
    assert made.usage.input_tokens > 0 and made.usage.output_tokens > 0
    same({"stop_reason", "stop_sequence"} <= set(answer.json()), True, "stop_reason and stop_sequence there")


@must(CREATE, "stop_reason end_turn, max_tokens")
def reasons(ask: Clients) -> None:
    made = ask.message(max_tokens=2)
    same((made.stop_reason, made.stop_sequence), ("max_tokens", None), "stop_reason")
    same(made.usage.output_tokens, 2, "output_tokens")
    form = {"format": {"type": "json_schema", "schema": SCHEMA}}
    ended = ask.message(output_config=form, max_tokens=120)
    same((ended.stop_reason, ended.stop_sequence), ("end_turn", None), "stop_reason")


@must(CREATE, "stop_sequences: which one, and not in the text")
def stops(ask: Clients) -> None:
    whole = ask.message().content[0].text
    mark = whole.split()[2]
    made = ask.message(stop_sequences=["no such word", mark])
    same((made.stop_reason, made.stop_sequence), ("stop_sequence", mark), "stop_reason, stop_sequence")
    same(made.content[0].text.strip(), whole.partition(mark)[0].strip(), "text")


@must(CREATE, "system: a text and blocks are one")
def system(ask: Clients) -> None:
    one, two = ask.message(system="Say yes."), ask.message(system=[{"type": "text", "text": "Say yes."}])
    same(two.content[0].text, one.content[0].text, "text")
    assert one.usage.input_tokens + (one.usage.cache_read_input_tokens or 0) > 5


def turns(title: str, messages: list[dict[str, Any]]) -> None:
    def check(ask: Clients) -> None:
        is_a(Message, ask_raw(ask, messages=messages).json())

    add_check(CREATE, title, check)


turns("blocks of text", user([{"type": "text", "text": "One two"}, {"type": "text", "text": " three"}]))
turns("many turns", [*user("Hi"), {"role": "assistant", "content": "Hello."}, *user(TEXT)])
turns("two turns of the user's", [*user("Hi"), *user(TEXT)])
turns(
    "cache_control on blocks", user([{"type": "text", "text": TEXT, "cache_control": {"type": "ephemeral"}}])
)


@must(CREATE, "goes on with an answer that the client has begun")
def begun(ask: Clients) -> None:
    made = ask.message(messages=[*user("Count."), {"role": "assistant", "content": "one, two, three,"}])
    assert made.usage.output_tokens > 0 and not made.content[0].text.startswith("one, two")


@must(CREATE, "metadata, top_k, top_p, service_tier, the beta header and query")
def fields(ask: Clients) -> None:
    is_a(Message, ask_raw(ask, metadata={"user_id": "anna"}, top_k=5, temperature=...).json())
    is_a(Message, ask_raw(ask, top_p=0.9, temperature=..., service_tier="auto").json())
    assert ask.claude.beta.messages.create(
        model=CHAT, max_tokens=4, messages=user(TEXT), betas=["token-efficient-tools-2025-02-19"]
    ).content


@must(CREATE, "output_config.format, and the SDK's parse")
def formats(ask: Clients) -> None:
    form = {"format": {"type": "json_schema", "schema": SCHEMA}}
    meets_schema(ask.message(output_config=form, max_tokens=120).content[0].text)
    made = ask.claude.messages.parse(
        model=CHAT, max_tokens=120, messages=user(TEXT), output_format=Painted, extra_body={"temperature": 0}
    )
    assert isinstance(made.parsed_output, Painted)


@must(CREATE, "what a model here cannot do is refused by name")
def impossible(ask: Clients) -> None:
    for name, value in (
        ("thinking", {"type": "enabled", "budget_tokens": 1024}),
        ("mcp_servers", [{"type": "url", "url": "https://example.com", "name": "x"}]),
        ("container", "c_1"),
    ):
        claude_error(ask_raw(ask, **{name: value}), words=name)
    source = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    claude_error(ask_raw(ask, messages=user([{"type": "document", "source": source}])), words="document")
    picture = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    claude_error(ask_raw(ask, messages=user([{"type": "image", "source": picture}])))


def events_of(ask: Clients, **more: Any) -> list[Any]:
    found = sse(ask_raw(ask, stream=True, **more))
    same([name for name, _ in found], [json.loads(data)["type"] for _, data in found], "names of events")
    kinds = RawMessageStreamEvent
    return [is_a(kinds, json.loads(data)) for _, data in found if data != '{"type": "ping"}']


@must(STREAM, "events in their order, each with every field of its type")
def order(ask: Clients) -> None:
    kinds = [event.type for event in events_of(ask)]
    same(kinds[:3], ["message_start", "content_block_start", "content_block_delta"], "the first")
    same(kinds[-3:], ["content_block_stop", "message_delta", "message_stop"], "the last")


@must(STREAM, "message_start has the input's tokens, message_delta the output's")
def usage(ask: Clients) -> None:
    found = events_of(ask)
    start, whole = found[0].message, ask.message()
    used = start.usage.input_tokens + (start.usage.cache_read_input_tokens or 0)
    same(used, whole.usage.input_tokens + (whole.usage.cache_read_input_tokens or 0), "input_tokens")
    same((start.stop_reason, start.content), (None, []), "stop_reason and content at the start")
    same(found[-2].usage.output_tokens, whole.usage.output_tokens, "output_tokens")


@must(STREAM, "says what a whole message says, through the SDK's helper as well")
def text(ask: Clients) -> None:
    said = "".join(event.delta.text for event in events_of(ask) if event.type == "content_block_delta")
    same(said, ask.message().content[0].text, "text")
    with ask.claude.messages.stream(model=CHAT, max_tokens=8, messages=user(TEXT)) as events:
        words = list(events.text_stream)
        final = events.get_final_message()
    assert len(words) > 1 and "".join(words) == final.content[0].text and final.stop_reason


@must(STREAM, "stop_reason and stop_sequence at the end")
def stream_stops(ask: Clients) -> None:
    mark = ask.message().content[0].text.split()[2]
    end = events_of(ask, stop_sequences=["no such word", mark])[-2].delta
    same((end.stop_reason, end.stop_sequence), ("stop_sequence", mark), "stop_reason, stop_sequence")
    same(events_of(ask, max_tokens=2)[-2].delta.stop_reason, "max_tokens", "stop_reason")


@must(STREAM, "an error before the first byte is one of HTTP")
def stream_error(ask: Clients) -> None:
    claude_error(ask_raw(ask, stream=True, messages=user("word " * CONTEXT_TOKENS * 2)))
    claude_error(ask_raw(ask, stream=True, model="other"), 404, "not_found_error")


def call_of(made: Any) -> Any:
    calls = [block for block in made.content if block.type == "tool_use"]
    assert calls, f"no call: {made.content}"
    return calls[0]


@must(CALLS, "tool_choice any, and by name: stop_reason tool_use")
def calls(ask: Clients) -> None:
    for choice in ({"type": "any"}, {"type": "tool", "name": "paint"}):
        tools = [TOOL] if choice["type"] == "any" else [LOOK, TOOL]
        made = ask.message(model=TOOLS, tools=tools, tool_choice=choice, max_tokens=120)
        call = call_of(made)
        same((call.name, made.stop_reason), ("paint", "tool_use"), "name, stop_reason")
        meets_schema(call.input)
        assert call.id


@must(CALLS, "tool_choice auto, none, disable_parallel_tool_use")
def calls_free(ask: Clients) -> None:
    made = ask.message(model=TOOLS, tools=[TOOL], tool_choice={"type": "none"})
    assert not [block for block in made.content if block.type == "tool_use"]
    assert ask.message(model=TOOLS, tools=[TOOL], tool_choice={"type": "auto"}).usage.output_tokens
    only = {"type": "any", "disable_parallel_tool_use": True}
    made = ask.message(model=TOOLS, tools=[TOOL], tool_choice=only, max_tokens=120)
    same(len([block for block in made.content if block.type == "tool_use"]), 1, "the number of calls")


@must(CALLS, "streamed: input_json_delta, stop_reason tool_use")
def calls_streamed(ask: Clients) -> None:
    found = events_of(ask, model=TOOLS, tools=[TOOL], tool_choice={"type": "any"}, max_tokens=120)
    start = next(event for event in found if event.type == "content_block_start")
    same((start.content_block.name, start.content_block.input), ("paint", {}), "the block")
    parts = [event.delta.partial_json for event in found if event.type == "content_block_delta"]
    assert parts  # one where a small model talked first, and the call was asked for by its schema
    meets_schema("".join(parts))
    same(found[-2].delta.stop_reason, "tool_use", "stop_reason")


@must(CALLS, "results go back: a text, blocks, is_error")
def results(ask: Clients) -> None:
    use = {"type": "tool_use", "id": "t1", "name": "paint", "input": {"colour": "red", "count": 1}}
    for more in ({"content": "done"}, {"content": [{"type": "text", "text": "done"}]},
                 {"content": "broken", "is_error": True}):  # fmt: skip
        result = {"type": "tool_result", "tool_use_id": "t1", **more}
        messages = [*user(TEXT), {"role": "assistant", "content": [use]}, *user([result])]
        made = ask.message(model=TOOLS, messages=messages, tools=[TOOL], tool_choice={"type": "none"})
        assert made.usage.input_tokens + (made.usage.cache_read_input_tokens or 0) > 20


@must(CALLS, "a demand on a model whose template knows no tools, and server tools, are refused")
def calls_impossible(ask: Clients) -> None:
    claude_error(ask_raw(ask, tools=[TOOL], tool_choice={"type": "any"}), words="tool")
    claude_error(
        ask_raw(ask, tools=[{"type": "web_search_20250305", "name": "web_search"}]), words="web_search"
    )


@must(COUNTS, "counts what a message's usage says, with system and tools")
def counted(ask: Clients) -> None:
    for more in ({}, {"system": "Be brief."}, {"model": TOOLS, "tools": [TOOL]}):
        asked = {"model": CHAT, "messages": user(TEXT), **more}
        found = is_a(MessageTokensCount, ask.claude_post(COUNT, asked).json()).input_tokens
        used = ask.message(**more).usage
        same(found, used.input_tokens + (used.cache_read_input_tokens or 0), "input_tokens")


@must(COUNTS, "errors: messages, model")
def count_errors(ask: Clients) -> None:
    claude_error(ask.claude_post(COUNT, {"model": CHAT}), words="messages: Field required")
    claude_error(ask.claude_post(COUNT, {"model": CHAT, "messages": []}), words="messages: at least one")
    claude_error(ask.claude_post(COUNT, {"model": "other", "messages": user("x")}), 404, "not_found_error")


def get(ask: Clients, path: str) -> Any:
    return ask.http.get(path, headers={"anthropic-version": "2023-06-01"})


@must(MODELS, "list: each field of its type, first and last id")
def listed(ask: Clients) -> None:
    body = get(ask, "/v1/models").json()
    names = [is_a(ModelInfo, one).id for one in body["data"]]
    assert {CHAT, TOOLS, EMBEDDER} <= set(names)
    same((body["first_id"], body["last_id"], body["has_more"]), (names[0], names[-1], False), "the page")


@must(MODELS, "list: limit, after_id, before_id; the SDK turns pages")
def pages(ask: Clients) -> None:
    names = [one.id for one in ask.claude.models.list()]
    body = get(ask, "/v1/models?limit=1").json()
    same(([one["id"] for one in body["data"]], body["has_more"]), (names[:1], True), "the first page")
    same([one.id for one in ask.claude.models.list(limit=1)], names, "page by page")
    after = ask.claude.models.list(after_id=names[0], limit=20)
    same([one.id for one in after.data], names[1:], "after the first")
    before = ask.claude.models.list(before_id=names[-1], limit=1)
    same([one.id for one in before.data], names[-2:-1], "before the last")
    claude_error(get(ask, "/v1/models?limit=0"), words="limit")


@must(MODELS, "retrieve: names with path characters, none")
def retrieved(ask: Clients) -> None:
    for name in (CHAT, TOOLS, EMBEDDER):
        made = ask.claude.models.retrieve(name)
        same((made.id, made.type), (name, "model"), "id")
    claude_error(get(ask, "/v1/models/other"), 404, "not_found_error")


def wrong(title: str, words: str, **more: Any) -> None:
    def check(ask: Clients) -> None:
        for stream in (False, True):
            claude_error(ask_raw(ask, stream=stream, **more), words=words)

    add_check(ERRORS, title, check)


wrong("max_tokens: missing", "max_tokens: Field required", max_tokens=...)
wrong("max_tokens: 0", "max_tokens: Input should be greater than or equal to 1", max_tokens=0)
wrong("max_tokens: a text", "max_tokens", max_tokens="x")
wrong("messages: missing", "messages: Field required", messages=...)
wrong("messages: empty", "messages: at least one message is required", messages=[])
wrong("messages: a text", "messages", messages="x")
wrong("messages: no content", "messages.0.content: Field required", messages=[{"role": "user"}])
wrong("messages: another role", "messages", messages=[{"role": "king", "content": "x"}])
wrong("messages: a block of another type", "messages.0.content.0", messages=user([{"type": "smell"}]))
wrong("messages: a block of text without it", "messages.0.content.0.text: Field required",
      messages=user([{"type": "text"}]))  # fmt: skip
wrong("temperature: above 1", "temperature", temperature=1.5)
wrong("temperature: a text", "temperature", temperature="hot")
wrong("top_p: above 1", "top_p", top_p=1.5, temperature=...)
wrong("top_k: below 0", "top_k", top_k=-1)
wrong("stop_sequences: a text", "stop_sequences", stop_sequences="x")
wrong("system: a number", "system", system=5)
wrong("stream: tools without input_schema", "tools.0.input_schema: Field required", tools=[{"name": "find"}])
wrong("tools: a broken schema", "tools.0.input_schema",
      tools=[{"name": "find", "input_schema": {"type": "obj"}}])  # fmt: skip
wrong("tool_choice: another type", "tool_choice", tools=[TOOL], tool_choice={"type": "must"})
wrong("tool_choice: a tool that is not there", "tool_choice", model=TOOLS, tools=[TOOL],
      tool_choice={"type": "tool", "name": "other"})  # fmt: skip
wrong("output_config: a broken schema", "output_config.format.schema",
      output_config={"format": {"type": "json_schema", "schema": {"type": "strin"}}})  # fmt: skip
wrong("a prompt over the context", "prompt is too long", messages=user("word " * CONTEXT_TOKENS * 2))


@must(ERRORS, "model: missing, another; a body that is not JSON")
def others(ask: Clients) -> None:
    claude_error(ask_raw(ask, model=...), words="model: Field required")
    claude_error(ask_raw(ask, model="other"), 404, "not_found_error", "other")
    for body in (b"{", b"[]", b""):
        claude_error(ask.post(PATH, body, headers={"anthropic-version": "2023-06-01"}))


@must(ERRORS, "the SDK raises what it says it raises")
def raised(ask: Clients) -> None:
    for kind, more in (
        (anthropic.BadRequestError, {"messages": []}),
        (anthropic.NotFoundError, {"model": "x"}),
    ):
        try:
            ask.message(**more)
        except kind as error:
            assert error.request_id and error.body["type"] == "error"
        else:
            raise AssertionError("nothing was raised")
