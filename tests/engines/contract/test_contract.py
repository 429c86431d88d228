"""What every engine keeps, asked with the official client over a real loopback connection."""

import asyncio
import itertools
import json

import aiohttp
import msgspec
import openai
import pytest

from freehold.deferring.signals import readable
from freehold.evals.replay import ReplayOptions, answers
from freehold.types.dataset import Message, Sample
from freehold.types.evaluation import Task

pytestmark = [pytest.mark.process, pytest.mark.anyio]

ASK = [{"role": "user", "content": "Where is my order?"}]


async def ask(client, endpoint, name, **options):
    served = endpoint.served(name)
    options = {"max_tokens": 12, "temperature": 0, "messages": ASK, **options}
    return await client.chat.completions.create(
        model=served.upstream_name, extra_body=served.extra_body, **options
    )


async def test_it_is_ready_and_on_loopback(engine):
    session, endpoint, _ = engine
    assert session.running.health().state == "ready"
    assert endpoint.base_url.startswith("http://127.0.0.1:")
    async with aiohttp.ClientSession() as http, http.get(f"{endpoint.base_url}/health") as reply:
        assert reply.status == 200


async def test_it_lists_its_model(engine):
    _, endpoint, client = engine
    listed = [model.id async for model in client.models.list()]
    assert endpoint.served("base").upstream_name in listed


async def test_an_answer_has_text_a_reason_and_usage(engine):
    _, endpoint, client = engine
    answer = await ask(client, endpoint, "base")
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length")
    usage = answer.usage
    assert usage.prompt_tokens > 0 and 0 < usage.completion_tokens <= 12
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


async def test_max_tokens_is_kept_and_told(engine):
    _, endpoint, client = engine
    answer = await ask(client, endpoint, "base", max_tokens=2)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 2


async def test_streaming_gives_the_same_text_and_usage_at_the_end(engine):
    _, endpoint, client = engine
    plain = await ask(client, endpoint, "base")
    stream = await ask(client, endpoint, "base", stream=True, stream_options={"include_usage": True})
    text, finish, usage = "", None, None
    async for chunk in stream:
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
            finish = chunk.choices[0].finish_reason or finish
        usage = chunk.usage or usage
    assert text == plain.choices[0].message.content
    assert finish == plain.choices[0].finish_reason
    assert usage.completion_tokens == plain.usage.completion_tokens


async def test_greedy_answers_agree(engine):
    _, endpoint, client = engine
    # The first may find another prefix in the cache, and so be computed in other batches: its sums may be
    # rounded otherwise. From then on all is equal.
    await ask(client, endpoint, "base")
    answers = {(await ask(client, endpoint, "base")).choices[0].message.content for _ in range(3)}
    assert len(answers) == 1, answers


async def test_a_prompt_over_the_context_is_an_error_not_cut(engine):
    _, endpoint, client = engine
    if endpoint.engine == "ollama":
        pytest.skip("Ollama cuts; the gateway in front refuses")
    long = [{"role": "user", "content": "one two three " * endpoint.context_tokens}]
    with pytest.raises(openai.BadRequestError, match="context"):
        await ask(client, endpoint, "base", messages=long)


async def test_malformed_requests_are_errors(engine):
    _, endpoint, client = engine
    with pytest.raises(openai.APIStatusError):
        await ask(client, endpoint, "base", messages="not a list")
    url = f"{endpoint.base_url}/v1/chat/completions"
    async with aiohttp.ClientSession() as http, http.post(url, data=b"{not json") as reply:
        assert 400 <= reply.status <= 500
    assert (await ask(client, endpoint, "base")).choices, "and it still answers"


async def test_more_requests_than_slots_all_get_answers(engine):
    _, endpoint, client = engine
    answers = await asyncio.gather(
        *(
            ask(client, endpoint, "base", messages=[{"role": "user", "content": f"Say {number}"}])
            for number in range(8)
        )
    )
    assert all(answer.choices[0].message.content for answer in answers)


async def test_a_client_that_leaves_does_not_block_others(engine):
    _, endpoint, client = engine
    stream = await ask(client, endpoint, "base", stream=True, max_tokens=200)
    await anext(aiter(stream))
    await stream.close()
    assert (await ask(client, endpoint, "base")).choices[0].message.content


async def test_json_schema_is_kept_where_it_is_promised(engine):
    _, endpoint, client = engine
    if not endpoint.capabilities.json_schema:
        pytest.skip("not promised")
    schema = {
        "type": "object",
        "properties": {"intent": {"enum": ["track", "cancel"]}, "urgent": {"type": "boolean"}},
        "required": ["intent", "urgent"],
        "additionalProperties": False,
    }
    answer = await ask(
        client,
        endpoint,
        "base",
        max_tokens=60,
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
    )
    value = json.loads(answer.choices[0].message.content)
    assert value["intent"] in ("track", "cancel") and isinstance(value["urgent"], bool)


