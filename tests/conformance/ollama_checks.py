"""Ollama's API: https://github.com/ollama/ollama/blob/main/docs/api.md."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import ollama
from checks import (
    MARK,
    PIXEL,
    SCHEMA,
    add_check,
    counted,
    is_a,
    lines,
    meets_schema,
    must,
    ollama_error,
    same,
)
from rig import CHAT, CONTEXT_TOKENS, EMBEDDER, TEXT, TOOLS, Clients, user

CHATS, GENERATE, MODELS, EMBED, ERRORS = (
    f"Ollama: {one}" for one in ("chat", "generate", "models", "embed", "errors")
)
TOOL = {"type": "function", "function": {"name": "paint", "description": "Paints.", "parameters": SCHEMA}}
FEW = {"temperature": 0, "num_predict": 8}


def chat(ask: Clients, **more: Any) -> Any:
    asked = {"model": CHAT, "messages": user(TEXT), "options": FEW, "stream": False, **more}
    return ask.post("/api/chat", {name: value for name, value in asked.items() if value is not ...})


def generate(ask: Clients, **more: Any) -> Any:
    return ask.post("/api/generate", {"model": CHAT, "prompt": TEXT, "options": FEW, "stream": False, **more})


def told(body: dict[str, Any]) -> None:
    """What the end of an answer tells: how many tokens, and how long they took in nanoseconds."""
    same((body["done"], body["model"]), (True, CHAT), "done, model")
    datetime.fromisoformat(body["created_at"])
    list(
        counted(body[name] for name in ("prompt_eval_count", "eval_count", "eval_duration", "total_duration"))
    )
    assert body["total_duration"] >= body["eval_duration"], "a part took longer than the whole"


@must(CHATS, "has every field of its type, counts and durations")
def whole(ask: Clients) -> None:
    answer = chat(ask)
    same(answer.headers["content-type"].partition(";")[0], "application/json", "content-type")
    made = is_a(ollama.ChatResponse, answer.json())
    assert made.message.role == "assistant" and made.message.content
    told(answer.json())
    same((made.done_reason, made.eval_count), ("length", 8), "done_reason, eval_count")


@must(CHATS, "streams lines unless told not to; the last has the counts")
def streamed(ask: Clients) -> None:
    found = lines(chat(ask, stream=...))
    same([one["done"] for one in found], [False] * (len(found) - 1) + [True], "done")
    told(found[-1])
    said = "".join(one["message"]["content"] for one in found)
    same(said, chat(ask).json()["message"]["content"], "text")


@must(CHATS, "options: stop, seed, num_predict")
def options(ask: Clients) -> None:
    text = chat(ask, options={**FEW, "num_predict": 24}).json()["message"]["content"]
    mark = MARK if MARK in text else text.split()[1]
    made = chat(ask, options={**FEW, "num_predict": 24, "stop": [mark]}).json()
    assert mark not in made["message"]["content"]
    same(made["done_reason"], "stop", "done_reason")
    one, two = (
        chat(ask, options={"seed": 5, "temperature": 1, "num_predict": 8}).json()["message"]["content"]
        for _ in range(2)
    )
    same(two, one, "text by a seed")
    same(chat(ask, options={"num_predict": -1, "stop": ["a", "e", "i"]}).status_code, 200, "status")


@must(CHATS, "format: a schema, json")
def formats(ask: Clients) -> None:
    more = {"options": {"temperature": 0, "num_predict": 120}}
    meets_schema(chat(ask, format=SCHEMA, **more).json()["message"]["content"])
    assert chat(ask, format="json", **more).json()["message"]["content"].lstrip().startswith("{")


@must(CHATS, "tools: calls with arguments as objects, and their results")
def tools(ask: Clients) -> None:
    made = chat(ask, model=TOOLS, tools=[TOOL], options={"num_predict": 60, "temperature": 0}).json()
    for call in made["message"].get("tool_calls") or ():
        assert isinstance(call["function"]["arguments"], dict)
    called = {"function": {"name": "paint", "arguments": {"colour": "red", "count": 1}}}
    messages = [*user(TEXT), {"role": "assistant", "content": "", "tool_calls": [called]},
                {"role": "tool", "tool_name": "paint", "content": "done"}]  # fmt: skip
    is_a(ollama.ChatResponse, chat(ask, model=TOOLS, messages=messages, tools=[TOOL]).json())


@must(CHATS, "keep_alive, options of how Ollama runs a model, think false")
def passed_over(ask: Clients) -> None:
    same(chat(ask, keep_alive="5m", think=False, options={**FEW, "num_ctx": 512}).status_code, 200, "status")


@must(CHATS, "no messages: the model is loaded")
def loads(ask: Clients) -> None:
    made = is_a(ollama.ChatResponse, chat(ask, messages=[]).json())
    same((made.done, made.done_reason, made.message.content), (True, "load", ""), "the answer")


@must(CHATS, "the SDK's client, whole and streamed")
def by_sdk(ask: Clients) -> None:
    assert ask.ollama_chat().message.content
    found = list(ask.ollama_chat(stream=True))
    assert found[-1].done and found[-1].eval_count and len(found) > 2


@must(GENERATE, "has every field of its type, counts and durations")
def generated(ask: Clients) -> None:
    body = generate(ask).json()
    assert is_a(ollama.GenerateResponse, body).response
    told(body)


@must(GENERATE, "streams lines unless told not to")
def generated_lines(ask: Clients) -> None:
    found = lines(generate(ask, stream=True))
    told(found[-1])
    same("".join(one["response"] for one in found), generate(ask).json()["response"], "text")


@must(GENERATE, "system, format")
def generate_fields(ask: Clients) -> None:
    assert generate(ask, system="Say yes.").json()["response"]
    more = {"options": {"temperature": 0, "num_predict": 120}}
    meets_schema(generate(ask, format=SCHEMA, **more).json()["response"])


@must(GENERATE, "no prompt: the model is loaded")
def generate_loads(ask: Clients) -> None:
    body = ask.post("/api/generate", {"model": CHAT}).json()
    same((body["done"], body["done_reason"], body["response"]), (True, "load", ""), "the answer")


@must(GENERATE, "raw, template, suffix, context are refused by name")
def generate_others(ask: Clients) -> None:
    for name, value in (("raw", True), ("template", "x"), ("suffix", "x"), ("context", [1, 2])):
        ollama_error(generate(ask, **{name: value}), words=name)


@must(MODELS, "tags: every field of its type")
def tags(ask: Clients) -> None:
    found = is_a(ollama.ListResponse, ask.http.get("/api/tags").json()).models
    assert {CHAT, TOOLS, EMBEDDER} <= {one.model for one in found}
    for one in ask.http.get("/api/tags").json()["models"]:
        assert {"name", "model", "modified_at", "size", "digest", "details"} <= set(one), sorted(one)


@must(MODELS, "ps: every field of its type")
def running(ask: Clients) -> None:
    assert CHAT in {one.model for one in ask.llama.ps().models}


@must(MODELS, "show: capabilities, details, model_info")
def shown(ask: Clients) -> None:
    made = ask.llama.show(CHAT)
    assert "completion" in made.capabilities and made.details is not None and made.modelinfo is not None
    ollama_error(ask.post("/api/show", {"model": "other"}), 404, "not found")


@must(MODELS, "version; the address itself")
def version(ask: Clients) -> None:
    assert ask.http.get("/api/version").json()["version"].split(".")[0].isdigit()
    same(ask.http.get("/").status_code, 200, "status")
    same(ask.http.head("/").status_code, 200, "status of HEAD")


@must(MODELS, "pull, push, create, copy, delete are refused in its shape")
def managed(ask: Clients) -> None:
    for method, path in (("POST", "/api/pull"), ("POST", "/api/push"), ("POST", "/api/create"),
                         ("POST", "/api/copy"), ("DELETE", "/api/delete")):  # fmt: skip
        ollama_error(ask.http.request(method, path, json={"model": CHAT}), 404)


@must(EMBED, "one text, many, and the older path")
def embedded(ask: Clients) -> None:
    made = is_a(
        ollama.EmbedResponse, ask.post("/api/embed", {"model": EMBEDDER, "input": ["red", "green"]}).json()
    )
    assert len(made.embeddings) == 2 and len(made.embeddings[0]) > 100 and made.prompt_eval_count > 0
    same(len(ask.llama.embed(EMBEDDER, "red").embeddings), 1, "the number of vectors")
    old = ask.post("/api/embeddings", {"model": EMBEDDER, "prompt": "red"}).json()
    assert len(old["embedding"]) > 100


@must(EMBED, "dimensions are kept, or refused by name")
def embed_dimensions(ask: Clients) -> None:
    answer = ask.post("/api/embed", {"model": EMBEDDER, "input": "red", "dimensions": 64})
    if answer.status_code == 200:
        same(len(answer.json()["embeddings"][0]), 64, "the length")
    else:
        ollama_error(answer, words="dimensions")


def wrong(title: str, status: int, words: str, **more: Any) -> None:
    def check(ask: Clients) -> None:
        for stream in (False, True):
            ollama_error(chat(ask, stream=stream, **more), status, words)

    add_check(ERRORS, title, check)


wrong("another model", 404, "not found", model="other")
wrong("messages: a text", 400, "messages", messages="x")
wrong("messages: another role", 400, "role", messages=[{"role": "king", "content": "x"}])
wrong("tools: a text", 400, "tools", tools="x")
wrong("format: a broken schema", 400, "strin", format={"type": "strin"})
wrong("format: another word", 400, "format", format="xml")
wrong("options: of another type", 400, "temperature", options={"temperature": "hot"})
wrong("a prompt over the context", 400, "context", messages=user("word " * CONTEXT_TOKENS * 2))
wrong("pictures for a model without eyes", 400, "image",
      messages=[{"role": "user", "content": "x", "images": [PIXEL]}])  # fmt: skip
wrong("logprobs", 400, "logprobs", logprobs=True)


@must(ERRORS, "model: missing; a body that is not JSON; the SDK raises")
def others(ask: Clients) -> None:
    ollama_error(chat(ask, model=...), words="model")
    for body in (b"{", b"[]", b""):
        ollama_error(ask.post("/api/chat", body))
    try:
        ask.llama.chat("other", user(TEXT))
    except ollama.ResponseError as error:
        same(error.status_code, 404, "status")
    else:
        raise AssertionError("nothing was raised")
