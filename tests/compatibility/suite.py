"""Each feature of each API, asked for with that API's own client.

A feature is a function that asks through a running gateway and claims what a client must see. It may use nothing
that only a large model can do: the real engines here carry a model of 135 million parameters.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx
import ollama
import openai

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
TEXT = "One two three four five six seven eight nine ten"
SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["red", "green"]}, "count": {"type": "integer"}},
    "required": ["colour", "count"],
    "additionalProperties": False,
}


@dataclass
class Clients:
    """The clients of one gateway, and the names its models have."""

    base_url: str
    model: str
    embedder: str
    context_tokens: int

    def __post_init__(self) -> None:
        self.gpt = openai.OpenAI(base_url=f"{self.base_url}/v1", api_key="k", max_retries=0, timeout=120)
        self.claude = anthropic.Anthropic(base_url=self.base_url, api_key="k", max_retries=0, timeout=120)
        self.llama = ollama.Client(host=self.base_url, timeout=120)
        self.http = httpx.Client(base_url=self.base_url, timeout=120)

    def close(self) -> None:
        self.gpt.close()
        self.claude.close()
        self.llama._client.close()
        self.http.close()

    def chat(self, text: str = TEXT, **more: Any) -> Any:
        messages = more.pop("messages", [{"role": "user", "content": text}])
        asked = {"model": self.model, "messages": messages, "max_tokens": 40, "temperature": 0, **more}
        return self.gpt.chat.completions.create(**asked)

    def message(self, text: str = TEXT, **more: Any) -> Any:
        messages = more.pop("messages", [{"role": "user", "content": text}])
        asked = {"model": self.model, "messages": messages, "max_tokens": 40, **more}
        asked["extra_body"] = {"temperature": 0}  # the client has no argument for it any more, the API has
        return self.claude.messages.create(**asked)

    def respond(self, given: Any = TEXT, **more: Any) -> Any:
        asked = {"model": self.model, "input": given, "max_output_tokens": 40, "temperature": 0, **more}
        return self.gpt.responses.create(**asked)

    def ollama_chat(self, text: str = TEXT, **more: Any) -> Any:
        messages = more.pop("messages", [{"role": "user", "content": text}])
        options = {"temperature": 0, "num_predict": 40}
        return self.llama.chat(self.model, messages, options=options, **more)

    @property
    def too_long(self) -> str:
        """More than fits."""
        return "word " * (self.context_tokens * 3)


@dataclass(frozen=True)
class Feature:
    """`path` is the gateway's path it goes through; pages that the gateway answers itself are no doors."""

    key: str
    api: str
    title: str
    path: str
    ask: Callable[[Clients], None]


FEATURES: list[Feature] = []


def feature(api: str, title: str, path: str) -> Callable[[Callable[[Clients], None]], Callable[..., None]]:
    def add(ask: Callable[[Clients], None]) -> Callable[[Clients], None]:
        FEATURES.append(Feature(ask.__name__, api, title, path, ask))
        return ask

    return add


def meets_schema(text: str | None) -> bool:
    """True, or an assertion that says what came instead."""
    try:
        value = json.loads(text or "")
        meets = set(value) == {"colour", "count"} and value["colour"] in ("red", "green")
    except (ValueError, TypeError):
        meets = False
    assert meets, f"not held to the schema: {(text or 'nothing')[:40]} came"
    return True


def refusal(kind: type[BaseException], call: Callable[[], Any]) -> Any:
    """The error of that kind that a call must end with."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError("no error came")
