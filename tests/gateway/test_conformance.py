"""What the real clients must find at any engine here: wrong requests named, errors, ids, stop sequences, counts."""

import json

import anthropic
import openai
import pytest
from tests.gateway.asking import get, post
from tests.gateway.loopback import ANSWER, gateway, plain, stream, stream_of

from freehold.types.endpoint import Capabilities, Endpoint, ServedModel
from freehold.types.route import Route, Target

pytestmark = pytest.mark.process

TURNS = [{"role": "user", "content": "x"}]
TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}


def form(schema):
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


@pytest.fixture(scope="module")
def served(_upstream, tmp_path_factory):
    """The upstream as llama.cpp here under ``org/own``, and as the rented incumbent of ``m``."""
    can = Capabilities(tools=True, json_schema=True)
    own = Endpoint(
        name="local",
        engine="llamacpp",
        base_url=_upstream.base_url,
        models=(ServedModel(name="org/own", upstream_name="own"),),
        capabilities=can,
    )
    rented = Endpoint(
        name="incumbent",
        engine="remote",
        base_url=_upstream.base_url,
        models=(ServedModel(name="m", upstream_name="m"),),
        capabilities=can,
    )
    moved = Route(
        name="moved",
        model="moved",
        incumbent=Target(endpoint="incumbent", model="m"),
        candidate=Target(endpoint="local", model="own"),
        state="promoted",
    )
    with gateway(
        _upstream, tmp_path_factory.mktemp("conformance"), endpoints=(own, rented), routes=(moved,), retries=0
    ) as running:
        yield running


@pytest.mark.parametrize(
    ("more", "param"),
    [
({"messages": []}, "messages"),
({"stop": [1]}, "stop[0]"),
({"tools": [{"type": "function"}]}, "tools[0].function"),
({"tools": [{**TOOL, "function": {"name": "f", "parameters": {"type": "obj"}}}]},
         "tools[0].function.parameters"),
({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
({"response_format": form({"type": "strin"})}, "response_format"),
({"response_format": form({"$ref": "#/nowhere"})}, "response_format"),
({"temperature": "hot"}, "temperature"),
],
)  # fmt: skip
def test_a_wrong_request_is_named_here_and_left_to_a_rented_endpoint(served, gpt, upstream, more, param):
    asked = {"messages": TURNS, **more}
    with pytest.raises(openai.BadRequestError) as error:
        gpt.chat.completions.create(model="org/own", **asked)
    assert error.value.param == param and error.value.type == "invalid_request_error"
    assert error.value.request_id and not upstream.seen
    assert gpt.chat.completions.create(model="m", **asked).choices
    assert upstream.seen[-1].json == {"model": "m", **asked}
    # The incumbent is who says what is wrong, where one stands behind a candidate.
    upstream.answer = lambda seen: plain({"error": {"message": "theirs"}}, status=400)
    with pytest.raises(openai.BadRequestError, match="theirs"):
        gpt.chat.completions.create(model="moved", **asked)


@pytest.mark.parametrize("kind", ["responses", "embeddings", "completions"])
def test_wrong_requests_of_the_other_apis(served, upstream, kind):
    body = {"model": "org/own", "input": 5, "prompt": 5}
    status, _, said = post(served, body, path=f"/v1/{kind}")
    assert status == 400 and json.loads(said)["error"]["param"] == (
        "prompt" if kind == "completions" else "input"
    )
    assert not upstream.seen


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"max_tokens": 0}, "max_tokens: Input should be greater"),
        ({"messages": []}, "messages: at least one message"),
        ({"tools": [{"name": "find"}]}, "tools.0.input_schema: Field required"),
        ({"tools": [{"name": "find", "input_schema": {"type": "obj"}}]}, "function 'find'"),
    ],
)
def test_anthropics_client_is_told_in_its_own_spelling(claude, upstream, more, words):
    with pytest.raises(anthropic.BadRequestError) as error:
        claude.messages.create(**{"model": "org/own", "max_tokens": 5, "messages": TURNS, **more})
    assert words in error.value.body["error"]["message"] and error.value.request_id and not upstream.seen


def test_a_length_that_is_not_said_is_missing(served, upstream):
    status, headers, said = post(served, {"model": "org/own", "messages": TURNS}, path="/v1/messages")
    assert status == 400 and json.loads(said)["error"]["message"] == "max_tokens: Field required"
    assert headers["request-id"] == headers["x-freehold-request-id"]


def test_every_answer_has_an_id_where_its_client_looks(served, gpt, claude, upstream):
    answer = gpt.chat.completions.with_raw_response.create(model="org/own", messages=TURNS)
    assert answer.parse()._request_id == answer.headers["x-freehold-request-id"]
    assert claude.messages.create(model="org/own", max_tokens=5, messages=TURNS)._request_id
    assert gpt.models.list()._request_id
    with pytest.raises(openai.NotFoundError) as error:
        gpt.models.retrieve("no/such")
    assert error.value.request_id
    with pytest.raises(openai.NotFoundError) as error:
        gpt.files.list()
    assert error.value.request_id
    upstream.answer = lambda seen: plain(ANSWER, headers={"x-request-id": "req_theirs"})
    assert gpt.chat.completions.create(model="m", messages=TURNS)._request_id == "req_theirs"


