"""Remote APIs, as far as their documentation says what a client sees; echo's answers stand behind them."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from freehold.engines.echo import answer
from freehold.engines.echo.app import EchoApp
from freehold.engines.echo.options import EchoOptions
from freehold.types.endpoint import ServePlan
from freehold.wire import responses
from freehold.wire.output_schema import problem_of


class FakeOpenai(EchoApp):
    """Echo with what OpenAI has beyond it: log-probabilities, and the Responses API with its state."""

    def application(self) -> web.Application:
        app = super().application()
        app.router.add_post("/v1/responses", self._respond)
        self._kept: set[str] = set()
        return app

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if (wrong := _wrong(body)) is not None:
            said = {"message": "invalid", "type": "invalid_request_error", "param": wrong, "code": None}
            return web.json_response({"error": said}, status=400)
        wanted = body.pop("logprobs", False)
        alternatives = body.pop("top_logprobs", 0)
        request._read_bytes = json.dumps(body).encode()
        reply = await super()._chat(request)
        if not wanted or reply.status != 200:
            return reply
        said = json.loads(reply.body)
        for choice in said["choices"]:
            others = [{"token": t, "logprob": -2.0, "bytes": None} for t in "ab"][:alternatives]
            pieces = answer.tokens(choice["message"]["content"])
            choice["logprobs"] = {
                "content": [
                    {"token": piece, "logprob": -0.5, "bytes": None, "top_logprobs": others}
                    for piece in pieces
                ]
            }
        return web.json_response(said)

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        data = await request.read()
        body = json.loads(data)
        previous = body.pop("previous_response_id", None)
        if previous is not None and previous not in self._kept:
            return web.json_response({"error": {"message": "no such response", "type": "x"}}, status=404)
        asked = json.dumps(body).encode()
        request._read_bytes = responses.request_to_openai(json.dumps({**body, "stream": False}).encode())
        reply = await super()._chat(request)
        if reply.status != 200:
            return reply
        said = json.loads(responses.answer_from_openai(reply.body, asked))
        # Its ids are its own, not marked as those of a translation.
        said |= {"id": said["id"].replace("_fh_", "_"), "store": True, "previous_response_id": previous}
        self._kept.add(said["id"])
        if not body.get("stream"):
            return web.json_response(said)
        stream = responses.ResponsesStreamFromOpenai(asked)
        events = stream.feed(_as_chunks(json.loads(reply.body))) + stream.rest()
        return web.Response(body=events, content_type="text/event-stream")


def _wrong(body: dict[str, Any]) -> str | None:
    """The field that OpenAI's API would name, of those that the suite gets wrong."""
    if body.get("messages") == []:
        return "messages"
    form = body.get("response_format") or {}
    schema = (form.get("json_schema") or {}).get("schema", {})
    return None if problem_of(schema) is None else "response_format"


