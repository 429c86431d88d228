"""The list of checks, and what they share.

A check is a function that asks and claims what the vendor's published reference says a client must find. Where freehold
refuses by design what a reference has (state of the Responses API, say), the check is that the refusal is one of that
API: its status, its shape, the field's name. None asks for what only a large model can do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import TypeAdapter
from rig import Clients

SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["red", "green"]}, "count": {"type": "integer"}},
    "required": ["colour", "count"],
    "additionalProperties": False,
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
MARK = "five"
"""A word that SmolLM2 repeats when it is asked to count on."""


@dataclass(frozen=True)
class Check:
    """`part` is the part of an API that it is of, `title` what must be found there."""

    part: str
    title: str
    ask: Callable[[Clients], None]


CHECKS: list[Check] = []


def must(part: str, title: str) -> Callable[[Callable[[Clients], None]], Callable[[Clients], None]]:
    """Add a check."""

    def add(ask: Callable[[Clients], None]) -> Callable[[Clients], None]:
        add_check(part, title, ask)
        return ask

    return add


def add_check(part: str, title: str, ask: Callable[[Clients], None]) -> None:
    assert (part, title) not in {(one.part, one.title) for one in CHECKS}, f"{part}: {title} is there twice"
    CHECKS.append(Check(part, title, ask))


def is_a(kind: Any, value: Any) -> Any:
    """Read JSON by the types that the vendor's package was made with; an error names the field that is not so."""
    return TypeAdapter(kind).validate_python(value)


def meets_schema(text: Any) -> None:
    value = json.loads(text) if isinstance(text, str) else text
    assert set(value) == {"colour", "count"} and value["colour"] in ("red", "green"), f"not held: {text!r}"
    assert isinstance(value["count"], int)


def same(found: Any, wanted: Any, what: str = "") -> None:
    assert found == wanted, f"{what}{' ' if what else ''}is {found!r}, not {wanted!r}"


def openai_error(answer: httpx.Response, status: int = 400, param: Any = ..., code: Any = ...) -> None:
    """An error as OpenAI's API has it."""
    same(answer.status_code, status, "status")
    assert answer.headers["content-type"].startswith("application/json"), "an error that is not JSON"
    error = answer.json()["error"]
    assert {"message", "type", "param", "code"} <= set(error), f"the error has {sorted(error)} only"
    assert isinstance(error["message"], str) and error["message"], "no message"
    assert answer.headers.get("x-request-id"), "no x-request-id"
    if status < 429:
        same(error["type"], "invalid_request_error", "type")
    if param is not ...:
        same(error["param"], param, "param")
    if code is not ...:
        same(error["code"], code, "code")


def claude_error(
    answer: httpx.Response, status: int = 400, kind: str = "invalid_request_error", words: str = ""
) -> None:
    """An error as Anthropic's API has it."""
    same(answer.status_code, status, "status")
    assert answer.headers["content-type"].startswith("application/json"), "an error that is not JSON"
    body = answer.json()
    same(body.get("type"), "error", "type")
    same(body["error"]["type"], kind, "error.type")
    assert words in body["error"]["message"], f"{words!r} is not in {body['error']['message']!r}"
    same(body.get("request_id"), answer.headers.get("request-id"), "request_id beside the header")
    assert body["request_id"], "no request id"


def sse(answer: httpx.Response) -> list[tuple[str | None, str]]:
    """The events of a stream, each its name and its data, read as the HTML standard says."""
    same(answer.status_code, 200, "status")
    same(answer.headers["content-type"].partition(";")[0], "text/event-stream", "content-type")
    found = []
    for block in answer.text.replace("\r\n", "\n").split("\n\n"):
        fields = [line.partition(":")[::2] for line in block.split("\n") if line and not line.startswith(":")]
        data = [value.removeprefix(" ") for name, value in fields if name == "data"]
        names = [value.removeprefix(" ") for name, value in fields if name == "event"]
        if data:
            found.append((names[-1] if names else None, "\n".join(data)))
    return found


def chunks(answer: httpx.Response) -> list[dict[str, Any]]:
    """The chunks of a chat or a completion that is streamed, whose end was told."""
    events = sse(answer)
    same(events[-1][1], "[DONE]", "the last event")
    return [json.loads(data) for _, data in events[:-1]]


def counted(numbers: Iterable[Any]) -> Iterator[int]:
    """Each of them, a count above zero."""
    for number in numbers:
        assert isinstance(number, int) and number > 0, f"{number!r} is not a count"
        yield number
