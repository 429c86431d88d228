"""OpenAI's other paths: models, completions, embeddings. https://platform.openai.com/docs/api-reference."""

from __future__ import annotations

from typing import Any

from checks import chunks, is_a, must, openai_error, same
from openai.types import Completion, CreateEmbeddingResponse, Model
from rig import CHAT, CONTEXT_TOKENS, EMBEDDER, TEXT, TOOLS, Clients

MODELS, COMPLETIONS, EMBEDDINGS = "OpenAI models", "OpenAI completions", "OpenAI embeddings"


@must(MODELS, "list: every model, each field of its type")
def listed(ask: Clients) -> None:
    body = ask.http.get("/v1/models").json()
    same(body["object"], "list", "object")
    assert {CHAT, TOOLS, EMBEDDER} <= {is_a(Model, one).id for one in body["data"]}
    same([one["object"] for one in body["data"]], ["model"] * len(body["data"]), "object of each")


@must(MODELS, "list: by the SDK, with a request id")
def listed_by_sdk(ask: Clients) -> None:
    page = ask.gpt.models.list()
    assert CHAT in [one.id for one in page] and page._request_id


@must(MODELS, "retrieve: names with a slash, a colon, a space")
def retrieved(ask: Clients) -> None:
    for name in (CHAT, TOOLS, EMBEDDER):
        same(ask.gpt.models.retrieve(name).id, name, "id")


@must(MODELS, "retrieve: a slash that is not encoded")
def retrieved_raw(ask: Clients) -> None:
    same(is_a(Model, ask.http.get(f"/v1/models/{CHAT}").json()).id, CHAT, "id")


@must(MODELS, "retrieve: no such model")
def not_there(ask: Clients) -> None:
    for name in ("other", "org%2Fother", "org/other", "..%2f..%2fetc"):
        openai_error(ask.http.get(f"/v1/models/{name}"), 404, "model", "model_not_found")


@must(MODELS, "other methods: 405 with allow")
def methods(ask: Clients) -> None:
    for method, path in (("POST", "/v1/models"), ("DELETE", "/v1/models/other"), ("PUT", "/v1/models")):
        answer = ask.http.request(method, path)
        openai_error(answer, 405)
        assert "GET" in answer.headers.get("allow", ""), "no allow"


def complete(ask: Clients, **more: Any) -> Any:
    asked = {"model": CHAT, "prompt": TEXT, "max_tokens": 8, "temperature": 0, **more}
    return ask.post("/v1/completions", asked)


@must(COMPLETIONS, "has every field of its type, usage adds up, names the model")
def completion(ask: Clients) -> None:
    made = is_a(Completion, complete(ask).json())
    same((made.object, made.model), ("text_completion", CHAT), "object and model")
    assert made.choices[0].text and made.choices[0].finish_reason == "length"
    same(made.usage.total_tokens, made.usage.prompt_tokens + made.usage.completion_tokens, "total_tokens")


@must(COMPLETIONS, "stream: chunks and [DONE]")
def completion_stream(ask: Clients) -> None:
    found = chunks(complete(ask, stream=True))
    said = "".join(one["choices"][0]["text"] for one in found if one["choices"])
    same(said, complete(ask).json()["choices"][0]["text"], "text")


@must(COMPLETIONS, "stream: include_usage")
def completion_usage(ask: Clients) -> None:
    found = chunks(complete(ask, stream=True, stream_options={"include_usage": True}))
    same(found[-1]["choices"], [], "the last chunk's choices")
    same(found[-1]["usage"]["completion_tokens"], 8, "completion_tokens")


@must(COMPLETIONS, "stop, n, seed, logprobs")
def completion_fields(ask: Clients) -> None:
    whole = complete(ask, max_tokens=20).json()["choices"][0]["text"]
    mark = whole.split()[1]
    same(complete(ask, stop=mark).json()["choices"][0]["finish_reason"], "stop", "finish_reason")
    same(len(complete(ask, n=2, temperature=0.8).json()["choices"]), 2, "the number of choices")
    one, two = (complete(ask, seed=3, temperature=1).json()["choices"][0]["text"] for _ in range(2))
    same(one, two, "text by a seed")
    assert is_a(Completion, complete(ask, logprobs=2).json()).choices[0].logprobs, "no logprobs"


@must(COMPLETIONS, "many prompts")
def completion_prompts(ask: Clients) -> None:
    choices = complete(ask, prompt=["One two", "Red green"]).json()["choices"]
    same([one["index"] for one in choices], [0, 1], "indexes")


