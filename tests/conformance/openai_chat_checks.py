"""OpenAI's chat API: https://platform.openai.com/docs/api-reference/chat."""

from __future__ import annotations

import time
from typing import Any

from checks import add_check, chunks, is_a, must, openai_error, same
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from rig import CHAT, CONTEXT_TOKENS, TEXT, Clients, user

PATH = "/v1/chat/completions"
ANSWER, STREAM, SAMPLING = (f"OpenAI chat: {one}" for one in ("answer", "stream", "fields"))


def ask_raw(ask: Clients, **more: Any) -> Any:
    return ask.post(PATH, {"model": CHAT, "messages": user(TEXT), "max_tokens": 16, "temperature": 0, **more})


@must(ANSWER, "has every field of its type")
def answer_types(ask: Clients) -> None:
    answer = is_a(ChatCompletion, ask_raw(ask).json())
    assert answer.id and answer.choices[0].message.role == "assistant" and answer.choices[0].message.content
    same(answer.choices[0].index, 0, "index")
    assert abs(time.time() - answer.created) < 600, "created is not now"


@must(ANSWER, "names the model that was asked for")
def answer_model(ask: Clients) -> None:
    same(ask.chat().model, CHAT, "model")


@must(ANSWER, "usage adds up")
def answer_usage(ask: Clients) -> None:
    usage = ask.chat().usage
    assert usage.prompt_tokens > 0 and usage.completion_tokens > 0
    same(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens, "total_tokens")


@must(ANSWER, "is application/json with x-request-id")
def answer_headers(ask: Clients) -> None:
    answer = ask_raw(ask)
    same(answer.headers["content-type"].partition(";")[0], "application/json", "content-type")
    assert answer.headers["x-request-id"] and ask.chat()._request_id


@must(ANSWER, "finish_reason stop, length")
def answer_finish(ask: Clients) -> None:
    same(ask.chat(max_tokens=2).choices[0].finish_reason, "length", "finish_reason")
    same(ask.chat(stop=["a", "e", "o"], max_tokens=200).choices[0].finish_reason, "stop", "finish_reason")


@must(ANSWER, "ids differ")
def answer_ids(ask: Clients) -> None:
    assert ask.chat(max_tokens=1).id != ask.chat(max_tokens=1).id


def turns(title: str, messages: list[dict[str, Any]]) -> None:
    def check(ask: Clients) -> None:
        assert ask.chat(messages=messages).choices[0].message.content is not None

    add_check("OpenAI chat: messages", title, check)


turns("system and user", [{"role": "system", "content": "Be brief."}, *user(TEXT)])
turns("developer", [{"role": "developer", "content": "Be brief."}, *user(TEXT)])
turns("many turns", [*user("Hi"), {"role": "assistant", "content": "Hello."}, *user(TEXT)])
turns("text parts", user([{"type": "text", "text": "One two"}, {"type": "text", "text": " three four"}]))
turns("a name", [{"role": "user", "name": "anna", "content": TEXT}])
turns("emoji and other scripts", user("Grüße 👩‍👩‍👧 نص עברית 漢字"))
turns("refusal and null content of earlier turns", [
    *user("Hi"), {"role": "assistant", "content": None, "refusal": "No."}, *user(TEXT)
])  # fmt: skip


@must("OpenAI chat: messages", "developer is read as system is")
def developer_is_system(ask: Clients) -> None:
    one, two = (
        ask.chat(messages=[{"role": role, "content": "Say yes."}, *user(TEXT)])
        for role in ("system", "developer")
    )
    same(two.usage.prompt_tokens, one.usage.prompt_tokens, "prompt_tokens")
    same(two.choices[0].message.content, one.choices[0].message.content, "content")


@must("OpenAI chat: messages", "text parts are read as one text")
def parts_are_text(ask: Clients) -> None:
    part = ask.chat(messages=user([{"type": "text", "text": TEXT}]))
    same(part.choices[0].message.content, ask.chat().choices[0].message.content, "content")


@must("OpenAI chat: messages", "a picture is refused by a model without eyes")
def picture(ask: Clients) -> None:
    openai_error(ask_raw(ask, messages=user([
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ])))  # fmt: skip


@must(STREAM, "each chunk has every field of its type, one id, one model")
def stream_types(ask: Clients) -> None:
    found = [is_a(ChatCompletionChunk, one) for one in chunks(ask_raw(ask, stream=True))]
    same({one.id for one in found}, {found[0].id}, "id")
    same({one.model for one in found}, {CHAT}, "model")
    same(found[0].choices[0].delta.role, "assistant", "the first delta's role")
    reasons = [one.choices[0].finish_reason for one in found if one.choices]
    assert reasons[-1] in ("stop", "length") and not any(reasons[:-1]), f"reasons are {reasons}"


@must(STREAM, "says what a whole answer says")
def stream_text(ask: Clients) -> None:
    parts = [part.choices[0].delta.content or "" for part in ask.chat(stream=True) if part.choices]
    assert len([part for part in parts if part]) > 1, "the text came in one piece"
    same("".join(parts), ask.chat().choices[0].message.content, "text")


@must(STREAM, "no usage where it was not asked for")
def stream_without_usage(ask: Clients) -> None:
    found = list(ask.chat(stream=True))
    assert all(part.choices for part in found) and not any(part.usage for part in found)


