"""What Anthropic's and Ollama's clients ask for."""

from __future__ import annotations

import json

import anthropic
import ollama
from suite import PIXEL, SCHEMA, TEXT, Clients, feature, meets_schema, refusal

MESSAGES, COUNT = "/v1/messages", "/v1/messages/count_tokens"
CLAUDE_TOOL = {"name": "paint", "description": "Paints something.", "input_schema": SCHEMA}
LLAMA_TOOL = {
    "type": "function",
    "function": {"name": "paint", "description": "Paints something.", "parameters": SCHEMA},
}


@feature("Anthropic messages", "text and usage", MESSAGES)
def message(ask: Clients) -> None:
    answer = ask.message(system="Be brief.")
    assert answer.content[0].text and answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0


@feature("Anthropic messages", "`stream`", MESSAGES)
def message_stream(ask: Clients) -> None:
    with ask.claude.messages.stream(
        model=ask.model, max_tokens=40, messages=[{"role": "user", "content": TEXT}]
    ) as events:
        words = list(events.text_stream)
        final = events.get_final_message()
    assert len(words) > 1 and "".join(words) == final.content[0].text
    assert final.stop_reason and final.usage.output_tokens > 0


@feature("Anthropic messages", "`max_tokens` and `stop_reason`", MESSAGES)
def message_length(ask: Clients) -> None:
    answer = ask.message(max_tokens=3)
    assert answer.stop_reason == "max_tokens" and answer.usage.output_tokens <= 3


@feature("Anthropic messages", "`stop_sequences`", MESSAGES)
def message_stop(ask: Clients) -> None:
    whole = ask.message().content[0].text
    mark = whole.split()[2]
    assert ask.message(stop_sequences=[mark]).content[0].text.strip() == whole.partition(mark)[0].strip()


@feature("Anthropic messages", "`tools`, `tool_choice: any`", MESSAGES)
def message_tools(ask: Clients) -> None:
    answer = ask.message(tools=[CLAUDE_TOOL], tool_choice={"type": "any"}, max_tokens=250)
    call = next(block for block in answer.content if block.type == "tool_use")
    assert call.name == "paint" and meets_schema(json.dumps(call.input))
    assert answer.stop_reason == "tool_use", f"stop_reason is {answer.stop_reason}"


@feature("Anthropic messages", "`tools`, streamed", MESSAGES)
def message_tools_stream(ask: Clients) -> None:
    with ask.claude.messages.stream(
        model=ask.model,
        max_tokens=250,
        messages=[{"role": "user", "content": TEXT}],
        tools=[CLAUDE_TOOL],
        tool_choice={"type": "tool", "name": "paint"},
    ) as events:
        kinds = {event.type for event in events}
        final = events.get_final_message()
    assert "input_json" in kinds, "the arguments were not streamed"
    assert meets_schema(json.dumps(next(b for b in final.content if b.type == "tool_use").input))


@feature("Anthropic messages", "results of tools", MESSAGES)
def message_tool_result(ask: Clients) -> None:
    use = {"type": "tool_use", "id": "t1", "name": "paint", "input": {"colour": "red", "count": 1}}
    turns = [
        {"role": "user", "content": TEXT},
        {"role": "assistant", "content": [use]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "done"},
                {"type": "text", "text": "And now?"},
            ],
        },
    ]
    answer = ask.message(messages=turns, tools=[CLAUDE_TOOL], tool_choice={"type": "none"})
    # A very small model may have nothing to say to it.
    assert answer.stop_reason in ("end_turn", "max_tokens") and answer.usage.input_tokens > 0


@feature("Anthropic messages", "`output_config.format: json_schema`", MESSAGES)
def message_json_schema(ask: Clients) -> None:
    form = {"type": "json_schema", "schema": SCHEMA}
    assert meets_schema(ask.message(output_config={"format": form}).content[0].text)


@feature("Anthropic messages", "pictures", MESSAGES)
def message_vision(ask: Clients) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    picture = {"type": "image", "source": source}
    turn = {"role": "user", "content": [picture, {"type": "text", "text": "What is this?"}]}
    assert ask.message(messages=[turn]).content[0].text, "no text"


@feature("Anthropic messages", "`count_tokens`", COUNT)
def message_count(ask: Clients) -> None:
    turns = [{"role": "user", "content": TEXT}]
    counted = ask.claude.messages.count_tokens(model=ask.model, messages=turns).input_tokens
    usage = ask.message().usage
    # What the engine had in its cache stands beside the other tokens of the input, as Anthropic counts.
    told = usage.input_tokens + (usage.cache_read_input_tokens or 0)
    assert counted == told, "not what the answer's usage says"


@feature("Anthropic messages", "list of models", "/v1/models")
def message_models(ask: Clients) -> None:
    listed = ask.claude.models.list().data
    assert ask.model in [one.id for one in listed] and listed[0].type == "model"


@feature("Anthropic messages", "error: no such model", MESSAGES)
def message_unknown_model(ask: Clients) -> None:
    error = refusal(anthropic.NotFoundError, lambda: ask.message(model="no-such-model"))
    assert error.body["type"] == "error" and error.body["error"]["type"] == "not_found_error"


@feature("Anthropic messages", "error: wrong type", MESSAGES)
def message_wrong_type(ask: Clients) -> None:
    error = refusal(anthropic.BadRequestError, lambda: ask.message(messages="hello"))
    assert error.body["error"]["type"] == "invalid_request_error"


@feature("Anthropic messages", "error: prompt over the context", MESSAGES)
def message_too_long(ask: Clients) -> None:
    error = refusal(anthropic.BadRequestError, lambda: ask.message(ask.too_long))
    assert error.body["error"]["type"] == "invalid_request_error"


