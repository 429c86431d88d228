"""What OpenAI's client asks for."""

from __future__ import annotations

import json

import openai
from suite import PIXEL, SCHEMA, TEXT, Clients, feature, meets_schema, refusal

CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
)
TOOL = {
    "type": "function",
    "function": {"name": "paint", "description": "Paints something.", "parameters": SCHEMA},
}
FLAT_TOOL = {"type": "function", "name": "paint", "parameters": SCHEMA, "strict": False}
NAMED = {"type": "function", "function": {"name": "paint"}}
FORM = {"type": "json_schema", "json_schema": {"name": "paint", "schema": SCHEMA, "strict": True}}


@feature("OpenAI chat", "text and usage", CHAT)
def chat(ask: Clients) -> None:
    answer = ask.chat()
    assert answer.choices[0].message.content, "no text"
    assert answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0, "no usage"


@feature("OpenAI chat", "`stream`", CHAT)
def chat_stream(ask: Clients) -> None:
    parts = list(ask.chat(stream=True))
    words = [
        part.choices[0].delta.content for part in parts if part.choices and part.choices[0].delta.content
    ]
    assert len(words) > 1, "the text came in one piece"
    reasons = [part.choices[0].finish_reason for part in parts if part.choices]
    assert [reason for reason in reasons if reason], "no finish_reason"


@feature("OpenAI chat", "`stream_options.include_usage`", CHAT)
def chat_stream_usage(ask: Clients) -> None:
    parts = list(ask.chat(stream=True, stream_options={"include_usage": True}))
    assert parts[-1].usage is not None and parts[-1].usage.total_tokens > 0, "no usage at the end"
    assert not parts[-1].choices, "usage did not come in a chunk of its own"


@feature("OpenAI chat", "`max_tokens` and `finish_reason`", CHAT)
def chat_length(ask: Clients) -> None:
    answer = ask.chat(max_tokens=3)
    assert answer.choices[0].finish_reason == "length", "finish_reason is not length"
    assert answer.usage.completion_tokens <= 3, "more tokens than asked for"


@feature("OpenAI chat", "`stop`", CHAT)
def chat_stop(ask: Clients) -> None:
    whole = ask.chat().choices[0].message.content
    mark = whole.split()[2]
    answer = ask.chat(stop=[mark]).choices[0]
    assert answer.message.content.strip() == whole.partition(mark)[0].strip(), "not cut at the stop"
    assert answer.finish_reason == "stop", "finish_reason is not stop"


@feature("OpenAI chat", "`seed` repeats an answer", CHAT)
def chat_seed(ask: Clients) -> None:
    first, second = (ask.chat(temperature=1.0, seed=7).choices[0].message.content for _ in range(2))
    assert first == second, "two answers differ"


@feature("OpenAI chat", "`n`", CHAT)
def chat_n(ask: Clients) -> None:
    answer = ask.chat(n=2, temperature=0.8)  # the likeliest answer twice is refused by some, rightly
    assert [choice.index for choice in answer.choices] == [0, 1], "n is ignored: one choice came"


@feature("OpenAI chat", "`logprobs`, `top_logprobs`", CHAT)
def chat_logprobs(ask: Clients) -> None:
    found = ask.chat(logprobs=True, top_logprobs=2).choices[0].logprobs
    assert found is not None and found.content, "logprobs are ignored"
    assert found.content[0].logprob <= 0 and len(found.content[0].top_logprobs) == 2, "no two alternatives"


@feature("OpenAI chat", "`tools`, `tool_choice: required`", CHAT)
def chat_tools(ask: Clients) -> None:
    choice = ask.chat(tools=[TOOL], tool_choice="required", max_tokens=250).choices[0]
    call = choice.message.tool_calls[0]
    assert call.id and call.function.name == "paint" and meets_schema(call.function.arguments)
    assert choice.finish_reason in ("tool_calls", "stop")


@feature("OpenAI chat", "`tool_choice` by name", CHAT)
def chat_named_tool(ask: Clients) -> None:
    other = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    choice = ask.chat(tools=[other, TOOL], tool_choice=NAMED, max_tokens=250).choices[0]
    assert choice.message.tool_calls[0].function.name == "paint", "another tool was called"


