"""Calls taught to a base whose chat template writes none, asked for again through the tools API of the real engine."""

import json
import os
import random
from pathlib import Path

import aiohttp
import anyio
import msgspec
import pytest
from tests.training.conftest import write_dataset

from freehold import engines, training
from freehold.engines import keys
from freehold.preparing.request import asked
from freehold.settings import load
from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Message, Sample
from freehold.types.record import content_id
from freehold.workflows.serve.plan import ServeRequest, plan
from freehold.workflows.weights.pull import ensure_weights
from freehold.workflows.weights.trained import trained_adapter

pytestmark = [pytest.mark.anyio, pytest.mark.weights, pytest.mark.process, pytest.mark.timeout(3600)]

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
TAUGHT = 120
ASKED = int(os.environ.get("FREEHOLD_TEST_CALLS", "20"))
"""How many of the taught calls are asked for again: about two seconds each on two cores."""


def tool(name, **properties):
    return {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {
                "type": "object",
                "properties": {key: {"type": kind} for key, kind in properties.items()},
                "required": list(properties),
            },
        },
    }


TOOLS = [
    tool("track_order", order="string"),
    tool("cancel_order", order="string"),
    tool("book_table", day="string", people="integer"),
]
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
ASKING = {
    "track_order": ("Where is order {order}?", "Has {order} been sent yet?", "Track {order} for me."),
    "cancel_order": ("Please cancel order {order}.", "I no longer want {order}.", "Stop {order}."),
    "book_table": ("A table for {people} on {day}, please.", "We are {people} and would come on {day}."),
}


def question(random_source):
    """What a customer says, and the calls that answer it: one in ten asks for two things."""
    calls, said = [], []
    for _ in range(2 if random_source.random() < 0.1 else 1):
        name = random_source.choice(list(ASKING))
        values = {
            "order": f"{random_source.choice('ABC')}-{random_source.randrange(100, 1000)}",
            "day": random_source.choice(DAYS),
            "people": random_source.randrange(2, 9),
        }
        wanted = TOOLS[list(ASKING).index(name)]["function"]["parameters"]["required"]
        calls.append((name, {key: values[key] for key in wanted}))
        said.append(random_source.choice(ASKING[name]).format(**values))
    return " ".join(said), calls


def recorded(count):
    """Recorded calls as samples; every question once."""
    random_source, found = random.Random(11), {}
    while len(found) < count:
        text, calls = question(random_source)
        found[text] = calls
    return [
        Sample(
            id=content_id(text),
            messages=(Message(role="user", content=text),),
            tools=TOOLS,
            completion=(
                Message(
                    role="assistant",
                    tool_calls=[
                        {
                            "id": f"call_{at}",
                            "type": "function",
                            "function": {"name": name, "arguments": json.dumps(arguments)},
                        }
                        for at, (name, arguments) in enumerate(calls)
                    ],
                ),
            ),
        )
        for text, calls in found.items()
    ]


def calls_of(message):
    """Name and arguments of each call, in no order."""
    made = [one["function"] for one in message.get("tool_calls") or []]
    return sorted((one["name"], json.dumps(json.loads(one["arguments"]), sort_keys=True)) for one in made)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """The adapter that learned the recorded calls, and the samples."""
    folder = tmp_path_factory.mktemp("calls")
    samples = recorded(TAUGHT)
    job = training.make(
        config=FinetuneConfig(r=16, epochs=2, batch_size=8),
        dataset=write_dataset(folder / "data", samples),
        base=ensure_weights(MODEL, load()),
        out_dir=folder / "adapters",
        name="calls",
    )
    list(training.train(job))
    return training.finished_adapter(job), job.base, samples


async def test_taught_calls_come_back_through_the_tools_api(taught, tmp_path):
    adapter, base, samples = taught
    assert adapter.call_format == "tagged"
    assert adapter.metadata["samples"] == TAUGHT and not adapter.metadata["rejected"]
    mount = trained_adapter(adapter, "calls", engines.load("llamacpp").kind)
    served = plan(base, ServeRequest(engine="llamacpp", parallel=4), load(), adapters=(mount,))
    right, limit = [], anyio.Semaphore(4)
    async with (
        engines.start(served, log_dir=tmp_path, name="calls") as endpoint,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(600), headers=keys.headers(endpoint)) as http,
    ):
        assert endpoint.capabilities.tools
        url = f"{endpoint.base_url}/v1/chat/completions"
        model = endpoint.served("calls")

        def request(sample):
            messages = [{"role": one.role, "content": one.content} for one in sample.messages]
            body = {"messages": messages, "tools": TOOLS, "temperature": 0, "max_tokens": 120}
            return asked(model, {**body, "parallel_tool_calls": True})

        async def ask(sample):
            async with limit, http.post(url, json=request(sample)) as reply:
                choice = (await reply.json())["choices"][0]
            same = calls_of(choice["message"]) == calls_of(msgspec.to_builtins(sample.completion[0]))
            right.append(same and choice["finish_reason"] == "tool_calls")

        async with anyio.create_task_group() as group:
            for sample in samples[:ASKED]:
                group.start_soon(ask, sample)
        deltas = await streamed(http, url, request(samples[0]))
    print(f"{sum(right)} of {len(right)} calls right again")  # noqa: T201 - the figure of a measurement
    assert sum(right) >= 0.8 * len(right)
    assert calls_of({"tool_calls": joined(deltas)}) == calls_of(msgspec.to_builtins(samples[0].completion[0]))


async def streamed(http, url, body):
    """The pieces of calls in a stream, as they came."""
    found = []
    async with http.post(url, json={**body, "stream": True}) as reply:
        async for line in reply.content:
            if line.startswith(b"data: {"):
                for choice in json.loads(line[6:])["choices"]:
                    found += choice["delta"].get("tool_calls") or []
    return found


def joined(deltas):
    """Pieces of calls put together by their index, as clients of the API do."""
    calls = {}
    for delta in deltas:
        call = calls.setdefault(delta["index"], {"function": {"name": "", "arguments": ""}})
        for key in ("name", "arguments"):
            call["function"][key] += delta.get("function", {}).get(key) or ""
    assert len(deltas) > len(calls), "arguments come in pieces"
    return list(calls.values())


def test_the_folder_says_how_calls_are_written(taught):
    adapter, _, _ = taught
    assert "tool_call" in (Path(adapter.path) / "chat_template.jinja").read_text()
    assert training.read_manifest(Path(adapter.path)).call_format == "tagged"
