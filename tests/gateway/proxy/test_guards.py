"""What a client never sees: an answer of another form than it asked for, or one to half of its prompt."""

import json
import threading
import time

import anthropic
import openai
import pytest
from msgspec.structs import replace
from tests.gateway.asking import FORM, QUESTION, TOOLS, call, get, metric, post, structured
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, stream, stream_of, traces_of

from freehold.types.endpoint import ANY_SERVED, Capabilities, Endpoint, ServedModel
from freehold.types.route import Route, Target

pytestmark = pytest.mark.process

ROUTE = Route(
    name="app",
    model="m",
    incumbent=Target(endpoint="incumbent"),
    candidate=Target(endpoint="candidate"),
    state="promoted",
    fallback=(Target(endpoint="larger"),),
)
TOO_LONG = {
    "error": {
        "code": 400,
        "message": "request (900 tokens) exceeds the available context size (512 tokens)",
        "type": "exceed_context_size_error",
    }
}


@pytest.fixture(scope="module")
def promoted(_upstream, candidate, tmp_path_factory):
    """A promoted route; ``small`` and ``alone``, with a larger endpoint behind it and without; and Ollama's ``o``."""
    can = Capabilities(json_schema=True, tools=True)
    cuts = (ServedModel(name="o", upstream_name="o"),)
    endpoints = (
        Endpoint(name="incumbent", engine="remote", models=ANY_SERVED, base_url=_upstream.base_url),
        Endpoint(name="candidate", engine="llamacpp", base_url=candidate.base_url, capabilities=can),
        Endpoint(name="larger", engine="remote", base_url=_upstream.base_url),
        Endpoint(name="o", engine="ollama", models=cuts, base_url=candidate.base_url, context_tokens=200),
    )
    alone = Route(name="alone", model="alone", incumbent=Target(endpoint="candidate"))
    small = replace(alone, name="small", model="small", fallback=(Target(endpoint="larger"),))
    with gateway(
        _upstream,
        tmp_path_factory.mktemp("guards"),
        endpoints=endpoints,
        routes=(ROUTE, alone, small),
        breaker_failures=99,
    ) as running:
        yield running


def outcome(running, name):
    return metric(running, f'freehold_guard_events_total{{guard="schema",outcome="{name}",route="app"}}')


def test_a_broken_text_is_asked_for_once_more_with_the_engine_held_to_the_schema(promoted, candidate):
    def answer(seen):
        held = seen.json["response_format"]["json_schema"]["name"] == "answer"
        return plain(structured('{"intent":"refund"}' if held else "Sure! It is a refund."))

    candidate.answer = answer
    before = outcome(promoted, "held_constrained")
    status, _, body = post(promoted, {**QUESTION, "response_format": FORM, "tools": TOOLS, "seed": 7})
    assert status == 200
    assert json.loads(body)["choices"][0]["message"]["content"] == '{"intent":"refund"}'
    first, second = (seen.json for seen in candidate.seen)
    assert first["tools"] == TOOLS and first["response_format"] == FORM
    assert second["response_format"]["json_schema"]["schema"] == FORM["json_schema"]["schema"]
    assert second["tools"] is None and (second["seed"], second["messages"]) == (7, QUESTION["messages"])
    assert outcome(promoted, "held_constrained") == before + 1 and outcome(promoted, "retried") >= 1


def test_broken_arguments_are_asked_for_as_a_call_of_that_tool(promoted, candidate):
    other = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}

    def answer(seen):
        arguments = '{"order":1}' if seen.json.get("tool_choice") == "required" else "{}"
        return plain(structured(None, tool_calls=call("find", arguments)))

    candidate.answer = answer
    _, _, body = post(promoted, {**QUESTION, "tools": [other, *TOOLS]})
    made = json.loads(body)["choices"][0]["message"]["tool_calls"][0]["function"]
    assert made["arguments"] == '{"order":1}' and candidate.seen[1].json["tools"] == TOOLS


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "find"}}])
def test_a_demanded_call_that_does_not_come_is_the_incumbents(promoted, candidate, choice):
    candidate.answer = lambda seen: plain(structured("I would rather talk."))
    _, _, body = post(promoted, {**QUESTION, "tools": TOOLS, "tool_choice": choice})
    assert json.loads(body) == ANSWER
    _, _, body = post(promoted, {**QUESTION, "tools": TOOLS, "tool_choice": "auto"})
    assert json.loads(body)["choices"][0]["message"]["content"] == "I would rather talk."