@feature("OpenAI chat", "`tool_choice: none`", CHAT)
def chat_no_tool(ask: Clients) -> None:
    assert not ask.chat(tools=[TOOL], tool_choice="none").choices[0].message.tool_calls, "a tool was called"


@feature("OpenAI chat", "`tools` in streamed deltas", CHAT)
def chat_tools_stream(ask: Clients) -> None:
    name, pieces = None, []
    for part in ask.chat(tools=[TOOL], tool_choice="required", max_tokens=250, stream=True):
        for call in (part.choices[0].delta.tool_calls or ()) if part.choices else ():
            name = call.function.name or name
            pieces.append(call.function.arguments or "")
    assert name == "paint" and meets_schema("".join(pieces))


@feature("OpenAI chat", "results of tools", CHAT)
def chat_tool_result(ask: Clients) -> None:
    called = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "paint", "arguments": '{"colour":"red","count":1}'},
    }
    turns = [
        {"role": "user", "content": TEXT},
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
    ]
    # A very small model may have nothing to say to it.
    choice = ask.chat(messages=turns, tools=[TOOL], tool_choice="none").choices[0]
    assert choice.finish_reason in ("stop", "length") and not choice.message.tool_calls


@feature("OpenAI chat", "`response_format: json_object`", CHAT)
def chat_json_object(ask: Clients) -> None:
    answer = ask.chat("Say hello as JSON.", response_format={"type": "json_object"}, max_tokens=200)
    choice = answer.choices[0]
    if choice.finish_reason == "length":  # a very small model may not come to an end
        assert choice.message.content.lstrip().startswith("{"), "no JSON object"
    else:
        assert isinstance(json.loads(choice.message.content), dict)


@feature("OpenAI chat", "`response_format: json_schema`", CHAT)
def chat_json_schema(ask: Clients) -> None:
    assert meets_schema(ask.chat(response_format=FORM).choices[0].message.content)


@feature("OpenAI chat", "`response_format: json_schema`, streamed", CHAT)
def chat_json_schema_stream(ask: Clients) -> None:
    parts = ask.chat(response_format=FORM, stream=True)
    assert meets_schema("".join(part.choices[0].delta.content or "" for part in parts if part.choices))


@feature("OpenAI chat", "pictures (`image_url` parts)", CHAT)
def chat_vision(ask: Clients) -> None:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    turns = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]}]
    assert ask.chat(messages=turns).choices[0].message.content, "no text"


@feature("OpenAI chat", "error: no such model", CHAT)
def chat_unknown_model(ask: Clients) -> None:
    error = refusal(openai.NotFoundError, lambda: ask.chat(model="no-such-model"))
    assert error.code == "model_not_found" and error.body["type"] == "invalid_request_error"


@feature("OpenAI chat", "error: wrong type", CHAT)
def chat_wrong_type(ask: Clients) -> None:
    error = refusal(openai.BadRequestError, lambda: ask.chat(messages="hello"))
    assert isinstance(error.body, dict) and error.body["message"]


@feature("OpenAI chat", "error: prompt over the context", CHAT)
def chat_too_long(ask: Clients) -> None:
    error = refusal(openai.BadRequestError, lambda: ask.chat(ask.too_long))
    assert error.code == "context_length_exceeded", f"the code is {error.code}"


@feature("OpenAI chat", "error: no messages, with `param`", CHAT)
def chat_no_messages(ask: Clients) -> None:
    error = refusal(openai.BadRequestError, lambda: ask.chat(messages=[]))
    assert error.param == "messages", f"the param is {error.param}"


@feature("OpenAI chat", "error: a schema that is none, with `param`", CHAT)
def chat_broken_schema(ask: Clients) -> None:
    broken = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "strin"}}}
    error = refusal(openai.BadRequestError, lambda: ask.chat(response_format=broken))
    assert error.param == "response_format", f"the param is {error.param}"


@feature("OpenAI chat", "a request id", CHAT)
def chat_request_id(ask: Clients) -> None:
    assert ask.chat()._request_id, "no x-request-id"


