"""Echo as a process: OpenAI chat and text completions (plain and streamed), embeddings, models, counts, health.

Plan and port come on the first line of stdin, the key it asks for on the second. The closing of stdin ends the process.
"""

from __future__ import annotations

import asyncio
import base64
import os
import random
import signal
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from freehold import logs
from freehold.engines.echo_answers import (
    EchoOptions,
    EchoReply,
    embedding,
    last_user_text,
    prompt_tokens,
    read_answers,
    reply_to,
    tokens,
)
from freehold.engines.guard import keyed, own_hosts_only, read_plan, serve
from freehold.late import web
from freehold.types.endpoint import ServePlan

CREATED = 1_700_000_000
"""Fixed, as everything here: two runs agree to the byte."""

_encode = msgspec.json.encode


class EchoApp:
    """One plan's server, which asks for `key`. `answers` maps model name to table; the empty name is for all models."""

    def __init__(self, plan: ServePlan, options: EchoOptions, key: str | None = None) -> None:
        self._plan = plan
        self._key = key
        self._options = options
        self._models = [plan.model, *(mount.name for mount in plan.adapters)]
        self._answers: dict[str, dict[str, str]] = {"": dict(options.answers)}
        if options.answers_file is not None:
            self._answers[""] |= read_answers(options.answers_file)
        for mount in plan.adapters:
            if mount.path.endswith((".json", ".jsonl")):
                self._answers[mount.name] = read_answers(mount.path)
        self._chance = random.Random(options.seed)
        self._count = 0
        self._working = 0
        self._turns = asyncio.Semaphore(plan.parallel)

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(
            client_max_size=64 << 20, middlewares=[own_hosts_only, keyed(self._key), self._counted]
        )
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/v1/models", self._list)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._completions)
        app.router.add_post("/v1/embeddings", self._embeddings)
        app.router.add_post("/tokenize", self._tokenize)
        return app

    @web.middleware
    async def _counted(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.method != "POST":
            return await handler(request)
        self._working += 1
        try:
            return await handler(request)
        finally:
            self._working -= 1

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(text=f"echo:requests_processing {self._working}\n")

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _list(self, _: web.Request) -> web.Response:
        data = [
            {"id": name, "object": "model", "created": CREATED, "owned_by": "freehold-echo"}
            for name in self._models
        ]
        return web.json_response({"object": "list", "data": data})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await self._read(request)
        if isinstance(body, web.Response):
            return body
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages or not all(_is_message(item) for item in messages):
            return _error(400, "messages must be a list of messages with a role", "invalid_request_error")
        if body.get("logprobs"):
            return _error(400, "echo has no log-probabilities", "unsupported_parameter")
        prompt = prompt_tokens(messages)
        if prompt > self._plan.context_tokens:
            return _too_long(prompt, self._plan.context_tokens)
        self._count += 1
        number = self._count
        async with self._turns:
            if self._options.delay_ms:
                await asyncio.sleep(self._options.delay_ms / 1000)
            if self._options.crash_on is not None and self._options.crash_on in last_user_text(messages):
                os.kill(os.getpid(), signal.SIGKILL)
            if self._chance.random() < self._options.failure_rate:
                return _error(self._options.failure_status, "a failure that was asked for", "echo_failure")
            reply = reply_to(body, self._options, self._answers)
            head = {"id": f"chatcmpl-echo-{number}", "created": CREATED, "model": body["model"]}
            if body.get("stream"):
                return await self._stream(request, head, reply, prompt, body)
            if self._options.token_delay_ms:  # a plain answer takes as long as the streamed one
                await asyncio.sleep(self._options.token_delay_ms * len(reply.pieces) / 1000)
            return _json(_plain(head, reply, prompt, body.get("n") or 1))

    async def _stream(
        self,
        request: web.Request,
        head: dict[str, Any],
        reply: EchoReply,
        prompt: int,
        body: dict[str, Any],
    ) -> web.StreamResponse:
        usage = bool((body.get("stream_options") or {}).get("include_usage"))
        return await _events(request, self._chunks(head, reply, prompt, usage, body.get("n") or 1))

    async def _chunks(
        self, head: dict[str, Any], reply: EchoReply, prompt: int, usage: bool, n: int
    ) -> AsyncIterator[dict[str, Any]]:
        head = {**head, "object": "chat.completion.chunk"}

        def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
            choices = [{"index": index, "delta": delta, "finish_reason": finish} for index in range(n)]
            return {**head, "choices": choices}

        yield chunk({"role": "assistant", "content": None if reply.tool_call else ""})
        if reply.tool_call is not None:
            yield chunk({"tool_calls": [{"index": 0, **_call(head, reply.tool_call)}]})
        for piece in reply.pieces:
            if self._options.token_delay_ms:
                await asyncio.sleep(self._options.token_delay_ms / 1000)
            yield chunk({"content": piece})
        yield chunk({}, reply.finish_reason)
        if usage:
            yield {**head, "choices": [], "usage": _usage(prompt, n * len(reply.pieces))}

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        """The prompt comes back as chat's last message would."""
        body = await self._read(request)
        if isinstance(body, web.Response):
            return body
        prompt = body.get("prompt")
        if not isinstance(prompt, str):
            return _error(400, "prompt must be a text", "invalid_request_error")
        used = len(tokens(prompt))
        if used > self._plan.context_tokens:
            return _too_long(used, self._plan.context_tokens)
        asked = {**body, "messages": [{"role": "user", "content": prompt}]}
        reply = reply_to(asked, self._options, self._answers)
        self._count += 1
        head = {"id": f"cmpl-echo-{self._count}", "object": "text_completion", "created": CREATED}
        head["model"] = body["model"]

        def whole(text: str, finish: str | None) -> dict[str, Any]:
            choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
            return {**head, "choices": [choice]}

        async def chunks() -> AsyncIterator[dict[str, Any]]:
            for piece in reply.pieces:
                yield whole(piece, None)
            yield whole("", reply.finish_reason)
            if (body.get("stream_options") or {}).get("include_usage"):
                yield {**head, "choices": [], "usage": _usage(used, len(reply.pieces))}

        if body.get("stream"):
            return await _events(request, chunks())
        return _json({**whole(reply.text, reply.finish_reason), "usage": _usage(used, len(reply.pieces))})

    async def _tokenize(self, request: web.Request) -> web.Response:
        """How many tokens a conversation has, as vLLM's call of that name says it."""
        body = await self._read(request)
        if isinstance(body, web.Response):
            return body
        messages = body.get("messages")
        if not isinstance(messages, list) or not all(_is_message(item) for item in messages):
            return _error(400, "messages must be a list of messages with a role", "invalid_request_error")
        return _json({"count": prompt_tokens(messages), "max_model_len": self._plan.context_tokens})

    async def _embeddings(self, request: web.Request) -> web.Response:
        body = await self._read(request)
        if isinstance(body, web.Response):
            return body
        asked = body.get("input")
        texts = [asked] if isinstance(asked, str) else asked
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            return _error(400, "input must be a text or a list of texts", "invalid_request_error")
        data = []
        for index, text in enumerate(texts):
            vector: Any = embedding(text)
            if body.get("encoding_format") == "base64":
                vector = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
            data.append({"object": "embedding", "index": index, "embedding": vector})
        used = sum(len(tokens(text)) for text in texts)
        usage = {"prompt_tokens": used, "total_tokens": used}
        return web.json_response({"object": "list", "data": data, "model": body["model"], "usage": usage})

    async def _read(self, request: web.Request) -> dict[str, Any] | web.Response:
        """The request's JSON object, or the error to answer with."""
        try:
            body = msgspec.json.decode(await request.read())
        except msgspec.DecodeError as error:
            return _error(400, f"not JSON: {error}", "invalid_request_error")
        if not isinstance(body, dict):
            return _error(400, "the request must be a JSON object", "invalid_request_error")
        if body.get("model") not in self._models:
            return _error(404, f"the model {body.get('model')!r} does not exist", "model_not_found")
        return body


async def _events(request: web.Request, chunks: AsyncIterator[dict[str, Any]]) -> web.StreamResponse:
    """Send a stream, event by event."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    async for chunk in chunks:
        await response.write(b"data: " + _encode(chunk) + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _json(body: dict[str, Any]) -> web.Response:
    return web.Response(body=_encode(body), content_type="application/json")


def _too_long(tokens: int, context_tokens: int) -> web.Response:
    words = f"request ({tokens} tokens) exceeds the context of {context_tokens} tokens"
    return _error(400, words, "context_length_exceeded")


def _is_message(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("role"), str)


def _plain(head: dict[str, Any], reply: EchoReply, prompt: int, n: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.tool_call is not None:
        message = {"role": "assistant", "content": None, "tool_calls": [_call(head, reply.tool_call)]}
    choice = {"message": message, "finish_reason": reply.finish_reason}
    return {
        **head,
        "object": "chat.completion",
        "choices": [{"index": index, **choice} for index in range(n)],
        "usage": _usage(prompt, n * len(reply.pieces)),
    }


def _call(head: dict[str, Any], function: dict[str, Any]) -> dict[str, Any]:
    return {"id": str(head["id"]).replace("chatcmpl", "call"), "type": "function", "function": function}


def _usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _error(status: int, message: str, code: str) -> web.Response:
    kind = "invalid_request_error" if status < 500 else "server_error"
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return web.json_response(body, status=status)


if __name__ == "__main__":
    logs.configure()
    given, key_asked = read_plan()
    asyncio.run(
        serve(EchoApp(given, msgspec.convert(given.options, EchoOptions), key_asked).application(), given)
    )
