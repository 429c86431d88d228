"""The encoder's HTTP side: the shapes OpenAI documents, what is refused, and what is said of a text that was cut."""

import base64
import io
import json
import math
import struct

import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.engines.encoder.tiny import INTENT, LABELS, NUMBER, TONES, URGENCY, WIDTH, tiny_encoder

from freehold.encoders.folder import read_manifest
from freehold.encoders.runner import EncodedText, load_runner
from freehold.engines.encoder.app import EncoderApp
from freehold.engines.encoder.batching import EncoderOptions
from freehold.types.endpoint import ServePlan

pytestmark = pytest.mark.anyio
CHAT, EMBED = "/v1/chat/completions", "/v1/embeddings"


@pytest.fixture
async def client_for(anyio_backend, tmp_path):
    clients = []

    async def make(options=None, *, key=None, runner=None, **more):
        folder = tiny_encoder(tmp_path / f"encoder-{len(clients)}", **more)
        plan = ServePlan(engine="encoder", model="m", weights_path=str(folder), context_tokens=64)
        runner = runner or load_runner(folder, threads=1, most_tokens=64)
        app = EncoderApp(plan, options or EncoderOptions(), read_manifest(folder), runner, key)
        clients.append(TestClient(TestServer(app.application())))
        await clients[-1].start_server()
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


def chat(text, **more):
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


async def answer(client, text, **more):
    reply = await client.post(CHAT, json=chat(text, **more))
    body = await reply.json()
    assert reply.status == 200, body
    return body


async def refusal(client, body, path=CHAT):
    reply = await client.post(path, json=body)
    assert reply.status == 400
    error = (await reply.json())["error"]
    assert error["type"] == "invalid_request_error"
    return error["message"]


async def events(reply):
    lines = (await reply.text()).split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


async def test_a_label_is_the_whole_answer(client_for):
    client = await client_for()
    body = await answer(client, "Where is my order?")
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "track", "refusal": None}
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["choices"][0]["logprobs"] is None
    assert body["usage"] == {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}
    assert 0 < body["freehold"]["probability"] < 1


async def test_an_object_has_the_applications_separators_and_order(client_for):
    client = await client_for(answer="json", fields=(URGENCY, INTENT, TONES, NUMBER), separators=(",", ":"))
    body = await answer(client, "Where is my order AB-12 now please?")
    text = body["choices"][0]["message"]["content"]
    assert text.startswith('{"urgency":') and ',"tones":[' in text and ": " not in text
    assert list(json.loads(text)) == ["urgency", "intent", "tones", "number"]


async def test_a_stream_adds_up_to_the_plain_answer(client_for):
    client = await client_for(answer="json", fields=(INTENT, URGENCY))
    plain = await answer(client, "cancel it now", logprobs=True, top_logprobs=2)
    options = {"include_usage": True}
    reply = await client.post(
        CHAT, json=chat("cancel it now", stream=True, stream_options=options, logprobs=True, top_logprobs=2)
    )
    assert reply.headers["Content-Type"] == "text/event-stream"
    streamed = await events(reply)
    choices = [one["choices"][0] for one in streamed if one["choices"]]
    assert (
        "".join(one["delta"].get("content", "") for one in choices)
        == (plain["choices"][0]["message"]["content"])
    )
    assert choices[0]["delta"]["role"] == "assistant" and choices[-1]["finish_reason"] == "stop"
    assert choices[0]["logprobs"] == plain["choices"][0]["logprobs"]
    assert streamed[-1]["usage"] == plain["usage"] and not streamed[-1]["choices"]
    assert len({one["id"] for one in streamed}) == 1


async def test_log_probabilities_are_those_of_the_labels(client_for):
    client = await client_for()
    body = await answer(client, "where is my order", logprobs=True, top_logprobs=4)
    (token,) = body["choices"][0]["logprobs"]["content"]
    shares = {one["token"]: math.exp(one["logprob"]) for one in token["top_logprobs"]}
    assert set(shares) == {"track", "cancel", "refund", "other"}
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
    assert math.exp(token["logprob"]) == pytest.approx(body["freehold"]["probability"], abs=1e-5)
    assert bytes(token["bytes"]).decode() == "track"