async def test_tools_are_called_where_they_are_promised(engine):
    _, endpoint, client = engine
    if not endpoint.capabilities.tools:
        pytest.skip("not promised")
    tool = {"name": "find", "parameters": {"type": "object", "properties": {}, "required": []}}
    answer = await ask(
        client,
        endpoint,
        "base",
        max_tokens=200,  # some write a call over several lines
        tools=[{"type": "function", "function": tool}],
        tool_choice="required",
    )
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls[0].function.name == "find"


async def test_log_probabilities_where_they_are_promised(engine):
    _, endpoint, client = engine
    if not endpoint.capabilities.logprobs:
        with pytest.raises(openai.BadRequestError):
            await ask(client, endpoint, "base", logprobs=True)
        return
    answer = await ask(client, endpoint, "base", logprobs=True, top_logprobs=3)
    entries = answer.choices[0].logprobs.content
    assert len(entries) == answer.usage.completion_tokens
    assert all(entry.logprob <= 0 and len(entry.top_logprobs) == 3 for entry in entries)


async def test_how_sure_it_is_is_told_as_its_kind_says_and_changes_no_answer(engine):
    _, endpoint, _ = engine
    samples = [
        Sample(id=text, messages=(Message(role="user", content=text),), gold="x")
        for text in ("Where is my order?", "Say yes.", "Name a colour, one word only.", "What is 2 + 2?")
    ]
    task = Task(name="t", scorer="exact", max_tokens=64)
    plain, told, whole = [
        [one.answer for one in await answers(asked, "base", samples, task, options=options)]
        for asked, options in (
            (endpoint, ReplayOptions(concurrency=1)),
            (endpoint, ReplayOptions(concurrency=1, signals=True)),
            (
                msgspec.structs.replace(
                    endpoint, capabilities=msgspec.structs.replace(endpoint.capabilities, streaming=False)
                ),
                ReplayOptions(concurrency=1, signals=True),
            ),
        )
    ]
    assert [one.output for one in told] == [one.output for one in plain] == [one.output for one in whole]
    ended = [one for one in told if one.fault is None]
    assert all(one.signals == {} for one in told if one.fault is not None)
    if endpoint.engine_kind.tells_confidence in ("probability", "logprobs"):
        assert ended
        assert all(one.signals for one in ended)
    for one, other in zip(told, whole, strict=True):
        assert set(one.signals) <= set(readable(endpoint.engine_kind))
        assert one.signals == pytest.approx(other.signals, abs=1e-3)


async def test_embeddings_where_they_are_promised(engine):
    _, endpoint, client = engine
    if not endpoint.capabilities.embeddings:
        with pytest.raises(openai.APIStatusError):
            await client.embeddings.create(model=endpoint.served("base").upstream_name, input="order")
        return
    answer = await client.embeddings.create(
        model=endpoint.served("base").upstream_name, input=["order", "refund", "order"]
    )
    first, second, third = (row.embedding for row in answer.data)
    assert first == third != second
    assert sum(value * value for value in first) == pytest.approx(1, abs=1e-3)


async def test_an_adapter_answers_by_its_name_and_leaves_the_base_alone(engine):
    _, endpoint, client = engine
    if endpoint.served("base:tuned") is None:
        pytest.skip("no adapter mounted")
    before = await ask(client, endpoint, "base", max_tokens=4)
    tuned = await ask(client, endpoint, "base:tuned", max_tokens=4)
    after = await ask(client, endpoint, "base", max_tokens=4)
    assert tuned.choices[0].message.content != before.choices[0].message.content
    assert after.choices[0].message.content == before.choices[0].message.content
    both = await asyncio.gather(
        *(ask(client, endpoint, name, max_tokens=4) for name in ("base", "base:tuned", "base", "base:tuned"))
    )
    # In a batch a near tie may fall the other way, so not every token is the same; whose answer it is, is.
    alone = {"base": before.choices[0].message.content, "base:tuned": tuned.choices[0].message.content}
    for name, answer in zip(("base", "base:tuned") * 2, both, strict=True):
        assert nearest(answer.choices[0].message.content, alone) == name


def nearest(text: str, alone: dict[str, str]) -> str:
    """Which of the answers given alone begins most like this one."""

    def shared(name: str) -> int:
        pairs = zip(text, alone[name], strict=False)
        return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))

    return max(alone, key=shared)
