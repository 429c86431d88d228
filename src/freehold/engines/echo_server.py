"""Echo as a process: OpenAI chat and text completions (plain and streamed), embeddings, models, counts, health. What
it answers is a pure function of the request, so that two runs agree to the byte.

Plan and port come on the first line of stdin, the key it asks for on the second. The closing of stdin ends the
process.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import math
import os
import random
import re
import signal
import struct
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

from freehold import logs
from freehold.engines.echo import EchoOptions, read_answers
from freehold.engines.guard import keyed, own_hosts_only
from freehold.engines.lifeline import watch_parent
from freehold.late import web
from freehold.types.endpoint import ServePlan

EMBEDDING_SIZE = 64
_TOKEN = re.compile(r"\s*\w+|\s*[^\w\s]|\s+")


class EchoReply(NamedTuple):
    """An answer: its pieces as they would be streamed, or one tool call."""

    pieces: list[str]
    finish_reason: str
    tool_call: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def tokens(text: str) -> list[str]:
    """Pieces that join to `text`: words and marks with the space before them. Echo's idea of a token."""
    return _TOKEN.findall(text)


def text_of(content: Any) -> str:
    """The text of a message's content, which may be a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return ""


def prompt_tokens(messages: list[dict[str, Any]]) -> int:
    """Tokens of a conversation: those of its texts, and three for each message's frame."""
    return sum(3 + len(tokens(text_of(message.get("content")))) for message in messages)


def last_user_text(messages: list[dict[str, Any]]) -> str:
    """The text of the last message of the user; empty where there is none."""
    return next(
        (text_of(message.get("content")) for message in reversed(messages) if message["role"] == "user"), ""
    )


def reply_to(body: dict[str, Any], options: EchoOptions, answers: dict[str, dict[str, str]]) -> EchoReply:
    """The answer to a chat request. `answers` maps a model's name to its table of answers."""
    model = str(body.get("model"))
    asked = last_user_text(body["messages"])
    if (call := _tool_call(body)) is not None:
        return EchoReply([], "tool_calls", call)
    text = _text(asked, model, options, answers)
    if (schema := _schema(body)) is not None and not _satisfies(text, schema):
        text = msgspec.json.encode(instance(schema)).decode()
    return _cut(text, body)


def _text(asked: str, model: str, options: EchoOptions, answers: dict[str, dict[str, str]]) -> str:
    for table in (answers.get(model, {}), answers.get("", {})):
        if asked in table:
            return table[asked]
    for rule in options.rules:
        if rule.matches(asked, model):
            return rule.answer
    return options.default if options.default is not None else asked


def _cut(text: str, body: dict[str, Any]) -> EchoReply:
    stops = body.get("stop") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.partition(stop)[0]
    pieces = tokens(text)
    most = body.get("max_completion_tokens") or body.get("max_tokens")
    if isinstance(most, int) and len(pieces) > most:
        return EchoReply(pieces[:most], "length")
    return EchoReply(pieces, "stop")


def _schema(body: dict[str, Any]) -> dict[str, Any] | None:
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_object":
        return {"type": "object"}
    if wanted.get("type") == "json_schema":
        schema: dict[str, Any] = (wanted.get("json_schema") or {}).get("schema") or {"type": "object"}
        return schema
    return None


def _satisfies(text: str, schema: dict[str, Any]) -> bool:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return isinstance(value, dict) and all(key in value for key in schema.get("required", []))


def _tool_call(body: dict[str, Any]) -> dict[str, Any] | None:
    """A call of the named tool (or the first) when the request demands one."""
    choice = body.get("tool_choice")
    functions = [tool["function"] for tool in body.get("tools") or [] if tool.get("type") == "function"]
    if isinstance(choice, dict):
        name = (choice.get("function") or {}).get("name")
        functions = [function for function in functions if function.get("name") == name]
    elif choice != "required":
        return None
    if not functions:
        return None
    arguments = instance(functions[0].get("parameters") or {"type": "object"})
    return {"name": functions[0]["name"], "arguments": msgspec.json.encode(arguments).decode()}


def instance(schema: dict[str, Any]) -> Any:
    """The plainest value a JSON schema allows (first enum value, empty text, zero, required keys only)."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return instance(schema[key][0])
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        return {key: instance(properties.get(key, {"type": "string"})) for key in schema.get("required", [])}
    if kind == "array":
        return [instance(schema.get("items", {})) for _ in range(schema.get("minItems", 0))]
    return {"string": "", "integer": 0, "number": 0, "boolean": False}.get(kind)


def embedding(text: str) -> list[float]:
    """A unit vector of `EMBEDDING_SIZE` that depends on the text alone."""
    data = hashlib.shake_256(text.encode()).digest(EMBEDDING_SIZE)
    vector = [byte - 127.5 for byte in data]
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector]


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


async def serve(plan: ServePlan, key: str | None) -> None:
    """Serve `plan` on its host and port until the parent closes stdin or sends SIGTERM."""
    app = EchoApp(plan, msgspec.convert(plan.options, EchoOptions), key).application()
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, plan.host, plan.port).start()
    print(f"echo listens on {plan.host}:{plan.port}", file=sys.stderr, flush=True)  # noqa: T201
    gone = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: gone.set())
    watch_parent(gone)
    await asyncio.to_thread(gone.wait)
    await runner.cleanup()


if __name__ == "__main__":
    logs.configure()
    given = msgspec.json.decode(sys.stdin.buffer.readline(), type=ServePlan)
    asyncio.run(serve(given, sys.stdin.buffer.readline().decode().strip() or None))
