"""What a request is made of, what it may cost, and a cap on all of them."""

import asyncio

import msgspec
import pytest
from aiohttp import web
from tests.evals.chat.conftest import QUICK, run, said

from freehold.errors import UsageError
from freehold.evals.asking import (
    asked_with,
    asking_notes,
    chat_request,
    preparation_notes,
    request_key,
    unread_notes,
)
from freehold.evals.client import ChatClient, HeldSpending, limited, spending_cap, unbounded
from freehold.types.dataset import Message, RecordedAsking, Sample
from freehold.types.endpoint import Endpoint, Preparation, ServedModel
from freehold.types.evaluation import Task

TASK = Task(name="t", scorer="exact", max_tokens=9, temperature=0.5)
SERVED = ServedModel(name="base:ad", upstream_name="base", extra_body={"lora": [1]}, adapter_id="a1")
SAMPLE = Sample(
    id="s",
    messages=(
        Message(role="user", content="?"),
        Message(role="assistant", content=None, tool_calls=[{"id": "x"}], weight=0.0),
    ),
)
LOCAL = Endpoint(name="local", engine="llamacpp", base_url="http://127.0.0.1:1")
REMOTE = Endpoint(name="remote", engine="remote", base_url="http://one")


def test_a_request_is_the_sample_the_task_and_what_the_served_model_needs():
    body = chat_request(SAMPLE, SERVED, TASK)
    assert body == {
        "model": "base",
        "messages": [
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "x"}]},
        ],
        "max_tokens": 9,
        "temperature": 0.5,
        "lora": [1],
    }
    rich = msgspec.structs.replace(SAMPLE, tools=[{"t": 1}], response_format={"type": "json_object"})
    body = chat_request(rich, SERVED, TASK)
    assert (body["tools"], body["response_format"]) == ([{"t": 1}], {"type": "json_object"})


ASKED = RecordedAsking(
    temperature=0.7,
    top_p=0.3,
    max_tokens=300,
    stop=["x"],
    seed=4,
    tool_choice={"type": "function", "function": {"name": "f"}},
    parallel_tool_calls=False,
)
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("e", "f")]


def test_how_a_request_was_recorded_stands_in_for_the_task():
    sample = msgspec.structs.replace(SAMPLE, asking=ASKED, tools=TOOLS)
    body = chat_request(sample, SERVED, TASK)
    assert {name: body[name] for name in ASKED.said} == ASKED.said
    few = msgspec.structs.replace(SAMPLE, asking=RecordedAsking(top_p=0.3))
    assert asked_with(few, TASK) == {"max_tokens": 9, "temperature": 0.5, "top_p": 0.3}


def test_the_notes_say_how_both_were_asked_and_what_an_engine_does_not_read():
    two = [
        SAMPLE,
        msgspec.structs.replace(SAMPLE, asking=RecordedAsking(parallel_tool_calls=True), tools=TOOLS),
    ]
    ollama = Endpoint(name="o", engine="ollama", base_url="http://127.0.0.1:1")
    first, second = asking_notes(two, ollama)
    assert "parallel_tool_calls (1)" in first
    assert second == "Ollama does not read parallel_tool_calls, which 1 of 2 requests say."
    assert unread_notes(two, ollama) == [second]
    assert unread_notes(two, LOCAL) == []
    assert asking_notes([SAMPLE], ollama) == []


@pytest.mark.parametrize(
    ("served", "endpoint", "repeat", "same"),
    [
        (SERVED, LOCAL, 0, True),
        (SERVED, msgspec.structs.replace(LOCAL, base_url="http://127.0.0.1:2"), 0, True),
        (SERVED, LOCAL, 1, False),
        (msgspec.structs.replace(SERVED, adapter_id="a2"), LOCAL, 0, False),
        (SERVED, REMOTE, 0, False),
    ],
)
def test_an_answer_is_found_again_only_by_the_same_request_to_the_same_model(served, endpoint, repeat, same):
    body = chat_request(SAMPLE, SERVED, TASK)
    key = request_key(body, SERVED, LOCAL)
    assert (request_key(body, served, endpoint, repeat) == key) is same


