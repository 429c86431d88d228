"""A seeded log of an agent application: sessions of tool calls, words and refusals, as the chat API's wire shows them.

An agent with six tools and long rules; parallel calls; turns that want no tool; refusals (the API's `refusal` field and
refusals in words); results of tools in the history. Every record is a request with its answer; ``session`` is the true
session, which a real wire log does not carry.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from freehold.datasets.sampling import Recipe, sample_of
from freehold.types.dataset import Sample
from freehold.types.trace import Trace

RULES = "You are the support agent of a shop.\n" + "\n".join(
    f"{n}. Rule {n}: look it up before you answer." for n in range(1, 41)
)


def tool(name: str, required: list[str], **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": parameters}}


TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
TOOLS = [
    tool("find_order", ["order_id"], order_id=TEXT),
    tool("track", ["order_id"], order_id=TEXT, carrier={"type": "string", "enum": ["DHL", "UPS"]}),
    tool(
        "refund",
        ["order_id", "amount"],
        order_id=TEXT,
        amount={"type": "number"},
        reason={"type": "string", "default": "other"},
    ),
    tool("find_customer", ["email"], email=TEXT),
    tool("stock", ["sku"], sku=TEXT, quantity=NUMBER),
    tool("escalate", ["why"], why=TEXT),
]
WORDS = (
    "The parcel left our house",
    "It will be with you soon",
    "Your money is on its way",
    "We have it in store",
)
REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I cannot share details of another customer.",
)


def call(id: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {
        "id": id,
        "type": "function",
        "function": {"name": name, "arguments": json.dumps(arguments)},
    }


def records(sessions: int = 200, *, seed: int = 0) -> list[dict[str, Any]]:
    """The requests of all sessions, one session after another."""
    chance = random.Random(seed)
    found: list[dict[str, Any]] = []
    at = datetime(2026, 10, 1, tzinfo=UTC)
    for session in range(sessions):
        messages: list[dict[str, Any]] = [{"role": "system", "content": RULES}]
        for _ in range(chance.randint(1, 3)):
            for answer, results in _exchange(chance, messages):
                at += timedelta(seconds=chance.randint(1, 90))
                found.append(
                    {
                        "session": f"session-{session}",
                        "at": at,
                        "request": {
                            "model": "gpt-4o-2024-08-06",
                            "messages": [dict(one) for one in messages],
                            "tools": TOOLS,
                            "parallel_tool_calls": True,
                            "temperature": 0.2,
                            "max_tokens": 300,
                        },
                        "response": {"choices": [{"message": answer, "finish_reason": "stop"}]},
                    }
                )
                said = answer.get("content") or answer.get("refusal")
                messages.append({**answer, "content": None if answer.get("tool_calls") else said})
                messages[-1].pop("refusal", None)
                messages += results
    return found


def _exchange(chance: random.Random, messages: list[dict[str, Any]]):
    """One question of the user and the turns that answer it, with what the tools returned."""
    order, kind = f"A{chance.randint(1000, 9999)}", chance.random()
    number = chance.randint(10_000, 99_999)
    if kind < 0.15:
        messages.append(
            {"role": "user", "content": f"What did the customer of order {order} buy? ({number})"}
        )
        refusal = chance.choice(REFUSALS)
        yield (
            (
                {"role": "assistant", "content": None, "refusal": refusal}
                if chance.random() < 0.5
                else {"role": "assistant", "content": refusal}
            ),
            [],
        )
        return
    if kind < 0.4:
        messages.append({"role": "user", "content": f"Thanks, that was all about {order}. ({number})"})
        yield _words(chance, order), []
        return
    messages.append({"role": "user", "content": f"Where is my order {order}? I paid {number / 100} for it."})
    if kind < 0.6:
        calls = [
            call(f"c{number}a", "find_order", order_id=order),
            call(f"c{number}b", "track", order_id=order),
        ]
    elif kind < 0.8:
        calls = [call(f"c{number}", "refund", order_id=order, amount=number / 100)]
    else:
        calls = [call(f"c{number}", "find_order", order_id=order)]
    results = [
        {"role": "tool", "tool_call_id": one["id"], "content": json.dumps({"of": order, "state": "sent"})}
        for one in calls
    ]
    yield {"role": "assistant", "content": None, "tool_calls": calls}, results
    yield _words(chance, order), []


def _words(chance: random.Random, order: str) -> dict[str, Any]:
    return {"role": "assistant", "content": f"{chance.choice(WORDS)}: order {order}."}


def traces(sessions: int = 200, *, seed: int = 0) -> list[Trace]:
    """The same as traces; the session stands in `conversation_id`."""
    return [
        Trace(
            id=f"t{place}",
            at=one["at"],
            source=f"import:agent.jsonl#{place + 1}",
            model=one["request"]["model"],
            request=one["request"],
            response=one["response"],
            conversation_id=one["session"],
        )
        for place, one in enumerate(records(sessions, seed=seed))
    ]


def samples(sessions: int = 200, *, seed: int = 0) -> list[Sample]:
    """The samples made of them. A refusal in the API's own field is one without a target until it is read as one."""
    return [sample_of(trace, Recipe()) for trace in traces(sessions, seed=seed)]
