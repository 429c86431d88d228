"""An encoder behind the gateway, asked by the real clients of every API."""

import json
import math

import anthropic
import httpx
import ollama
import openai
import pytest
from tests.engines.encoder.tiny import INTENT, URGENCY, WIDTH, tiny_encoder
from tests.workflows.serve.holding import hold_while

from freehold.gateway.config import GatewayConfig
from freehold.types.endpoint import ServePlan

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]
TEXT = "where is my order now"


def test_every_api_gets_the_encoders_answer(tmp_path, free_tcp_port):
    folder = tiny_encoder(tmp_path / "encoder", answer="json", fields=(INTENT, URGENCY))
    plan = ServePlan(engine="encoder", model="support", weights_path=str(folder), threads=1)

    def use(served):
        asked = {"model": "support", "messages": [{"role": "user", "content": TEXT}], "max_tokens": 30}
        with openai.OpenAI(base_url=f"{served.url}/v1", api_key="x", max_retries=0) as gpt:
            chat = gpt.chat.completions.create(**asked, logprobs=True, top_logprobs=2)
            text = chat.choices[0].message.content
            assert json.loads(text)["intent"] == "track"
            token = chat.choices[0].logprobs.content[0]
            assert math.exp(token.logprob) + math.exp(token.top_logprobs[1].logprob) < 1
            assert 0 < chat.model_extra["freehold"]["probability"] <= 1
            streamed = gpt.chat.completions.create(**asked, stream=True)
            assert (
                "".join(chunk.choices[0].delta.content or "" for chunk in streamed if chunk.choices) == text
            )
            assert gpt.responses.create(model="support", input=TEXT).output_text == text
            vectors = gpt.embeddings.create(model="support", input=["order", "refund"])
            assert [len(row.embedding) for row in vectors.data] == [WIDTH, WIDTH]
            with pytest.raises(openai.BadRequestError, match="calls no tools"):
                tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
                gpt.chat.completions.create(**asked, tools=[tool])
        with anthropic.Anthropic(base_url=served.url, api_key="x", max_retries=0) as claude:
            assert claude.messages.create(**asked).content[0].text == text
            with claude.messages.stream(**asked) as stream:
                assert stream.get_final_text() == text
            count = claude.messages.count_tokens(model="support", messages=asked["messages"])
            assert count.input_tokens == chat.usage.prompt_tokens
        llama = ollama.Client(host=served.url)
        assert llama.chat("support", asked["messages"]).message.content == text
        assert len(llama.embed("support", "order").embeddings[0]) == WIDTH
        llama._client.close()
        assert httpx.get(f"{served.url}/v1/models").json()["data"][0]["id"] == "support"

    config = GatewayConfig(endpoints=(), host="127.0.0.1", port=free_tcp_port)
    hold_while(use, [plan], tmp_path / "logs", config)


def test_it_is_one_of_several_models(tmp_path):
    folder = tiny_encoder(tmp_path / "encoder")
    plans = [
        ServePlan(engine="encoder", model="support", weights_path=str(folder), threads=1),
        ServePlan(engine="echo", model="echo", options={"in_process": True}),
    ]

    def use(served):
        for name, answer in (("support", "track"), ("echo", TEXT)):
            body = {"model": name, "messages": [{"role": "user", "content": TEXT}]}
            reply = httpx.post(f"{served.url}/v1/chat/completions", json=body, timeout=60).json()
            assert reply["choices"][0]["message"]["content"] == answer

    hold_while(use, plans, tmp_path / "logs")