def _as_chunks(chat: dict[str, Any]) -> bytes:
    choice = chat["choices"][0]
    head = {"id": chat["id"], "object": "chat.completion.chunk", "model": chat["model"]}
    out = []
    for piece in answer.tokens(choice["message"].get("content") or ""):
        out.append({**head, "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
    last = [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]
    out.append({**head, "choices": last, "usage": chat["usage"]})
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in out)


class FakeAnthropic:
    """Anthropic's Messages API: required fields and headers, content blocks, events of a stream."""

    def __init__(self, model: str, context_tokens: int) -> None:
        self._model = model
        self._context_tokens = context_tokens
        self._options = EchoOptions()

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/messages", self._messages)
        app.router.add_post("/v1/messages/count_tokens", self._count)
        app.router.add_get("/v1/models", self._list)
        return app

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": self._model, "type": "model"}], "has_more": False})

    async def _count(self, request: web.Request) -> web.Response:
        body = await self._read(request, needs_length=False)
        if isinstance(body, web.Response):
            return body
        return web.json_response({"input_tokens": answer.prompt_tokens(_turns(body))})

    async def _read(self, request: web.Request, *, needs_length: bool = True) -> Any:
        if "anthropic-version" not in request.headers:
            return _error(400, "invalid_request_error", "anthropic-version: header is required")
        body = await request.json()
        if body.get("model") != self._model:
            return _error(404, "not_found_error", f"model: {body.get('model')}")
        if needs_length and not isinstance(body.get("max_tokens"), int):
            return _error(400, "invalid_request_error", "max_tokens: Field required")
        turns = body.get("messages")
        if not isinstance(turns, list) or not turns or not all(isinstance(turn, dict) for turn in turns):
            return _error(400, "invalid_request_error", "messages: Input should be a valid list")
        if any(turn.get("role") not in ("user", "assistant") for turn in turns):
            return _error(400, "invalid_request_error", "messages: Unexpected role")
        prompt = answer.prompt_tokens(_turns(body))
        if prompt > self._context_tokens:
            words = f"prompt is too long: {prompt} tokens > {self._context_tokens} maximum"
            return _error(400, "invalid_request_error", words)
        return body

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        body = await self._read(request)
        if isinstance(body, web.Response):
            return body
        block, used, reason = self._answer(body)
        word = self._stop_word(body) if reason == "end_turn" else None
        usage = {"input_tokens": answer.prompt_tokens(_turns(body)), "output_tokens": used}
        said = {
            "id": "msg_fake",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [block],
            "stop_reason": reason if word is None else "stop_sequence",
            "stop_sequence": word,
            "usage": usage,
        }
        if body.get("stream"):
            return web.Response(body=_events(said), content_type="text/event-stream")
        return web.json_response(said)

    def _stop_word(self, body: dict[str, Any]) -> str | None:
        asked = {"messages": _turns(body), "max_tokens": body["max_tokens"]}
        whole = answer.reply(asked, self._options, {}).text
        return next((word for word in body.get("stop_sequences") or () if word in whole), None)

    def _answer(self, body: dict[str, Any]) -> tuple[dict[str, Any], int, str]:
        choice = body.get("tool_choice") or {}
        tools = body.get("tools") or []
        if choice.get("type") in ("any", "tool") and tools:
            wanted = choice.get("name") or tools[0]["name"]
            tool = next(tool for tool in tools if tool["name"] == wanted)
            value = answer.instance(tool["input_schema"])
            return {"type": "tool_use", "id": "toolu_1", "name": wanted, "input": value}, 5, "tool_use"
        form = (body.get("output_config") or {}).get("format")
        asked: dict[str, Any] = {
            "messages": _turns(body),
            "stop": body.get("stop_sequences"),
            "max_tokens": body["max_tokens"],
        }
        if form:
            asked["response_format"] = {"type": "json_schema", "json_schema": {"schema": form["schema"]}}
        reply = answer.reply(asked, self._options, {})
        reason = "max_tokens" if reply.finish_reason == "length" else "end_turn"
        return {"type": "text", "text": reply.text}, len(reply.pieces), reason


def _turns(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages, results of tools as text."""
    turns = []
    for turn in body["messages"]:
        blocks = turn["content"]
        if isinstance(blocks, list):
            blocks = [part for block in blocks for part in _texts(block)]
        turns.append({"role": turn["role"], "content": blocks})
    return turns


def _texts(block: dict[str, Any]) -> list[dict[str, Any]]:
    inner = block.get("content") if block["type"] == "tool_result" else [block]
    return [{"type": "text", "text": inner}] if isinstance(inner, str) else inner


def _events(said: dict[str, Any]) -> bytes:
    block = said["content"][0]
    start = {**said, "content": [], "stop_reason": None, "usage": {**said["usage"], "output_tokens": 1}}
    out: list[dict[str, Any]] = [{"type": "message_start", "message": start}]
    if block["type"] == "text":
        opened: dict[str, Any] = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in answer.tokens(block["text"])]
    else:
        opened = {**block, "input": {}}
        text = json.dumps(block["input"])
        halves = (text[: len(text) // 2], text[len(text) // 2 :])
        deltas = [{"type": "input_json_delta", "partial_json": half} for half in halves]
    out.append({"type": "content_block_start", "index": 0, "content_block": opened})
    out.append({"type": "ping"})
    out += [{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas]
    out.append({"type": "content_block_stop", "index": 0})
    end = {"stop_reason": said["stop_reason"], "stop_sequence": said["stop_sequence"]}
    used = {"output_tokens": said["usage"]["output_tokens"]}
    out += [{"type": "message_delta", "delta": end, "usage": used}, {"type": "message_stop"}]
    return b"".join(
        b"event: " + event["type"].encode() + b"\ndata: " + json.dumps(event).encode() + b"\n\n"
        for event in out
    )


def _error(status: int, kind: str, message: str) -> web.Response:
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_fake"}
    return web.json_response(body, status=status)


class FakeOllama(EchoApp):
    """Ollama behind ``/v1``, as its compatibility page describes it: `n` is not read, and `tool_choice` neither.

    A prompt over the context is cut without a word, unless its own API is asked not to (``truncate: false``).
    """

    def __init__(self, model: str, context_tokens: int) -> None:
        super().__init__(
            ServePlan(engine="echo", model=model, context_tokens=1 << 30, parallel=4), EchoOptions()
        )
        self._context_tokens = context_tokens

    def application(self) -> web.Application:
        app = super().application()
        app.router.add_post("/api/chat", self._own_chat)
        app.router.add_get("/api/version", self._version)
        return app

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"version": "0.40.0"})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        body.pop("n", None)
        if body.pop("tool_choice", None) not in (None, "none") and body.get("tools"):
            body["tool_choice"] = "required"  # this fake's model always calls a tool when it has one
        request._read_bytes = json.dumps(body).encode()
        return await super()._chat(request)

    async def _own_chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        prompt = answer.prompt_tokens(body["messages"])
        if body.get("truncate") is False and prompt > self._context_tokens:
            words = "input length exceeds maximum context length"
            return web.json_response({"error": words}, status=400)
        said = {"model": body["model"], "message": {"role": "assistant", "content": "x"}, "done": True}
        return web.json_response({**said, "prompt_eval_count": min(prompt, self._context_tokens)})