@must(STREAM, "include_usage: a last chunk without choices, as a whole answer counts")
def stream_usage(ask: Clients) -> None:
    found = list(ask.chat(stream=True, stream_options={"include_usage": True}))
    assert not found[-1].choices and all(part.choices for part in found[:-1])
    assert all(part.usage is None for part in found[:-1]), "usage in another chunk as well"
    usage = ask.chat().usage
    same(found[-1].usage.prompt_tokens, usage.prompt_tokens, "prompt_tokens")
    same(found[-1].usage.completion_tokens, usage.completion_tokens, "completion_tokens")


@must(STREAM, "n: chunks of both choices")
def stream_n(ask: Clients) -> None:
    found = {part.choices[0].index for part in ask.chat(stream=True, n=2, temperature=0.8) if part.choices}
    same(found, {0, 1}, "indexes")


@must(STREAM, "logprobs in chunks")
def stream_logprobs(ask: Clients) -> None:
    found = [part.choices[0] for part in ask.chat(stream=True, logprobs=True, top_logprobs=2) if part.choices]
    told = [one.logprobs.content[0] for one in found if one.logprobs and one.logprobs.content]
    assert told and all(len(one.top_logprobs) == 2 for one in told), "none are told"


@must(STREAM, "stream_options without stream is refused")
def options_without_stream(ask: Clients) -> None:
    openai_error(ask_raw(ask, stream_options={"include_usage": True}), param="stream_options")


@must(STREAM, "an error before the first byte is one of HTTP")
def stream_error(ask: Clients) -> None:
    openai_error(ask_raw(ask, stream=True, messages=user("word " * CONTEXT_TOKENS * 2)),
                 param="messages", code="context_length_exceeded")  # fmt: skip
    openai_error(ask_raw(ask, stream=True, model="none"), 404, "model", "model_not_found")


@must(STREAM, "the SDK's helper puts it together")
def stream_helper(ask: Clients) -> None:
    with ask.gpt.chat.completions.stream(
        model=CHAT, messages=user(TEXT), max_tokens=16, temperature=0
    ) as events:
        kinds = {event.type for event in events}
        final = events.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds and final.choices[0].message.content


def accepted(title: str, **more: Any) -> None:
    def check(ask: Clients) -> None:
        is_a(ChatCompletion, ask.chat(**more).to_dict())

    add_check(SAMPLING, title, check)


accepted("top_p", top_p=0.5, temperature=1)
accepted("presence_penalty, frequency_penalty", presence_penalty=-1, frequency_penalty=1.5)
accepted("user, metadata, store false", user="anna", metadata={"a": "b"}, store=False)
accepted("safety_identifier, prompt_cache_key, service_tier",
         safety_identifier="x", prompt_cache_key="y", service_tier="auto")  # fmt: skip
accepted("modalities text", modalities=["text"])
accepted("nulls where the reference allows them",
         stop=None, seed=None, n=None, logit_bias=None, stream=None)  # fmt: skip
accepted("prediction, which changes speed alone", prediction={"type": "content", "content": TEXT})


@must(SAMPLING, "max_tokens, max_completion_tokens")
def limits(ask: Clients) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        usage = ask.chat(**{"max_tokens": None, name: 3}).usage
        same(usage.completion_tokens, 3, f"completion_tokens with {name}")


@must(SAMPLING, "stop: a text, and a list; what stops is not told")
def stops(ask: Clients) -> None:
    whole = ask.chat().choices[0].message.content
    mark = whole.split()[2]
    for stop in (mark, ["no such word", mark]):
        found = ask.chat(stop=stop).choices[0]
        same(found.message.content.strip(), whole.partition(mark)[0].strip(), "content")
        same(found.finish_reason, "stop", "finish_reason")


@must(SAMPLING, "seed repeats an answer")
def seeds(ask: Clients) -> None:
    one, two = (ask.chat(temperature=1, seed=11).choices[0].message.content for _ in range(2))
    same(two, one, "the second answer")


@must(SAMPLING, "n")
def many(ask: Clients) -> None:
    same([one.index for one in ask.chat(n=2, temperature=0.9).choices], [0, 1], "indexes")


@must(SAMPLING, "logprobs, top_logprobs")
def logprobs(ask: Clients) -> None:
    found = ask.chat(logprobs=True, top_logprobs=3, max_tokens=4).choices[0].logprobs.content
    same(len(found), 4, "the number of tokens")
    for one in found:
        assert one.logprob <= 0 and isinstance(one.bytes, list) and one.token is not None
        same(len(one.top_logprobs), 3, "alternatives")
    assert ask.chat(max_tokens=2).choices[0].logprobs is None, "told without being asked for"


@must(SAMPLING, "logit_bias forces a token")
def bias(ask: Clients) -> None:
    usual = ask.chat(max_tokens=2).choices[0].message.content
    forced = ask.chat(max_tokens=2, logit_bias={"338": 100}).choices[0].message.content
    assert forced != usual and forced[: len(forced) // 2] * 2 == forced, f"{forced!r} is not one token twice"


@must(SAMPLING, "what a model here cannot do is refused by name")
def impossible(ask: Clients) -> None:
    for name, value in (
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("web_search_options", {"search_context_size": "low"}),
        ("modalities", ["text", "audio"]),
    ):
        openai_error(ask_raw(ask, **{name: value}), param=name)
