"""A log of agents as a proxy writes it: no ids, three prompts, six tools, parallel calls, refusals, calls logged twice.

Made from a seed; what the log does not say (which session a call was of) is kept next to it. Sessions end early, begin
alike, say "thanks!" and "refund please" to one another's agents, and stand in any order.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from freehold.types.trace import Trace

PROMPTS = {
    "orders": "You are the order agent of a shop. Use the tools; never promise a date. It is {now}.",
    "extract": "You extract fields from messages of customers as JSON. It is {now}. Answer with JSON only.",
    "triage": "You sort messages into one of twelve queues and answer with its name, nothing else.",
}
TOOLS = ("lookup_order", "refund", "escalate", "track_parcel", "update_address", "search_faq")
STREETS = (
    "Elm",
    "Oak",
    "Mill",
    "Station",
    "Church",
    "Garden",
    "Harbour",
    "Castle",
    "Abbey",
    "Forest",
    "Canal",
)
GOODS = ("lamp", "chair", "kettle", "tent", "bicycle", "radio", "jacket", "mirror", "carpet", "drill", "piano", "sofa",
         "camera", "blender", "rucksack", "telescope", "guitar", "printer", "vase", "heater")  # fmt: skip
FAULTS = ("arrived with a crack along the base", "has not come although the neighbour got hers", "is the wrong colour",
          "hums when it is switched on", "came twice", "smells of smoke", "lost a screw on the first day",
          "was left in the rain by your driver", "does not fit through our door", "stopped after an hour",
          "has a label in a language nobody here reads", "is smaller than in the picture")  # fmt: skip
WISHES = ("can I have my money back", "please send another one", "what do I do now", "who pays for the return",
          "I want to talk to a person", "could you look where it is", "send it to my office instead",
          "how long does that take", "is there a discount for that")  # fmt: skip
SHORT = ("thanks!", "refund please", "yes", "ok, do that", "no, leave it", "any news?")
REFUSAL = "I can't help with that."


class LoggedCall(NamedTuple):
    """A record of the log, and the session it is of."""

    record: dict[str, Any]
    session: str


def agent_log(
    seed: int = 14, *, sessions: int = 200, content_key: bool = False, opening: float = 0.03
) -> list[LoggedCall]:
    """The calls of `sessions` sessions in the order they ended. With `content_key` an assistant turn that calls
    tools has a ``content`` of null, else none. `opening` is the share of sessions that begin with a mere "hi"."""
    draw = random.Random(seed)
    begin = datetime(2026, 3, 2, 8, tzinfo=UTC)
    calls: list[tuple[datetime, LoggedCall]] = []
    for number in range(sessions):
        at = begin + timedelta(seconds=draw.uniform(0, 6 * 3600))
        agent = draw.choices(list(PROMPTS), (0.66, 0.18, 0.16))[0]
        session = _Session(draw, f"s{number}", agent, at, content_key)
        session.play(opening)
        calls += session.calls
    return [call for _, call in sorted(calls, key=lambda timed: timed[0])]


def to_trace(number: int, call: LoggedCall, *, with_id: bool = False) -> Trace:
    """The record as an importer would hand it on."""
    return Trace(
        id=f"t{number}",
        at=datetime.fromtimestamp(call.record["response"]["created"], UTC),
        source="test",
        model="rented",
        request=call.record["request"],
        response=call.record["response"],
        conversation_id=call.session if with_id else None,
    )


class _Session:
    def __init__(self, draw: random.Random, name: str, agent: str, at: datetime, content_key: bool) -> None:
        self.draw, self.name, self.agent, self.at = draw, name, agent, at
        self.content_key = content_key
        self.calls: list[tuple[datetime, LoggedCall]] = []
        self.messages: list[dict[str, Any]] = []
        self.order = draw.randrange(10_000, 99_999)
        self.made = 0

    def play(self, opening: float) -> None:
        draw = self.draw
        if self.agent != "orders":
            self.user(self.story())
            self.answer({"content": self.label() if self.agent == "triage" else self.fields()})
            return
        if draw.random() < opening:
            self.user("hi")
            self.answer({"content": "Hello! How can I help you today?"})
        self.user("refund please" if draw.random() < 0.02 else self.story())
        if draw.random() < 0.05:
            self.answer({"content": None, "refusal": REFUSAL})
            return
        if draw.random() < 0.1:
            self.answer({"content": self.closing()})
        else:
            self.work()
            if draw.random() < 0.3:
                self.user(draw.choice(SHORT) if draw.random() < 0.5 else f"and {draw.choice(WISHES)}?")
                self.work()
        if draw.random() < 0.3:
            self.user(draw.choice(SHORT))
            self.answer({"content": self.closing()})

    def story(self) -> str:
        draw = self.draw
        return (
            f"my {draw.choice(GOODS)} (order {self.order}) {draw.choice(FAULTS)}, {draw.choice(WISHES)}? "
            f"I live at {draw.randrange(1, 200)} {draw.choice(STREETS)} Street"
        )

    def label(self) -> str:
        return f"queue_{self.draw.randrange(12)}"

    def fields(self) -> str:
        return json.dumps({"order": self.order, "urgent": self.draw.random() < 0.5})

    def closing(self) -> str:
        return f"Done: {self.draw.choice(WISHES)}, order {self.order}."

    def work(self) -> None:
        """One turn of the agent that calls tools, and the answer it gives from what they return."""
        names = self.draw.sample(TOOLS, self.draw.choice((1, 1, 2)))
        calls = []
        for name in names:
            self.made += 1
            arguments = json.dumps({"order": self.order, "step": self.made})
            calls.append(
                {"id": f"call_{self.name}_{self.made}", "type": "function",
                 "function": {"name": name, "arguments": arguments}}
            )  # fmt: skip
        turn: dict[str, Any] = {"tool_calls": calls}
        if self.content_key:
            turn["content"] = None
        self.answer(turn)
        for call in calls:
            found = {"order": self.order, "tool": call["function"]["name"], "state": self.draw.choice(FAULTS),
                     "at": f"{self.draw.randrange(24)}:{self.draw.randrange(60):02}"}  # fmt: skip
            self.messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(found)})
        self.answer({"content": self.closing()})

    def user(self, text: str) -> None:
        self.messages.append({"role": "user", "content": text})

    def answer(self, turn: dict[str, Any]) -> None:
        self.at += timedelta(seconds=self.draw.uniform(2, 90))
        prompt = PROMPTS[self.agent].format(now=self.at.isoformat(timespec="seconds"))
        request: dict[str, Any] = {
            "model": "rented",
            "messages": [{"role": "system", "content": prompt}, *self.messages],
        }
        if self.agent == "orders":
            request["tools"] = [
                {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
                for name in TOOLS
            ]
        message = {"role": "assistant", **turn}
        response = {
            "object": "chat.completion",
            "created": int(self.at.timestamp()),
            "model": "rented",
            "choices": [
                {"index": 0, "message": message,
                 "finish_reason": "tool_calls" if turn.get("tool_calls") else "stop"}
            ],
        }  # fmt: skip
        record = json.loads(json.dumps({"request": request, "response": response}))
        for _ in range(2 if self.draw.random() < 0.03 else 1):  # a proxy that tries again logs twice
            self.calls.append((self.at, LoggedCall(record, self.name)))
            self.at += timedelta(seconds=1)
        self.messages.append(message)