def test_streams_are_judged_whole_and_told_from_their_start(promoted, candidate):
    def answer(seen):
        held = seen.json["response_format"]["json_schema"]["name"] == "answer"
        return stream(stream_of('{"intent":', '"refund"}') if held else stream_of("Sure", "!"))

    candidate.answer = answer
    _, headers, body = post(promoted, {**QUESTION, "response_format": FORM, "stream": True})
    assert b"Sure" not in body and b'"refund\\"}' in body and body.endswith(b"data: [DONE]\n\n")
    assert headers["content-type"].startswith("text/event-stream")


def test_a_held_answer_that_broke_off_is_the_incumbents_in_every_api(promoted, candidate, upstream):
    candidate.answer = lambda seen: stream(stream_of('{"intent":"refund"}')[:2])
    upstream.answer = lambda seen: stream(stream_of("on", " its", " way"))
    _, _, body = post(promoted, {**QUESTION, "response_format": FORM, "stream": True})
    assert b"refund" not in body and b" way" in body
    with openai.OpenAI(base_url=f"{promoted.base_url}/v1", api_key="x", max_retries=0) as gpt:
        form = {"type": "json_schema", "name": "f", "schema": FORM["json_schema"]["schema"]}
        with gpt.responses.stream(model="m", input="x", text={"format": form}) as told:
            assert told.get_final_response().output_text == "on its way"
    wanted = {"format": {"type": "json_schema", "schema": FORM["json_schema"]["schema"]}}
    with (
        anthropic.Anthropic(base_url=promoted.base_url, api_key="x", max_retries=0) as claude,
        claude.messages.stream(
            model="m", max_tokens=9, messages=QUESTION["messages"], output_config=wanted
        ) as told,
    ):
        assert told.get_final_text() == "on its way"


def test_the_other_apis_are_held_to_their_schemas_too(promoted, candidate, upstream):
    candidate.answer = lambda seen: plain(structured("Sure!"))
    with openai.OpenAI(base_url=f"{promoted.base_url}/v1", api_key="x", max_retries=0) as gpt:
        form = {"type": "json_schema", "name": "f", "schema": FORM["json_schema"]["schema"]}
        assert gpt.responses.create(model="m", input="x", text={"format": form}).output_text == "on its way"
    candidate.answer = lambda seen: plain(structured(None, tool_calls=call("find", "{}")))
    tool = {"name": "find", "input_schema": TOOLS[0]["function"]["parameters"]}
    with anthropic.Anthropic(base_url=promoted.base_url, api_key="x", max_retries=0) as claude:
        turns = [{"role": "user", "content": "x"}]
        said = claude.messages.create(model="m", max_tokens=5, messages=turns, tools=[tool])
        assert said.content[0].text == "on its way"
    assert len(upstream.seen) == 2


def test_a_schema_that_points_elsewhere_is_not_fetched(promoted, candidate, upstream):
    away = {"$ref": f"{upstream.base_url}/schema.json"}
    form = {"type": "json_schema", "json_schema": {"name": "f", "schema": away}}
    candidate.answer = lambda seen: plain(structured("{}"))
    assert json.loads(post(promoted, {**QUESTION, "response_format": form})[2]) == ANSWER
    assert [seen.path for seen in upstream.seen] == ["/v1/chat/completions"]


def test_a_prompt_the_incumbent_cannot_take_goes_to_a_larger_one(promoted, candidate):
    candidate.answer = lambda seen: plain(TOO_LONG, status=400)
    assert json.loads(post(promoted, {**QUESTION, "model": "small"})[2]) == ANSWER
    assert metric(promoted, 'freehold_guard_events_total{guard="context",outcome="fallback"') == 1


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v1/chat/completions", lambda said: said["error"]["code"] == "context_length_exceeded"),
        ("/v1/responses", lambda said: said["error"]["code"] == "context_length_exceeded"),
        ("/v1/messages", lambda said: said["error"]["type"] == "invalid_request_error"),
    ],
)
def test_with_nobody_larger_it_is_an_error_in_the_clients_own_words(promoted, candidate, path, shape):
    candidate.answer = lambda seen: plain(TOO_LONG, status=400)
    asked = {"/v1/messages": {**QUESTION, "max_tokens": 5}, "/v1/responses": {"input": "hi"}}
    body = {**asked.get(path, QUESTION), "model": "alone", "stream": False}
    status, _, body = post(promoted, body, path=path)
    assert status == 400 and shape(json.loads(body)) and b"available context size" in body