@must(COMPLETIONS, "a prompt of tokens")
def completion_tokens(ask: Clients) -> None:
    same(complete(ask, prompt=[338, 339, 340]).json()["usage"]["prompt_tokens"], 3, "prompt_tokens")


@must(COMPLETIONS, "errors with param: prompt, max_tokens, model")
def completion_errors(ask: Clients) -> None:
    openai_error(complete(ask, prompt=5), param="prompt")
    openai_error(complete(ask, prompt=[]), param="prompt")
    openai_error(complete(ask, max_tokens="x"), param="max_tokens")
    openai_error(complete(ask, max_tokens=-3), param="max_tokens")
    openai_error(complete(ask, model="other"), 404, "model", "model_not_found")
    openai_error(complete(ask, prompt="word " * CONTEXT_TOKENS * 2), code="context_length_exceeded")


@must(COMPLETIONS, "echo, suffix, best_of are refused by name, or done")
def completion_others(ask: Clients) -> None:
    for name, value in (("suffix", "end"), ("best_of", 3)):
        openai_error(complete(ask, **{name: value}), param=name)
    echoed = complete(ask, echo=True)
    if echoed.status_code == 200:
        assert echoed.json()["choices"][0]["text"].startswith(TEXT), "echo is passed over in silence"
    else:
        openai_error(echoed, param="echo")


def embed(ask: Clients, given: Any = "hello", **more: Any) -> Any:
    return ask.post("/v1/embeddings", {"model": EMBEDDER, "input": given, **more})


@must(EMBEDDINGS, "has every field of its type, counts, names the model")
def embedded(ask: Clients) -> None:
    made = is_a(CreateEmbeddingResponse, embed(ask).json())
    same((made.object, made.model, made.data[0].object), ("list", EMBEDDER, "embedding"), "object, model")
    assert len(made.data[0].embedding) > 100 and made.usage.prompt_tokens > 0
    same(made.usage.total_tokens, made.usage.prompt_tokens, "total_tokens")


@must(EMBEDDINGS, "many texts in their order, equal ones equal")
def embedded_many(ask: Clients) -> None:
    made = is_a(CreateEmbeddingResponse, embed(ask, ["red", "green", "red"]).json()).data
    same([one.index for one in made], [0, 1, 2], "indexes")
    near = [sum(abs(a - b) for a, b in zip(made[0].embedding, one.embedding, strict=True)) for one in made]
    assert near[2] < 1e-2 < near[1], f"distances are {near}"


@must(EMBEDDINGS, "base64 is what the numbers are")
def embedded_base64(ask: Clients) -> None:
    assert isinstance(embed(ask, encoding_format="base64").json()["data"][0]["embedding"], str)
    decoded, numbers = (
        ask.gpt.embeddings.create(model=EMBEDDER, input="hello", **more).data[0].embedding
        for more in ({}, {"encoding_format": "float"})
    )
    assert all(abs(a - b) < 1e-4 for a, b in zip(decoded, numbers, strict=True))


@must(EMBEDDINGS, "tokens, and many of them")
def embedded_tokens(ask: Clients) -> None:
    same(len(embed(ask, [338, 339]).json()["data"]), 1, "the number of vectors")
    same(len(embed(ask, [[338, 339], [340]]).json()["data"]), 2, "the number of vectors")


@must(EMBEDDINGS, "dimensions are kept, or refused by name")
def embedded_dimensions(ask: Clients) -> None:
    answer = embed(ask, dimensions=64)
    if answer.status_code == 200:
        same(len(answer.json()["data"][0]["embedding"]), 64, "the length")
    else:
        openai_error(answer, param="dimensions")


@must(EMBEDDINGS, "errors with param: empty, of another type, another form")
def embedding_errors(ask: Clients) -> None:
    for given in ("", [], 5, None):
        openai_error(embed(ask, given), param="input")
    openai_error(embed(ask, ["red", ""]), param="input[1]")
    openai_error(embed(ask, encoding_format="hex"), param="encoding_format")
    openai_error(ask.post("/v1/embeddings", {"model": EMBEDDER}), param="input")


@must(EMBEDDINGS, "a model that chats has none")
def embedding_of_chat(ask: Clients) -> None:
    openai_error(embed(ask, model=CHAT), param="model")


@must(EMBEDDINGS, "a text over the context")
def embedding_too_long(ask: Clients) -> None:
    openai_error(embed(ask, "word " * CONTEXT_TOKENS * 2), param="input")