async def test_tokens_join_to_the_answer_and_alternatives_fit_in_their_place(client_for):
    client = await client_for(answer="json", fields=(INTENT, TONES))
    body = await answer(client, "cancel it please", logprobs=True, top_logprobs=3)
    choice = body["choices"][0]
    entries = choice["logprobs"]["content"]
    assert "".join(one["token"] for one in entries) == choice["message"]["content"]
    assert body["usage"]["completion_tokens"] == len(entries) == 2
    for other in entries[0]["top_logprobs"]:
        assert json.loads(other["token"] + entries[1]["token"])
    for other in entries[1]["top_logprobs"]:
        assert json.loads(entries[0]["token"] + other["token"])
    least = min(one["logprob"] for one in entries)
    assert math.exp(least) == pytest.approx(body["freehold"]["probability"], abs=1e-5)


@pytest.mark.parametrize(
    "text, tokens", [("cancel it please", ['["polite"', ', "angry"', ', "short"]']), ("where", ["[]"])]
)
async def test_a_list_has_a_token_for_each_label(client_for, text, tokens):
    client = await client_for(answer="labels", fields=(LABELS,))
    body = await answer(client, text, logprobs=True, top_logprobs=3)
    assert [one["token"] for one in body["choices"][0]["logprobs"]["content"]] == tokens
    assert json.loads(body["choices"][0]["message"]["content"]) == json.loads("".join(tokens))


async def test_a_limit_of_tokens_cuts_between_them_and_a_stop_where_it_stands(client_for):
    client = await client_for(answer="json", fields=(INTENT, URGENCY, TONES))
    body = await answer(client, "cancel it", max_tokens=2)
    choice = body["choices"][0]
    assert choice["finish_reason"] == "length" and body["usage"]["completion_tokens"] == 2
    assert choice["message"]["content"].startswith('{"intent": "cancel", "urgency": ')
    stopped = await answer(client, "cancel it", stop=['", "urg'])
    assert stopped["choices"][0]["message"]["content"] == '{"intent": "cancel'
    assert stopped["choices"][0]["finish_reason"] == "stop"


async def test_a_text_longer_than_the_encoder_reads_is_cut_and_that_is_said(client_for):
    client = await client_for()
    reply = await client.post(CHAT, json=chat("where " + "one " * 29))
    body = await reply.json()
    assert (body["usage"]["prompt_tokens"], body["freehold"]["tokens_cut"]) == (16, 16)
    assert reply.headers["x-freehold-tokens-cut"] == "16"
    short = await client.post(CHAT, json=chat("where"))
    assert "x-freehold-tokens-cut" not in short.headers
    vectors = await (await client.post(EMBED, json={"model": "m", "input": ["one " * 20, "one"]})).json()
    assert vectors["freehold"] == {"tokens_cut": 6}
    careful = await client_for(EncoderOptions(long_texts="refuse"))
    assert "32 tokens exceeds the context of 16" in await refusal(careful, chat("where " + "one " * 29))


async def test_a_text_beyond_the_context_is_an_error(client_for):
    client = await client_for()
    assert "102 tokens exceeds the context of 64" in await refusal(client, chat("one " * 100))
    large = io.BytesIO(json.dumps(chat("é" * 5_000_000), ensure_ascii=False).encode())
    reply = await client.post(CHAT, data=large)
    assert reply.status == 400 and "characters exceeds the context" in await reply.text()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "calls no tools"),
        ({"n": 2}, "n must be 1"),
        ({"logit_bias": {"1": 5}}, "logit_bias"),
        ({"messages": []}, "length >= 1 - at `$.messages`"),
        ({"messages": "hello"}, "Expected `array`, got `str`"),
        ({"messages": [{"role": "system", "content": "x"}]}, "no user's"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}
                ]
            },
            "an encoder cannot read this request: Invalid enum value 'image_url'",
        ),
        ({"max_tokens": 0}, ">= 1 - at `$.max_tokens`"),
        ({"top_logprobs": 3}, "needs logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "<= 20 - at `$.top_logprobs`"),
        ({"stop": [""]}, "at `$.stop[0]`"),
        ({"response_format": {"type": "json_object"}}, "answers with a label"),
    ],
)
async def test_what_cannot_be_done_is_refused_in_words(client_for, change, message):
    client = await client_for()
    assert message in await refusal(client, chat("where") | change)
    await answer(client, "where")