def test_ollama_is_asked_whether_it_would_cut(promoted, candidate):
    def answer(seen):
        if seen.path == "/api/chat":
            return plain({"error": "the input length exceeds the context length"}, status=400)
        return plain(ANSWER)

    candidate.answer = answer
    short = {**QUESTION, "model": "o"}
    assert post(promoted, short)[0] == 200 and len(candidate.seen) == 1, "a short one surely fits"
    turns = [{"role": "user", "content": "word " * 100}]
    status, _, body = post(promoted, {"model": "o", "messages": turns})
    assert (status, json.loads(body)["error"]["code"]) == (400, "context_length_exceeded")
    probe = candidate.seen[-1].json
    assert (probe["truncate"], probe["options"], probe["messages"]) == (False, {"num_predict": 1}, turns)
    candidate.answer = lambda seen: plain(ANSWER)
    assert post(promoted, {"model": "o", "messages": turns})[0] == 200
    assert [seen.path for seen in candidate.seen[-2:]] == ["/api/chat", "/v1/chat/completions"]


def test_what_the_candidates_api_has_no_word_for_is_answered_by_the_incumbent(upstream, candidate, tmp_path):
    endpoints = (
        Endpoint(
            name="incumbent", engine="remote", api="anthropic", models=ANY_SERVED, base_url=upstream.base_url
        ),
        Endpoint(name="candidate", engine="llamacpp", base_url=candidate.base_url),
    )
    said = {
        "type": "message",
        "id": "m1",
        "role": "assistant",
        "content": [{"type": "text", "text": "Well."}],
    }
    upstream.answer = lambda seen: plain({**said, "model": "m", "stop_reason": "end_turn", "usage": {}})
    route = Route(
        name="app",
        model="m",
        incumbent=Target(endpoint="incumbent"),
        candidate=Target(endpoint="candidate"),
        state="promoted",
    )
    thinking = {"type": "enabled", "budget_tokens": 2000}
    with gateway(upstream, tmp_path, endpoints=endpoints, routes=(route,)) as running:
        with anthropic.Anthropic(base_url=running.base_url, api_key="x", max_retries=0) as claude:
            asked = {"model": "m", "max_tokens": 4000, "messages": QUESTION["messages"]}
            assert claude.messages.create(**asked).content[0].text == "on its way"
            assert claude.messages.create(**asked, thinking=thinking).content[0].text == "Well."
        assert upstream.seen[-1].json["thinking"] == thinking and len(candidate.seen) == 1
        kept = eventually(lambda: [one for one in traces_of(running) if one.endpoint == "incumbent"])[0]
        assert kept.completeness == "complete" and kept.fallback == "other_api"
        assert metric(running, 'freehold_fallbacks_total{route="app",why="other_api"}') == 1


def test_a_schema_that_never_ends_is_the_incumbents_to_answer_and_stops_nobody(promoted, candidate, upstream):
    candidate.answer = lambda seen: plain(structured('"' + "a" * 40 + '!"'))
    schema = {"type": "string", "pattern": "^(a+)+$"}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    before = outcome(promoted, "undecided")
    answers = []

    def ask():
        answers.append(post(promoted, {**QUESTION, "response_format": form}, timeout=60))

    asking = threading.Thread(target=ask)
    asking.start()
    slowest = 0.0
    while asking.is_alive():
        started = time.monotonic()
        get(promoted, "/health")
        slowest = max(slowest, time.monotonic() - started)
    assert slowest < 5.0
    assert answers[0][0] == 200 and json.loads(answers[0][2]) == ANSWER
    assert outcome(promoted, "undecided") == before + 1