@feature("Anthropic messages", "which of `stop_sequences`", MESSAGES)
def claude_stop_word(ask: Clients) -> None:
    mark = ask.message().content[0].text.split()[2]
    answer = ask.message(stop_sequences=["no such word", mark])
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", mark), (
        f"{answer.stop_reason} is told"
    )


@feature("Anthropic messages", "input tokens in `message_start`", MESSAGES)
def claude_first_usage(ask: Clients) -> None:
    start = next(event for event in ask.message(stream=True) if event.type == "message_start")
    used = start.message.usage
    assert used.input_tokens + (used.cache_read_input_tokens or 0) > 0, "0 are told at first"


@feature("Anthropic messages", "error: no `max_tokens`", MESSAGES)
def claude_no_length(ask: Clients) -> None:
    turns = [{"role": "user", "content": TEXT}]
    answer = ask.http.post(
        MESSAGES, json={"model": ask.model, "messages": turns}, headers={"anthropic-version": "2023-06-01"}
    )
    assert answer.status_code == 400 and "max_tokens" in answer.json()["error"]["message"]


@feature("Anthropic messages", "a request id", MESSAGES)
def claude_request_id(ask: Clients) -> None:
    assert ask.message()._request_id, "no request-id"


@feature("Ollama", "`/api/chat`", "/api/chat")
def ollama_chat(ask: Clients) -> None:
    answer = ask.ollama_chat()
    assert answer.message.content and answer.done and answer.eval_count > 0


@feature("Ollama", "`/api/chat`, streamed", "/api/chat")
def ollama_chat_stream(ask: Clients) -> None:
    parts = list(ask.ollama_chat(stream=True))
    assert len([part for part in parts if part.message.content]) > 1
    assert parts[-1].done and parts[-1].prompt_eval_count > 0


@feature("Ollama", "`tools`", "/api/chat")
def ollama_tools(ask: Clients) -> None:
    # Ollama's API has no tool_choice: a model may answer in words, and nothing is wrong.
    answer = ask.ollama_chat(tools=[LLAMA_TOOL])
    assert answer.message.tool_calls or answer.message.content is not None


@feature("Ollama", "results of tools", "/api/chat")
def ollama_tool_result(ask: Clients) -> None:
    called = {"function": {"name": "paint", "arguments": {"colour": "red", "count": 1}}}
    turns = [
        {"role": "user", "content": TEXT},
        {"role": "assistant", "content": "", "tool_calls": [called]},
        {"role": "tool", "content": "done", "tool_name": "paint"},
        {"role": "user", "content": TEXT},
    ]
    assert ask.ollama_chat(messages=turns).message.content, "no text"


@feature("Ollama", "`format`: a schema", "/api/chat")
def ollama_schema(ask: Clients) -> None:
    assert meets_schema(ask.ollama_chat(format=SCHEMA).message.content)


@feature("Ollama", "pictures", "/api/chat")
def ollama_vision(ask: Clients) -> None:
    turn = {"role": "user", "content": "What is this?", "images": [PIXEL]}
    assert ask.ollama_chat(messages=[turn]).message.content, "no text"


@feature("Ollama", "`/api/generate`", "/api/generate")
def ollama_generate(ask: Clients) -> None:
    answer = ask.llama.generate(ask.model, TEXT, options={"num_predict": 20})
    assert answer.response and answer.done


@feature("Ollama", "`/api/generate`, streamed", "/api/generate")
def ollama_generate_stream(ask: Clients) -> None:
    parts = list(ask.llama.generate(ask.model, TEXT, options={"num_predict": 20}, stream=True))
    assert len([part for part in parts if part.response]) > 1 and parts[-1].done


@feature("Ollama", "`/api/generate`, `raw`", "/api/generate")
def ollama_raw(ask: Clients) -> None:
    assert ask.llama.generate(ask.model, TEXT, raw=True, options={"num_predict": 20}).response


@feature("Ollama", "`/api/embed`", "/api/embed")
def ollama_embed(ask: Clients) -> None:
    made = ask.llama.embed(ask.embedder, ["red", "green"]).embeddings
    assert len(made) == 2 and len(made[0]) > 1


@feature("Ollama", "`/api/tags`", "/api/tags")
def ollama_tags(ask: Clients) -> None:
    assert ask.model in [one.model for one in ask.llama.list().models]


@feature("Ollama", "`/api/show`", "/api/show")
def ollama_show(ask: Clients) -> None:
    assert "completion" in ask.llama.show(ask.model).capabilities


@feature("Ollama", "`/api/version`", "/api/version")
def ollama_version(ask: Clients) -> None:
    assert ask.http.get("/api/version").json()["version"]


@feature("Ollama", "error: no such model", "/api/chat")
def ollama_unknown_model(ask: Clients) -> None:
    error = refusal(ollama.ResponseError, lambda: ask.llama.chat("no-such-model", []))
    assert error.status_code == 404 and "no-such-model" in error.error


@feature("Ollama", "error: wrong type", "/api/chat")
def ollama_wrong_type(ask: Clients) -> None:
    answer = ask.http.post("/api/chat", json={"model": ask.model, "messages": "hello"})
    assert answer.status_code == 400 and isinstance(answer.json()["error"], str)


@feature("Ollama", "error: prompt over the context", "/api/chat")
def ollama_too_long(ask: Clients) -> None:
    error = refusal(ollama.ResponseError, lambda: ask.ollama_chat(ask.too_long))
    assert error.status_code == 400 and isinstance(error.error, str)
