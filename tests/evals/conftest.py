"""A loopback endpoint that answers as it is told: a real server, so that streaming and faults are real."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.engines.conftest import serving

from freehold.types.dataset import Message, Sample
from freehold.types.endpoint import Capabilities, Endpoint

Reply = Callable[[dict[str, Any], int], Any]


class Loopback:
    """`reply(body, attempt)` returns text, a list of tool calls, a `web.Response`, or raises; `seen` is what came."""

    def __init__(self, reply: Reply, *, streaming: bool, finish_reason: str = "stop") -> None:
        self.reply = reply
        self.finish_reason = finish_reason
        self.seen: list[dict[str, Any]] = []
        self.in_flight = self.most_in_flight = 0
        self.endpoint = Endpoint(name="loopback", engine="remote", base_url="")
        self._streaming = streaming

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.seen.append(body)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            asked = [one["messages"] for one in self.seen].count(body["messages"])
            said = self.reply(body, asked)
            if asyncio.iscoroutine(said):
                said = await said
            if isinstance(said, web.StreamResponse):
                return said
            return await self._answer(request, body, said)
        finally:
            self.in_flight -= 1

    async def _answer(self, request: web.Request, body: dict[str, Any], said: Any) -> web.StreamResponse:
        usage = {"prompt_tokens": 7, "completion_tokens": 3}
        message = {"role": "assistant", "content": said} if isinstance(said, str) else {"tool_calls": said}
        if not body.get("stream"):
            return web.json_response(
                {"choices": [{"message": message, "finish_reason": self.finish_reason}], "usage": usage}
            )
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        deltas: list[dict[str, Any]] = [{"role": "assistant"}]
        deltas += [{"content": letter} for letter in said] if isinstance(said, str) else _pieces(said)
        for delta in deltas:
            await _send(response, {"choices": [{"delta": delta, "finish_reason": None}]})
        await _send(response, {"choices": [{"delta": {}, "finish_reason": self.finish_reason}]})
        await _send(response, {"choices": [], "usage": usage})
        await response.write(b"data: [DONE]\n\n")
        return response


def _pieces(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for index, call in enumerate(calls):
        function = call["function"]
        found.append(
            {"tool_calls": [{"index": index, "id": call["id"], "function": {"name": function["name"]}}]}
        )
        found += [
            {"tool_calls": [{"index": index, "function": {"arguments": letter}}]}
            for letter in function["arguments"]
        ]
    return found


async def _send(response: web.StreamResponse, chunk: dict[str, Any]) -> None:
    await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")


@asynccontextmanager
async def loopback(
    reply: Reply, *, streaming: bool = True, finish_reason: str = "stop"
) -> AsyncIterator[Loopback]:
    server = Loopback(reply, streaming=streaming, finish_reason=finish_reason)
    async with serving(server.handle) as url:
        server.endpoint = Endpoint(
            name="loopback", engine="remote", base_url=url, capabilities=Capabilities(streaming=streaming)
        )
        yield server


@pytest.fixture
def serve() -> Callable[..., Any]:
    return loopback


def make_samples(n: int, **fields: Any) -> list[Sample]:
    return [
        Sample(id=f"s{i}", messages=(Message(role="user", content=f"say {i}"),), gold=str(i), **fields)
        for i in range(n)
    ]


@pytest.fixture
def samples() -> Callable[..., list[Sample]]:
    return make_samples


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """A folder of the optional shared data by name; the test is skipped where it is absent."""
    root = Path(os.environ.get("FREEHOLD_TEST_SHARED") or Path(__file__).resolve().parents[3] / "shared")

    def folder(name: str) -> Path:
        found = root / "data" / name
        if not found.is_dir():
            pytest.skip(f"shared data {name} is not here (FREEHOLD_TEST_SHARED)")
        return found

    return folder
