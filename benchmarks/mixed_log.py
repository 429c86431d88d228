# ruff: noqa: E501 (prompts stand here as they are sent)
"""Mixed logs made from a seed: each request is of one of several tasks, whose templates and texts are written here.

Questions come from the texts that are handed in (public task data where it is there), else from those written below.
Each template has slots: names, times, retrieved documents, few-shot examples, the question. What a request's task is
stands beside it, never in it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

NAMES = ("Ada", "Björn", "Chiara", "Dmitri", "Eve", "Farid", "Grace", "Hanna", "Ivo", "Jun", "Kofi", "Lena", "Mehmet",
         "Nia", "Oskar", "Priya", "Quentin", "Rosa", "Sven", "Tara")  # fmt: skip
THINGS = ("kettle", "lamp", "tent", "bicycle", "invoice", "password", "refund", "card", "delivery", "contract", "router",
          "seat", "booking", "statement", "charger", "warranty")  # fmt: skip
VERBS = ("broke", "never came", "was charged twice", "needs a new part", "cannot be opened", "is too small", "got lost",
         "was stolen", "is late again", "has the wrong name on it")  # fmt: skip
ENDINGS = ("what now", "can you help", "who do I ask", "I want my money back", "please call me", "how long will it take",
           "is that normal", "I am leaving on Sunday", "my neighbour has the same trouble")  # fmt: skip
WORDS = ("river", "stone", "paper", "market", "winter", "signal", "garden", "engine", "letter", "window", "history", "island",
         "harvest", "measure", "colour", "village", "glass", "thunder", "copper", "mirror", "journey", "silver", "kitchen",
         "forest", "number", "bridge", "captain", "music", "desert")  # fmt: skip


Drawn = random.Random
Text = Callable[[Drawn], str]


class MixedRequest(NamedTuple):
    """A request, its answer, when it was asked, and which task it is of."""

    request: dict[str, Any]
    answer: dict[str, Any]
    at: datetime
    task: str


class _Task(NamedTuple):
    name: str
    make: Callable[[Drawn, str], dict[str, Any]]
    answer: Callable[[Drawn], str | dict[str, Any]]


def complaint(draw: Drawn) -> str:
    """What a customer writes."""
    return f"{draw.choice(('my', 'our', 'the', 'this'))} {draw.choice(THINGS)} {draw.choice(VERBS)}, {draw.choice(ENDINGS)}"


def passage(draw: Drawn, words: int) -> str:
    """Words without a meaning, as many as wanted."""
    return " ".join(draw.choice(WORDS) for _ in range(words)).capitalize() + "."


def _system(text: Callable[[Drawn], str], **more: Any) -> Callable[[Drawn, str], dict[str, Any]]:
    def make(draw: Drawn, question: str) -> dict[str, Any]:
        return {
            "messages": [{"role": "system", "content": text(draw)}, {"role": "user", "content": question}],
            **more,
        }

    return make


def _turn(template: str, system: str | None = None, **more: Any) -> Callable[[Drawn, str], dict[str, Any]]:
    def make(draw: Drawn, question: str) -> dict[str, Any]:
        turns = [] if system is None else [{"role": "system", "content": system}]
        said = template.format(
            question=question, name=draw.choice(NAMES), passage=passage(draw, draw.randint(20, 90))
        )
        return {"messages": [*turns, {"role": "user", "content": said}], **more}

    return make


def _clock(draw: Drawn) -> str:
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=draw.uniform(0, 2e7))).isoformat(
        timespec="seconds"
    )


def _documents(draw: Drawn) -> str:
    """Two of twenty documents: they come again, and are no part of the template."""
    chosen = draw.sample(range(20), 2)
    return "\n\n".join(passage(random.Random(f"document {one}"), 60) for one in chosen)


def _examples(draw: Drawn, question: str) -> dict[str, Any]:
    turns: list[dict[str, Any]] = [
        {"role": "system", "content": "Give the urgency of a message: low, normal or high."}
    ]
    for said, level in (("the office is on fire, call someone", "high"), ("what a nice lamp", "low")):
        turns += [{"role": "user", "content": said}, {"role": "assistant", "content": level}]
    return {"messages": [*turns, {"role": "user", "content": question}]}


def _picture(draw: Drawn, question: str) -> dict[str, Any]:
    data = "data:image/png;base64," + "".join(draw.choice("ABCDEFGHabcdefgh0123456789+/") for _ in range(400))
    parts = [{"type": "text", "text": question}, {"type": "image_url", "image_url": {"url": data}}]
    return {
        "messages": [
            {
                "role": "system",
                "content": "You look at photographs of damaged goods and estimate the repair in euros.",
            },
            {"role": "user", "content": parts},
        ]
    }


def _tools(*names: str) -> list[dict[str, Any]]:
    return [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in names
    ]


def _agent(draw: Drawn, question: str) -> dict[str, Any]:
    """A step of an agent; a last step often offers no tools any more."""
    system = f"You are the travel agent of {draw.choice(NAMES)}. Today is {_clock(draw)}. Book only what was confirmed."
    turns: list[dict[str, Any]] = [
        {"role": "system", "content": system},
        {"role": "user", "content": question},
    ]
    steps = draw.randint(0, 3)
    for step in range(steps):
        call = {"id": f"c{step}", "type": "function", "function": {"name": "find_flight", "arguments": "{}"}}
        turns.append({"role": "assistant", "content": None, "tool_calls": [call]})
        turns.append({"role": "tool", "tool_call_id": f"c{step}", "content": passage(draw, 8)})
    request: dict[str, Any] = {"messages": turns}
    if not (steps and draw.random() < 0.3):
        request["tools"] = _tools("find_flight", "book_flight", "find_hotel")
    return request


def _call(draw: Drawn) -> dict[str, Any]:
    function = {"name": "find_flight", "arguments": json.dumps({"to": draw.choice(NAMES)})}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "x", "type": "function", "function": function}],
    }


def _label(*labels: str) -> Callable[[Drawn], str]:
    return lambda draw: draw.choice(labels)


def _fields(*fields: str) -> Callable[[Drawn], str]:
    return lambda draw: json.dumps({field: draw.choice(WORDS) for field in fields})


def _prose(draw: Drawn) -> str:
    return passage(draw, draw.randint(12, 60))


def _edited(draw: Drawn) -> str:
    """A prompt that was edited while the log ran: it is the same task."""
    return draw.choice((
        "You review pull requests. Name the file and the line, then the defect. Be brief. Skip matters of taste.",
        "You review pull requests. Name the file and the line, then the defect, please. Be brief. Skip matters of taste.",
        "You review pull requests. Name the file and the line, then the defect. Be brief and polite. Skip matters of taste.",
    ))  # fmt: skip


def _rotating(draw: Drawn) -> str:
    """A prompt with three of thirty examples in it."""
    shots = [random.Random(f"shot {one}") for one in draw.sample(range(30), 3)]
    shown = "\n\n".join(
        f"Message: {complaint(shot)}\nTeam: {shot.choice(('sales', 'repair'))}" for shot in shots
    )
    return (
        f"Say which team should answer a message. Here are examples.\n\n{shown}\n\nAnswer with the team only."
    )


def _state(draw: Drawn) -> str:
    state = json.dumps({"cart": [draw.choice(THINGS) for _ in range(draw.randint(1, 5))], "user": draw.choice(NAMES),
                        "total": draw.randint(1, 900)})  # fmt: skip
    return (
        f"You suggest one more article for the cart.\nState: {state}\nSuggest a single article and say why."
    )


COMPANY = (
    "Acme Retail is a family business in Leeds that has sold goods for the home since 1921. Keep to British spelling. "
    "Never mention a competitor. Never give legal advice. Sign as the Acme team."
)
HELPFUL = "You are a helpful assistant."
_SCHEMA = {"type": "json_schema", "json_schema": {"name": "ticket", "schema": {"type": "object"}}}

TASKS: tuple[_Task, ...] = (
    _Task("intent", _system(lambda d: "Sort the customer's message into one intent of our bank. Answer with its name only."),
          _label("card_lost", "refund", "top_up", "exchange", "fees")),
    _Task("ticket", _system(lambda d: f"You fill in a ticket from a message received at {_clock(d)} by {d.choice(NAMES)}.",
                            response_format=_SCHEMA), _fields("product", "wish")),
    _Task("handbook", _system(lambda d: f"Answer from the handbook below and say so where it is silent.\n\n{_documents(d)}\n\n"
                                        "Never quote a price. Answer in the customer's own language."), _prose),
    _Task("reply", _system(lambda d: f"You write the reply to a complaint. The customer is called {d.choice(NAMES)} and "
                                     f"wrote on {_clock(d)}. Be warm, and promise nothing that costs money."), _prose),
    _Task("urgency", _examples, _label("low", "normal", "high")),
    _Task("travel", _agent, _call),
    _Task("damage", _picture, lambda d: str(d.randint(10, 900))),
    _Task("translate", _turn("Translate into German:\n\n{question}", HELPFUL), _prose),
    _Task("summary", _turn("{passage}\n\nSummarise the text above in two sentences.", HELPFUL), _prose),
    _Task("sentiment", _turn("What is the sentiment of this review? Answer positive, negative or mixed.\n\nReview: {question}"),
          _label("positive", "negative", "mixed")),
    _Task("title", _turn("Write a title of at most eight words for the following text.\n###\n{passage}\n###"), _prose),
    _Task("rewrite", _turn("Rewrite the message below so that {name} would understand it at once.\nMessage: {question}",
                           HELPFUL), _prose),
    _Task("chat", lambda d, q: {"messages": [{"role": "user", "content": q}]}, _prose),
    _Task("spanish", _system(lambda d: f"Eres el asistente de una tienda. Hoy es {_clock(d)}. Responde siempre con cortesía y "
                                       "no prometas plazos de entrega."), _prose),
    _Task("grade", _system(lambda d: "Solve the problem step by step and end with the number after four hashes."),
          lambda d: f"{passage(d, 20)} #### {d.randint(1, 99)}"),
    _Task("review", _system(_edited), _prose),
    _Task("team", _system(_rotating), _label("sales", "repair")),
    _Task("cart", _system(_state), _prose),
    _Task("acme-mail", _system(lambda d: f"{COMPANY}\n\nYou write marketing mails. Use a subject line, three short paragraphs "
                                         "and one link at the end."), _prose),
    _Task("acme-returns", _system(lambda d: f"{COMPANY}\n\nYou decide whether a return is accepted under the policy of thirty "
                                            "days. Answer yes, no or ask."), _label("yes", "no", "ask")),
    _Task("acme-listing", _system(lambda d: f"{COMPANY}\n\nYou turn a supplier's data sheet into a listing with a title, five "
                                            "bullet points and a paragraph."), _prose),
    _Task("tenant", _system(lambda d: f"You are the assistant of {d.choice(('Northwind', 'Contoso', 'Globex', 'Initech'))}. "
                                      "Answer questions about opening hours and addresses, nothing else."), _prose),
    _Task("french", _system(lambda d: "Translate to French."), _prose),
    _Task("keywords", _system(lambda d: "List five keywords, comma separated."), _prose),
    _Task("chinese", _system(lambda d: f"你是一家银行的客服助理。现在是{_clock(d)}。请用礼貌的语气回答客户的问题，不要透露内部信息。"), _prose),
    _Task("sql", _turn("### Tables\norders(id, customer, total)\n### Question\n{question}\n### SQL\n"), _prose),
    _Task("topic", _turn("What is the topic of this message? Answer product, payment or other.\n\nMessage: {question}"),
          _label("product", "payment", "other")),
    _Task("helpful", _system(lambda d: HELPFUL), _prose),
    _Task("extract-user", _turn("Extract the name of the product and the wish as JSON with the keys product and wish. "
                                "Text: {question}"), _fields("product", "wish")),
)  # fmt: skip


def mixed_log(
    seed: int,
    *,
    requests: int = 600,
    tasks: int | None = None,
    texts: Mapping[str, Sequence[str]] | None = None,
) -> list[MixedRequest]:
    """A log of `requests` requests of `tasks` tasks (default: drawn, 4 to 14), some ten times as frequent as others.

    `texts` are questions by the name of a task; ``""`` are those of all others (default: made up).
    """
    draw = random.Random(seed)
    chosen = draw.sample(TASKS, tasks or draw.randint(4, 14))
    weights = [draw.uniform(1, 10) for _ in chosen]
    known = (
        ("gpt-4o-2024-08-06", "gpt-4o-mini", "claude-sonnet-4-20250514")
        if seed % 2
        else ("gpt-4o-2024-08-06",)
    )
    models = {task.name: draw.choice(known) for task in chosen}
    begin = datetime(2026, 3, 2, 8, tzinfo=UTC)
    made = []
    for number in range(requests):
        task = draw.choices(chosen, weights)[0]
        some = (texts or {}).get(task.name) or (texts or {}).get("")
        question = draw.choice(some) if some else complaint(draw)
        request = {"model": models[task.name], **task.make(draw, question)}
        said = task.answer(draw)
        answer = said if isinstance(said, dict) else {"role": "assistant", "content": said}
        at = begin + timedelta(seconds=number * 30 * 86_400 / requests)
        made.append(MixedRequest(request, answer, at, task.name))
    return made


def as_record(one: MixedRequest) -> dict[str, Any]:
    """The request as a line of a proxy's log."""
    prompt = len(json.dumps(one.request["messages"])) // 4
    return {
        "request": one.request,
        "response": {
            "object": "chat.completion",
            "created": int(one.at.timestamp()),
            "model": one.request["model"],
            "choices": [{"index": 0, "message": one.answer, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": prompt, "completion_tokens": len(json.dumps(one.answer)) // 4},
        },
    }