@feature("OpenAI completions", "text and usage", COMPLETIONS)
def completion(ask: Clients) -> None:
    answer = ask.gpt.completions.create(model=ask.model, prompt=TEXT, max_tokens=5, temperature=0)
    assert answer.choices[0].text and answer.usage.completion_tokens <= 5


@feature("OpenAI completions", "`stream`", COMPLETIONS)
def completion_stream(ask: Clients) -> None:
    parts = list(
        ask.gpt.completions.create(model=ask.model, prompt=TEXT, max_tokens=5, temperature=0, stream=True)
    )
    assert len([part for part in parts if part.choices and part.choices[0].text]) > 1


@feature("OpenAI embeddings", "one text", EMBEDDINGS)
def embedding(ask: Clients) -> None:
    made = ask.gpt.embeddings.create(model=ask.embedder, input="hello", encoding_format="float")
    assert len(made.data[0].embedding) > 1 and isinstance(made.data[0].embedding[0], float)


@feature("OpenAI embeddings", "batch", EMBEDDINGS)
def embedding_batch(ask: Clients) -> None:
    texts = ["red", "green", "red"]
    made = ask.gpt.embeddings.create(model=ask.embedder, input=texts, encoding_format="float").data
    assert [row.index for row in made] == [0, 1, 2]
    near = [sum(abs(a - b) for a, b in zip(made[0].embedding, row.embedding, strict=True)) for row in made]
    assert near[2] < near[1], "equal texts are not equal"


@feature("OpenAI embeddings", "`encoding_format: base64`", EMBEDDINGS)
def embedding_base64(ask: Clients) -> None:
    # The client asks for base64 by itself, and decodes it.
    decoded = ask.gpt.embeddings.create(model=ask.embedder, input="hello").data[0].embedding
    body = {"model": ask.embedder, "input": "hello", "encoding_format": "base64"}
    raw = ask.http.post(EMBEDDINGS, json=body).json()["data"][0]["embedding"]
    assert isinstance(raw, str), "numbers came instead of base64"
    floats = ask.gpt.embeddings.create(model=ask.embedder, input="hello", encoding_format="float")
    assert all(abs(a - b) < 1e-4 for a, b in zip(decoded, floats.data[0].embedding, strict=True))


@feature("OpenAI responses", "create", RESPONSES)
def response(ask: Clients) -> None:
    answer = ask.respond(instructions="Be brief.")
    assert answer.output_text and answer.usage.total_tokens > 0


@feature("OpenAI responses", "streamed events", RESPONSES)
def response_stream(ask: Clients) -> None:
    events = list(ask.respond(stream=True))
    assert events[0].type == "response.created" and events[-1].type in (
        "response.completed",
        "response.incomplete",
    )
    assert [event.sequence_number for event in events] == list(range(len(events)))
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert said and said == events[-1].response.output_text


@feature("OpenAI responses", "`tools`", RESPONSES)
def response_tools(ask: Clients) -> None:
    answer = ask.respond(tools=[FLAT_TOOL], tool_choice="required", max_output_tokens=250)
    call = next(item for item in answer.output if item.type == "function_call")
    assert call.name == "paint" and meets_schema(call.arguments)


@feature("OpenAI responses", "`text.format: json_schema`", RESPONSES)
def response_json_schema(ask: Clients) -> None:
    form = {"type": "json_schema", "name": "paint", "schema": SCHEMA, "strict": True}
    assert meets_schema(ask.respond(text={"format": form}).output_text)


@feature("OpenAI responses", "pictures (`input_image` parts)", RESPONSES)
def response_vision(ask: Clients) -> None:
    picture = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"}
    turn = {"role": "user", "content": [{"type": "input_text", "text": "What is this?"}, picture]}
    assert ask.respond([turn]).output_text, "no text"


@feature("OpenAI responses", "state (`previous_response_id`)", RESPONSES)
def response_state(ask: Clients) -> None:
    first = ask.respond()
    assert ask.respond(previous_response_id=first.id).previous_response_id == first.id


@feature("OpenAI models", "list", "/v1/models")
def models(ask: Clients) -> None:
    assert ask.model in [model.id for model in ask.gpt.models.list()]