@pytest.mark.parametrize("path", ["/v1/models/org/own", "/v1/models/org%2Fown"])
def test_a_models_name_may_have_a_slash(served, path):
    assert json.loads(get(served, path))["id"] == "org/own"


def events(*bodies):
    return [b"data: " + json.dumps(one).encode() + b"\n\n" for one in bodies]


@pytest.mark.parametrize(("code", "status"), [(400, 400), (503, 503), ("x", 502), (None, 502)])
def test_a_stream_that_is_an_error_only_is_one_of_http(served, gpt, claude, upstream, code, status):
    said = {"error": {"message": "too hot", "code": code, "type": "invalid_request_error"}}
    upstream.answer = lambda seen: stream(events(said))
    with pytest.raises(openai.APIStatusError, match="too hot") as error:
        gpt.chat.completions.create(model="org/own", messages=TURNS, stream=True)
    assert error.value.status_code == status
    with (
        pytest.raises(anthropic.APIStatusError, match="too hot") as error,
        claude.messages.stream(model="org/own", max_tokens=5, messages=TURNS),
    ):
        pass
    assert error.value.status_code == status
    # What a rented endpoint says goes as it came; a candidate's error is the incumbent's turn.
    assert post(served, {"model": "m", "messages": TURNS, "stream": True})[0] == 200
    upstream.answer = lambda seen: stream(events(said) if seen.json["model"] == "own" else stream_of("fine"))
    parts = list(gpt.chat.completions.create(model="moved", messages=TURNS, stream=True))
    assert "fine" in [part.choices[0].delta.content for part in parts]


def chunk(delta, finish=None, **more):
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


LLAMA = events(
    chunk(
        {"role": "assistant", "content": None}, prompt_progress={"total": 38, "cache": 30, "processed": 38}
    ),
    chunk({"role": "assistant", "content": None}),
    chunk({"content": "one two"}),
    chunk({}, "stop", __verbose={"stopping_word": "three", "prompt": "…"}),
    {
        "choices": [],
        "usage": {
            "prompt_tokens": 38,
            "completion_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": 30},
        },
    },
)
ASKED = {"model": "org/own", "max_tokens": 9, "messages": TURNS, "stop_sequences": ["three", "four"]}


def test_which_stop_sequence_ended_an_answer_and_what_the_prompt_has(claude, upstream):
    upstream.answer = lambda seen: stream([*LLAMA, b"data: [DONE]\n\n"])
    told = list(claude.messages.create(**ASKED, stream=True))
    assert upstream.seen[-1].json["verbose"] is True and upstream.seen[-1].json["return_progress"] is True
    start = next(event for event in told if event.type == "message_start").message.usage
    assert (start.input_tokens, start.cache_read_input_tokens, start.output_tokens) == (8, 30, 0)
    end = next(event for event in told if event.type == "message_delta")
    assert (end.delta.stop_reason, end.delta.stop_sequence) == ("stop_sequence", "three")
    assert (end.usage.input_tokens, end.usage.output_tokens) == (8, 2)
    whole = {**ANSWER, "__verbose": {"stopping_word": "four"}}
    upstream.answer = lambda seen: plain(whole)
    answer = claude.messages.create(**ASKED)
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "four")
    assert "return_progress" not in upstream.seen[-1].json
    del whole["__verbose"]
    assert claude.messages.create(**ASKED).stop_reason == "end_turn"


def said(text):
    return {
        **ANSWER,
        "choices": [{**ANSWER["choices"][0], "message": {"role": "assistant", "content": text}}],
    }


def test_what_a_grammar_does_not_hold_is_checked(gpt, upstream):
    strict = form(
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "^x+$"}}, "required": ["a"]}
    )
    upstream.answer = lambda seen: plain(said('{"a": "xx"}'))
    assert gpt.chat.completions.create(model="org/own", messages=TURNS, response_format=strict).choices
    upstream.answer = lambda seen: plain(said('{"a": "no"}'))
    with pytest.raises(openai.APIStatusError, match="breaks its output contract") as error:
        gpt.chat.completions.create(model="org/own", messages=TURNS, response_format=strict)
    assert error.value.status_code == 502
    # A rented endpoint is taken at its word, and what a grammar holds is not read.
    assert gpt.chat.completions.create(model="m", messages=TURNS, response_format=strict).choices
    loose = form({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]})
    upstream.answer = lambda seen: stream(stream_of('{"a"', ": 5}"))
    assert (
        len(
            list(
                gpt.chat.completions.create(
                    model="org/own", messages=TURNS, response_format=loose, stream=True
                )
            )
        )
        > 3
    )