def test_a_prepared_model_is_asked_as_it_is_served_and_the_notes_say_so():
    how = Preparation.of(base_model="base", dataset_id="d", system_was="Old.", system="New.")
    served = msgspec.structs.replace(SERVED, preparation=how)
    said = [
        Sample(id=text, messages=(Message(role="system", content=text), Message(role="user", content="?")))
        for text in ("Old.", "Old. ", "Another.")
    ]
    assert [one["content"] for one in chat_request(said[0], served, TASK)["messages"]] == [
        "New.", "?",
    ]  # fmt: skip
    assert preparation_notes(said, SERVED) == []
    first, second = preparation_notes(said, served)
    assert "a system prompt of its own in 2 of 3 requests" in first and how.id[:12] in first
    assert second.startswith(
        "1 requests went to the candidate as they were recorded: the system prompt is another"
    )


def test_one_tool_is_asked_for_in_the_way_an_engine_reads():
    sample = msgspec.structs.replace(SAMPLE, asking=ASKED, tools=TOOLS)
    body = chat_request(sample, SERVED, TASK, LOCAL)
    assert (body["tools"], body["tool_choice"]) == (TOOLS[1:], "required")
    assert chat_request(sample, SERVED, TASK, REMOTE)["tool_choice"] == ASKED.tool_choice
    lost = msgspec.structs.replace(sample, tools=TOOLS[:1])
    assert chat_request(lost, SERVED, TASK, LOCAL)["tool_choice"] == ASKED.tool_choice


BODY = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}
CALLED_HERE = [{"type": "function", "function": {"name": "f"}}, {"type": "custom"}]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tools": CALLED_HERE, "modalities": ["text"]},
        {"tools": None, "modalities": None},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]},
    ],
)
def test_text_with_a_limit_has_a_bound(fields):
    assert unbounded(BODY | fields) is None


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"max_tokens": None}, "no limit"),
        ({"max_completion_tokens": 0}, "no limit"),
        ({"tools": [*CALLED_HERE, {"type": "web_search"}, "x"]}, "None, web_search"),
        ({"tools": "all"}, "?"),
        ({"audio": {}}, "sound"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "more than text"),
    ],
)
def test_what_has_none_is_said(fields, why):
    assert why in (unbounded(BODY | fields) or "")


def test_a_limit_is_said_where_there_is_none():
    assert limited({"max_tokens": None}, 7) == {"max_tokens": 7}
    for limit in ({"max_completion_tokens": 3}, {"max_tokens": "x"}):
        assert limited(limit, 7) == limit


class Counted:
    """A cap that counts; `most` tries are let through."""

    def __init__(self, most=99):
        self.most, self.held, self.settled = most, 0, []

    async def hold(self, endpoint, body):
        if self.held == self.most:
            raise UsageError("spent")
        self.held += 1
        return HeldSpending(body["model"], endpoint.base_url, 1)

    def settle(self, held, answer):
        self.settled.append(None if answer is None else answer.error)


@pytest.fixture
def under():
    tokens = []
    yield lambda cap: tokens.append(spending_cap.set(cap)) or cap
    for token in reversed(tokens):
        spending_cap.reset(token)


def test_each_try_is_held_and_settled_with_what_came_of_it(serve, samples, under):
    cap = under(Counted())

    def flaky(body, attempt):
        return web.Response(status=503, text="busy") if attempt < 3 else said(body, attempt)

    results, server = run(serve, flaky, samples(1))
    assert results[0].score.value == 1.0 and cap.held == len(server.seen) == 3
    assert cap.settled == ["http_503: busy", "http_503: busy", None]


def test_what_the_cap_does_not_cover_is_not_sent_and_ends_the_replay(serve, samples, under):
    under(Counted(most=2))
    seen = []

    def answer(body, attempt):
        seen.append(body)
        return said(body, attempt)

    with pytest.raises(UsageError, match="spent"):
        run(serve, answer, samples(9), concurrency=1)
    assert len(seen) == 2


def test_a_wrong_key_is_settled_as_refused_and_a_try_that_is_cancelled_as_unknown(serve, samples, under):
    cap = under(Counted())
    with pytest.raises(Exception, match="401"):
        run(serve, lambda body, attempt: web.Response(status=401, text="no"), samples(1))
    assert [one.startswith("refused_request") for one in cap.settled] == [True]

    async def cancelled():
        async def slow(body, attempt):
            await asyncio.sleep(9)

        async with (
            serve(slow) as server,
            ChatClient(server.endpoint, concurrency=1, patience=QUICK) as client,
        ):
            asked = asyncio.create_task(client.ask({"model": "m", "messages": []}))
            while not cap.held > 1:
                await asyncio.sleep(0.01)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)

    asyncio.run(cancelled())
    assert cap.settled[1:] == [None]