async def test_a_response_format_that_the_answer_fits_is_taken(client_for):
    client = await client_for(answer="json", fields=(INTENT, URGENCY))

    def form(**properties):
        schema = {"type": "object", "properties": properties, "additionalProperties": False}
        return {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}

    text = {"type": "string"}
    await answer(
        client, "where", response_format=form(intent=text, urgency={"enum": ["low", "high", "none"]})
    )
    await answer(client, "where", response_format={"type": "json_object"})
    wrong = chat("where", response_format=form(intent=text))
    assert "$.urgency: it may not be there" in await refusal(client, wrong)


async def test_an_empty_message_and_half_a_surrogate_pair_are_answered(client_for):
    client = await client_for()
    for content in ("", "   ", None, [{"type": "text", "text": "where"}]):
        await answer(client, content)
    data = b'{"model":"m","messages":[{"role":"user","content":"where is \\ud83d"}]}'
    reply = await client.post(CHAT, data=data, headers={"content-type": "application/json"})
    assert (await reply.json())["choices"][0]["message"]["content"] == "track"
    marks = await answer(client, "where" + "\u0301" * 1500)
    assert marks["usage"]["prompt_tokens"] == 3


async def test_embeddings_as_numbers_and_as_base64(client_for):
    client = await client_for()
    asked = {"model": "m", "input": ["order", "refund now", "order"]}
    body = await (await client.post(EMBED, json=asked)).json()
    rows = [row["embedding"] for row in body["data"]]
    assert [len(row) for row in rows] == [WIDTH] * 3 and rows[0] == rows[2] != rows[1]
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1)
    assert body["usage"] == {"prompt_tokens": 10, "total_tokens": 10}
    packed = await (await client.post(EMBED, json={**asked, "encoding_format": "base64"})).json()
    unpacked = struct.unpack(f"<{WIDTH}f", base64.b64decode(packed["data"][1]["embedding"]))
    assert unpacked == pytest.approx(rows[1])
    many = await (
        await client.post(EMBED, json={"model": "m", "input": ["one"] * 500, "dimensions": WIDTH})
    ).json()
    assert len(many["data"]) == 500


@pytest.mark.parametrize(
    "change, message",
    [
        ({"dimensions": 8}, "not trained to be shortened"),
        ({"encoding_format": "int8"}, "Invalid enum value 'int8'"),
        ({"input": ""}, "length >= 1"),
        ({"input": [1, 2]}, "got `int` - at `$.input[0]`"),
        ({"input": ["x"] * 2049}, "length <= 2048"),
    ],
)
async def test_embeddings_that_cannot_be_had_are_refused(client_for, change, message):
    client = await client_for()
    assert message in await refusal(client, {"model": "m", "input": "x", **change}, EMBED)


async def test_another_model_and_another_path_are_not_there(client_for):
    client = await client_for()
    reply = await client.post(CHAT, json=chat("where") | {"model": "other"})
    assert (reply.status, (await reply.json())["error"]["code"]) == (404, "model_not_found")
    reply = await client.post("/v1/completions", json={"model": "m", "prompt": "x"})
    assert reply.status == 404 and "chat and embeddings" in (await reply.json())["error"]["message"]


async def test_it_asks_for_its_key_and_its_own_host(client_for):
    client = await client_for(key="secret")
    assert (await client.post(CHAT, json=chat("where"))).status == 401
    assert (
        await client.post(CHAT, json=chat("where"), headers={"Authorization": "Bearer secret"})
    ).status == 200
    assert (await client.get("/health")).status == 200
    assert (await client.get("/v1/models")).status == 401
    assert (await client.get("/health", headers={"Host": "evil.example"})).status == 421


async def test_tokens_are_counted_as_the_encoder_counts_them(client_for):
    client = await client_for()
    body = await (await client.post("/tokenize", json=chat("where is my order"))).json()
    assert body == {"count": 6, "max_model_len": 64}


class Broken:
    """A model whose numbers are lost."""

    def run(self, texts):
        lost = np.full(WIDTH, np.nan, np.float32)
        return [EncodedText(3, 0, lost, (np.zeros(4, np.float32),)) for _ in texts]


async def test_an_encoder_that_computes_no_number_answers_with_an_error(client_for):
    client = await client_for(runner=Broken())
    reply = await client.post(CHAT, json=chat("where"))
    assert (reply.status, (await reply.json())["error"]["type"]) == (500, "api_error")
