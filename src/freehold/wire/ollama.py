"""Ollama's API, translated to and from OpenAI's.

Covered: chat, generate and embed with options, images, tools, JSON schemas, streams of JSON lines.
Not covered (refused): generate's ``raw``, ``template``, ``suffix`` and ``context``, which only Ollama knows; thinking
switched on (its levels are passed on); log-probabilities; options of sampling that OpenAI's API has no word for.
Left aside: options of how Ollama runs a model (``num_ctx``, ``num_gpu`` …), which the engine here has its own for, and
fields Ollama does not know, which it leaves aside as well.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from freehold.wire import openai, sse
from freehold.wire.errors import ApiError, cut_off

_SAME_OPTIONS = (
    *("temperature", "top_p", "top_k", "min_p", "seed", "stop"),
    *("frequency_penalty", "presence_penalty", "repeat_penalty", "repeat_last_n"),
)
_OPTIONS = {name: name for name in _SAME_OPTIONS} | {"num_predict": "max_tokens"}
# What Ollama does not know it passes over itself.
_NO_WORD_FOR = ("logprobs", "top_logprobs")
_NO_OPTION_FOR = {
    "mirostat": 0,
    "mirostat_eta": None,
    "mirostat_tau": None,
    "tfs_z": 1,
    "typical_p": 1,
    "penalize_newline": True,
}
_EFFORTS = ("low", "medium", "high")


def chat_to_openai(body: bytes) -> bytes:
    """``/api/chat`` as a chat request. Ollama streams unless told not to."""
    asked = _object(body)
    given = asked.get("messages") or []
    if not isinstance(given, list):
        raise ApiError(400, "messages must be a list")
    messages = [_message(message) for message in given]
    _join_results(messages, given)
    return _chat(asked, messages)


def generate_to_openai(body: bytes) -> bytes:
    """``/api/generate`` as a chat request with one user message."""
    asked = _object(body)
    for name in ("raw", "template", "suffix", "context"):
        if asked.get(name):
            raise ApiError(400, f"{name} is not possible here; use /api/chat")
    if not asked.get("prompt") and not asked.get("images"):
        return _chat(asked, [])
    messages = [{"role": "system", "content": asked["system"]}] if asked.get("system") else []
    messages.append(
        _message({"role": "user", "content": asked.get("prompt") or "", "images": asked.get("images")})
    )
    return _chat(asked, messages)


def chat_loaded(chat: bytes, *, generate: bool = False) -> bytes | None:
    """The answer to a chat request (as read from Ollama's) without messages, which asks for the model to be loaded, as
    all that are served are. None for others."""
    if b'"messages":[]' not in chat or bytes(openai.raw_fields(chat)["messages"]) != b"[]":
        return None
    head = {"model": openai.peek(chat).model, "created_at": _now()}
    return msgspec.json.encode({**head, **_said({}, generate=generate), "done": True, "done_reason": "load"})


def generate_loaded(chat: bytes) -> bytes | None:
    return chat_loaded(chat, generate=True)


def probe_from_openai(body: bytes) -> bytes:
    """The chat request that reads the same prompt and writes one token, and is an error where it does not fit.

    Through OpenAI's API Ollama silently cuts a prompt over the context; only its own API can be asked not to.
    """
    chat = msgspec.json.decode(body)
    messages = []
    given = chat.get("messages") or [{"role": "user", "content": chat.get("prompt")}]
    for message in given:
        content = message.get("content")
        said = {"role": message.get("role"), "content": content if isinstance(content, str) else ""}
        if isinstance(content, list):
            parts = [part for part in content if isinstance(part, dict)]
            said["content"] = "\n".join(part["text"] for part in parts if part.get("type") == "text")
            urls = [part["image_url"]["url"] for part in parts if part.get("type") == "image_url"]
            if images := [url.partition(",")[2] for url in urls if url.startswith("data:")]:
                said["images"] = images
        if message.get("tool_calls"):
            said["tool_calls"] = [
                {
                    "function": {
                        "name": call["function"].get("name"),
                        "arguments": _arguments(call["function"]),
                    }
                }
                for call in message["tool_calls"]
            ]
        messages.append(said)
    asked = {"model": chat.get("model"), "messages": messages, "options": {"num_predict": 1}}
    if chat.get("tools"):
        asked["tools"] = chat["tools"]
    return msgspec.json.encode({**asked, "stream": False, "truncate": False, "shift": False})


def probed_tokens(body: bytes) -> int | None:
    """How many tokens the prompt of a probe had."""
    counted = msgspec.json.decode(body).get("prompt_eval_count")
    return counted if isinstance(counted, int) else None


def embed_to_openai(body: bytes) -> bytes:
    """``/api/embed`` and the older ``/api/embeddings`` as an embeddings request."""
    asked = _object(body)
    embed = {"model": asked.get("model"), "input": asked.get("input", asked.get("prompt", ""))}
    if asked.get("dimensions"):
        embed["dimensions"] = asked["dimensions"]
    return msgspec.json.encode(embed)


API_VERSION = "0.9.0"


def tag(name: str, modified_at: int) -> dict[str, Any]:
    """One line of ``/api/tags``."""
    at = datetime.fromtimestamp(modified_at, UTC).isoformat().replace("+00:00", "Z")
    return {"name": name, "model": name, "modified_at": at, "size": 0, "digest": "", "details": _DETAILS}


def running(name: str, started_at: int) -> dict[str, Any]:
    """One line of ``/api/ps``: it stays, so the time at which it would be unloaded is far (as Ollama says it of
    ``keep_alive: -1``, three centuries from its start)."""
    line = {key: value for key, value in tag(name, started_at).items() if key != "modified_at"}
    return {**line, "expires_at": _NEVER, "size_vram": 0}


def shown_model(body: bytes) -> str:
    """Which model ``/api/show`` is about."""
    asked = _object(body)
    name = asked.get("model") or asked.get("name")
    if not isinstance(name, str):
        raise ApiError(400, "model is missing")
    return name


def show(name: str) -> dict[str, Any]:
    """What ``/api/show`` says; weights are not looked into here."""
    return {
        "modelfile": f"FROM {name}",
        "parameters": "",
        "template": "",
        "details": _DETAILS,
        "model_info": {},
        "capabilities": ["completion"],
    }


_NEVER = "2318-01-01T00:00:00Z"
_DETAILS = {
    "parent_model": "",
    "format": "",
    "family": "",
    "families": [],
    "parameter_size": "",
    "quantization_level": "",
}


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"the request body is not a JSON object: {error}") from None
    if not isinstance(value, dict):
        raise ApiError(400, "the request body is not a JSON object")
    return value


def _chat(asked: dict[str, Any], messages: list[dict[str, Any]]) -> bytes:
    for name in _NO_WORD_FOR:
        if asked.get(name):
            raise ApiError(400, f"{name} is possible with /v1/chat/completions only")
    chat: dict[str, Any] = {"model": asked.get("model"), "messages": messages}
    options = asked.get("options")
    for name, value in (options if isinstance(options, dict) else {}).items():
        if name in _OPTIONS and not (name == "num_predict" and value < 0):
            chat[_OPTIONS[name]] = value
        if name in _NO_OPTION_FOR and value not in (None, _NO_OPTION_FOR[name]):
            raise ApiError(400, f"the option {name[:100]} is not possible with the API behind this address")
    if asked.get("think") in _EFFORTS:
        chat["reasoning_effort"] = asked["think"]
    elif asked.get("think"):
        raise ApiError(
            400,
            "thinking cannot be switched on with the API behind this address; leave think out and the model decides, "
            "or send low, medium or high",
        )
    if asked.get("tools"):
        chat["tools"] = asked["tools"]
    form = asked.get("format")
    if form == "json":
        chat["response_format"] = {"type": "json_object"}
    elif isinstance(form, dict):
        chat["response_format"] = {"type": "json_schema", "json_schema": {"name": "format", "schema": form}}
    elif form not in (None, ""):
        raise ApiError(400, "format: expected json or a JSON schema", param="format")
    if asked.get("stream") is not False:
        chat["stream"] = True
        chat["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(chat)


def _message(message: Any) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise ApiError(400, "messages: expected objects")
    chat: dict[str, Any] = {"role": message.get("role"), "content": message.get("content") or ""}
    if message.get("images"):
        parts: list[dict[str, Any]] = [{"type": "text", "text": chat["content"]}]
        for image in message["images"]:
            parts.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}})
        chat["content"] = parts
    if message.get("tool_calls"):
        functions = [(call.get("id"), call.get("function") or {}) for call in message["tool_calls"]]
        chat["tool_calls"] = [
            openai.function_call(
                id, said.get("name"), msgspec.json.encode(said.get("arguments") or {}).decode()
            )
            for id, said in functions
        ]
    return chat


def _join_results(messages: list[dict[str, Any]], given: list[Any]) -> None:
    """Say of each tool's result which call it answers. Ollama's calls have no ids: results name the tool, or follow
    the order of the calls."""
    made = 0
    waiting: list[dict[str, Any]] = []
    for message, said in zip(messages, given, strict=True):
        for call in message.get("tool_calls") or ():
            call["id"] = call["id"] or f"call_{made}"
            made += 1
            waiting.append(call)
        if message["role"] != "tool":
            continue
        wanted = said.get("tool_call_id")
        name = said.get("tool_name") or said.get("name")
        answered = next((call for call in waiting if call["id"] == wanted), None) or next(
            (call for call in waiting if name in (None, call["function"]["name"])), None
        )
        if answered is None:
            raise ApiError(400, f"a result of the tool {str(name)[:100]} answers no call before it")
        waiting.remove(answered)
        message["tool_call_id"] = answered["id"]


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _said(message: dict[str, Any], *, generate: bool) -> dict[str, Any]:
    text = openai.said_in(message)
    if generate:
        return {"response": text}
    said: dict[str, Any] = {"role": "assistant", "content": text}
    calls = [
        {"function": {"name": call["function"].get("name"), "arguments": _arguments(call["function"])}}
        for call in message.get("tool_calls") or ()
    ]
    if calls:
        said["tool_calls"] = calls
    return {"message": said}


def _arguments(function: dict[str, Any]) -> Any:
    try:
        return msgspec.json.decode(function.get("arguments") or "{}")
    except (msgspec.DecodeError, TypeError):
        raise ApiError(502, "the model called a tool with arguments that are not JSON") from None


def _end(finish: str | None, usage: Any, timings: Any) -> dict[str, Any]:
    """How an answer ended. Durations are nanoseconds, and there where the engine tells its own (llama.cpp's `timings`,
    milliseconds, less than centuries): clients divide by them."""
    counted = usage if isinstance(usage, dict) else {}
    end = {
        "done": True,
        "done_reason": "length" if finish == "length" else "stop",
        "prompt_eval_count": counted.get("prompt_tokens") or 0,
        "eval_count": counted.get("completion_tokens") or 0,
    }
    told = timings if isinstance(timings, dict) else {}
    spent = [told.get(name) for name in ("prompt_ms", "predicted_ms")]
    read_ns, written_ns = (
        int(one * 1e6) if isinstance(one, int | float) and 0 <= one < 1e12 else -1 for one in spent
    )
    if min(read_ns, written_ns) >= 0:
        end |= {
            "total_duration": read_ns + written_ns,
            "prompt_eval_duration": read_ns,
            "eval_duration": written_ns,
        }
    return end


def chat_from_openai(body: bytes, request: bytes, *, generate: bool = False) -> bytes:
    """A chat completion as ``/api/chat`` (or ``/api/generate``) answers it."""
    chat = msgspec.json.decode(body)
    choice = openai.first_choice(chat)
    said = _said(choice.get("message") or {}, generate=generate)
    head = {"model": openai.peek(request).model, "created_at": _now()}
    end = _end(choice.get("finish_reason"), chat.get("usage"), chat.get("timings"))
    return msgspec.json.encode({**head, **said, **end})


def generate_from_openai(body: bytes, request: bytes) -> bytes:
    return chat_from_openai(body, request, generate=True)


def embed_from_openai(body: bytes, request: bytes) -> bytes:
    """Embeddings as ``/api/embed`` answers them."""
    made = msgspec.json.decode(body)
    rows = sorted(made.get("data") or (), key=lambda row: row.get("index") or 0)
    usage = made.get("usage") or {}
    return msgspec.json.encode(
        {
            "model": openai.peek(request).model,
            "embeddings": [row.get("embedding") for row in rows],
            "prompt_eval_count": usage.get("prompt_tokens") or 0,
        }
    )


def old_embedding_from_openai(body: bytes, request: bytes) -> bytes:
    """The one embedding that ``/api/embeddings`` answers."""
    made = msgspec.json.decode(embed_from_openai(body, request))
    return msgspec.json.encode({"embedding": (made["embeddings"] or [[]])[0]})


class OllamaStreamFromOpenai(sse.TranslatedStream):
    """A chat completion stream as lines of JSON. Tool calls come whole, at the end."""

    def __init__(self, request: bytes, *, generate: bool = False) -> None:
        super().__init__()
        self._model = openai.peek(request).model
        self._generate = generate
        self._all: list[bytes] = []
        self._timings: Any = None

    def feed(self, data: bytes) -> bytes:
        self._all.append(data)
        return super().feed(data)

    def rest(self) -> bytes:
        answer = openai.read_stream(b"".join(self._all))
        if not answer.ended:
            raise cut_off()
        body = answer.body or {}
        calls = ((body.get("choices") or [{}])[0].get("message") or {}).get("tool_calls")
        if calls and not self._generate:
            self._line({**_said({"tool_calls": calls}, generate=False), "done": False})
        last = _said({}, generate=self._generate)
        self._line({**last, **_end(answer.finish_reason, body.get("usage"), self._timings)})
        return self._sent()

    def broken(self, error: bytes) -> bytes:
        return error + b"\n"

    def _take(self, chunk: dict[str, Any], /) -> None:
        if chunk.get("error"):
            raise openai.stopped_with(chunk)
        self._timings = chunk.get("timings") or self._timings
        for choice in (chunk.get("choices") or ())[:1]:
            if text := openai.said_in(choice.get("delta") or {}):
                self._line({**_said({"content": text}, generate=self._generate), "done": False})

    def _line(self, body: dict[str, Any]) -> None:
        self._out.append(msgspec.json.encode({"model": self._model, "created_at": _now(), **body}) + b"\n")


class GenerateStreamFromOpenai(OllamaStreamFromOpenai):
    """The same for ``/api/generate``."""

    def __init__(self, request: bytes) -> None:
        super().__init__(request, generate=True)
