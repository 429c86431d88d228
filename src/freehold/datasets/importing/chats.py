"""Requests and answers as tools log them, in whatever API they were spoken, as a chat request and a chat completion.

Covered: OpenAI chat, old function calls, Responses, text completions; Anthropic messages; streams of these; Gemini;
Ollama; LangChain's messages (serialized objects and plain dicts); messages made of typed parts (OpenTelemetry). Not
covered: images and audio of part messages, which become a part named by its type.

Sources of answers in pieces: the streams of OpenAI's chat and Responses APIs and of Anthropic's messages
(`freehold.wire`); Helicone's ``streamed_data`` (github.com/Helicone/helicone).

Sources of the shapes: Google's API reference, "Generating content" (ai.google.dev, read 2026-11): ``contents`` of
``parts``, ``systemInstruction``, ``tools[].functionDeclarations``, ``candidates``; python's SDK writes the same names
in snake_case. Ollama's ``/api/chat`` and ``/api/generate`` (github.com/ollama/ollama, ``docs/api.md``).
Covered: text, function calls and their results, instructions, the parameters a chat has too.
Not covered: images, sound and files, which become a part named by its type; several candidates: the first counts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from freehold.datasets.importing.records import BadRecord, answer_text, as_json, as_object, completion
from freehold.types.trace import Usage
from freehold.wire import anthropic, openai, responses
from freehold.wire.errors import ApiError
from freehold.wire.openai import AssembledAnswer
from freehold.wire.usage import usage_of

_FINISH = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter", "RECITATION": "content_filter"}
_PARAMETERS = {
    "temperature": "temperature",
    "topP": "top_p",
    "top_p": "top_p",
    "maxOutputTokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "seed": "seed",
}


def chat_of(asked: dict[str, Any]) -> dict[str, Any]:
    """A request with ``contents`` as a chat request. Raises `BadRecord`."""
    contents = asked.get("contents")
    if isinstance(contents, str):
        contents = [{"role": "user", "parts": [{"text": contents}]}]
    if not isinstance(contents, list):
        raise BadRecord("contents is not a list")
    settings = _first(asked, "generationConfig", "generation_config", "config") or {}
    system = _first(asked, "systemInstruction", "system_instruction") or _first(
        settings, "systemInstruction", "system_instruction"
    )
    turns: list[dict[str, Any]] = []
    if system:
        turns.append({"role": "system", "content": _text(system)})
    for number, one in enumerate(contents):
        turns += _turns(one, number)
    chat: dict[str, Any] = {"model": str(asked.get("model") or "").rpartition("/")[2], "messages": turns}
    chat |= {ours: settings[name] for name, ours in _PARAMETERS.items() if settings.get(name) is not None}
    tools = [
        {"type": "function", "function": one}
        for tool in asked.get("tools") or settings.get("tools") or ()
        for one in _first(tool, "functionDeclarations", "function_declarations") or ()
    ]
    return chat | ({"tools": tools} if tools else {})


def message_of(said: dict[str, Any]) -> tuple[dict[str, Any], str | None] | None:
    """The assistant's message of an answer and why it ended; None where it has no candidate. Raises `BadRecord`."""
    candidates = said.get("candidates")
    if not isinstance(candidates, list) or not candidates:
        return None
    content = candidates[0].get("content")
    spoken = _turns({**content, "role": "model"}, 0) if isinstance(content, dict) else []
    finish = _FINISH.get(str(_first(candidates[0], "finishReason", "finish_reason")).rpartition(".")[2])
    message = spoken[-1] if spoken else {"role": "assistant", "content": None}
    return message, "tool_calls" if message.get("tool_calls") else finish


def joined_stream(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer whose streamed chunks these are; the last chunk that counts tokens counts them all."""
    parts: list[Any] = []
    whole: dict[str, Any] = {}
    for chunk in chunks:
        candidate = (chunk.get("candidates") or [{}])[0]
        parts += (candidate.get("content") or {}).get("parts") or ()
        whole |= {name: value for name, value in chunk.items() if name != "candidates" and value is not None}
        whole["end"] = _first(candidate, "finishReason", "finish_reason") or whole.get("end")
    return whole | {"candidates": [{"content": {"parts": parts}, "finishReason": whole.pop("end", None)}]}


def ollama_message(said: dict[str, Any]) -> tuple[dict[str, Any], str | None] | None:
    """The message of Ollama's ``/api/chat`` or ``/api/generate``; None for another answer."""
    if "done" not in said:
        return None
    finish = "length" if said.get("done_reason") == "length" else None
    if isinstance(said.get("message"), dict):
        message = {**said["message"], "role": "assistant"}
        if message.get("tool_calls"):
            message["tool_calls"] = [_ollama_call(at, one) for at, one in enumerate(message["tool_calls"])]
        return message, finish
    if isinstance(said.get("response"), str):
        return {"role": "assistant", "content": said["response"]}, finish
    return None


def _ollama_call(at: int, call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    arguments = msgspec.json.encode(function.get("arguments") or {}).decode()
    return openai.function_call(call.get("id") or f"call_{at}", function.get("name"), arguments)


def _turns(one: Any, number: int) -> list[dict[str, Any]]:
    if isinstance(one, str):
        return [{"role": "user", "content": one}]
    if not isinstance(one, dict):
        raise BadRecord(f"contents[{number}] is not an object")
    texts: list[str] = []
    others: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for part in one.get("parts") or ():
        part = {"text": part} if isinstance(part, str) else part
        called = _first(part, "functionCall", "function_call")
        result = _first(part, "functionResponse", "function_response")
        if called is not None:
            arguments = msgspec.json.encode(called.get("args") or {}).decode()
            known = called.get("id") or f"call_{called.get('name')}"
            calls.append(openai.function_call(known, called.get("name"), arguments))
        elif result is not None:
            known = result.get("id") or f"call_{result.get('name')}"
            returned = answer_text(result.get("response")) or ""
            results.append({"role": "tool", "tool_call_id": known, "content": returned})
        elif part.get("thought"):
            continue
        elif isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            others.append({"type": next((str(name) for name in part), "unknown")})
    role = "assistant" if one.get("role") == "model" else "user"
    return _turns_of(role, texts, others, calls, results)


def _turns_of(
    role: str,
    texts: list[str],
    others: list[dict[str, Any]],
    calls: list[dict[str, Any]],
    results: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """The turns that the parts of one message are: results of tools come first, each by itself."""
    if results and not texts and not calls and not others:
        return results
    text = "".join(texts)
    content: Any = [{"type": "text", "text": text}, *others] if others else text
    turn: dict[str, Any] = {"role": role, "content": content}
    if calls:
        turn |= {"tool_calls": calls, "content": content or None}
    return [*results, turn]


def _text(instruction: Any) -> str:
    if isinstance(instruction, str):
        return instruction
    parts = instruction.get("parts") if isinstance(instruction, dict) else instruction
    if isinstance(parts, dict):
        parts = [parts]
    return "".join(
        part if isinstance(part, str) else str(part.get("text") or "")
        for part in (parts if isinstance(parts, list) else ())
    )


def _first(record: Any, *names: str) -> Any:
    return next((record[name] for name in names if record.get(name) is not None), None)


_ROLES = {
    "human": "user", "humanmessage": "user", "user": "user", "usermessage": "user", "humanmessagechunk": "user",
    "ai": "assistant", "aimessage": "assistant", "aimessagechunk": "assistant", "assistant": "assistant",
    "gpt": "assistant", "bot": "assistant", "chatgpt": "assistant", "model": "assistant", "chatbot": "assistant",
    "system": "system", "systemmessage": "system", "developer": "developer",
    "tool": "tool", "toolmessage": "tool", "tool_response": "tool", "observation": "tool",
    "function": "function", "functionmessage": "function",
}  # fmt: skip
_KEPT = ("tools", "response_format", "parallel_tool_calls", "tool_choice", "temperature", "top_p", "max_tokens",
         "max_completion_tokens", "stop", "reasoning_effort", "seed", "presence_penalty",
         "frequency_penalty")  # fmt: skip


class RecordedExchange(NamedTuple):
    """A chat request, and the chat completion that came back (None when nothing did)."""

    request: dict[str, Any]
    response: dict[str, Any] | None
    usage: Usage | None = None

    @property
    def message(self) -> dict[str, Any] | None:
        """The assistant's message of the answer."""
        return None if self.response is None else self.response["choices"][0]["message"]


def exchange(request: Any, response: Any, *, model: str | None = None) -> RecordedExchange:
    """Both bodies of one call, as a chat. Raises `BadRecord` for what no chat can hold."""
    asked, said = as_json(request), as_json(response)
    chat = request_of(asked, model=model)
    answer, usage = answer_of(said)
    return RecordedExchange(chat, answer, usage)


def request_of(asked: Any, *, model: str | None = None) -> dict[str, Any]:
    """A logged request as a chat request: a whole body, a list of messages, or the text asked."""
    if isinstance(asked, list):
        return {"model": model or "", "messages": messages_of(asked)}
    if isinstance(asked, str):
        if not asked.strip():
            raise BadRecord("the request is empty")
        return {"model": model or "", "messages": [{"role": "user", "content": asked}]}
    if not isinstance(asked, dict) or not asked:
        raise BadRecord("the request is missing")
    try:
        if "messages" in asked and ("system" in asked or _anthropic_tools(asked) or _blocks(asked)):
            chat = msgspec.json.decode(anthropic.read_request(msgspec.json.encode(asked)))
        elif "contents" in asked and "messages" not in asked:
            chat = chat_of(asked)
        elif "input" in asked and "messages" not in asked:
            chat = msgspec.json.decode(responses.read_request(msgspec.json.encode(asked)))
        elif "prompt" in asked and "messages" not in asked:
            prompt = as_json(asked["prompt"])
            if not isinstance(prompt, str | list):
                raise BadRecord(f"prompt is {type(prompt).__name__}, expected text")
            return {**_parameters(asked), **request_of(prompt, model=asked.get("model") or model)}
        else:
            given = as_json(asked.get("messages"))
            chat = {"model": asked.get("model"), "messages": messages_of(given), **_parameters(asked)}
    except ApiError as error:
        raise BadRecord(error.message) from None
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise BadRecord(f"the request is not as its API spells it: {error}") from None
    return {**chat, "model": str(chat.get("model") or model or "")}


def _anthropic_tools(asked: dict[str, Any]) -> bool:
    tools = asked.get("tools")
    return isinstance(tools, list) and any(isinstance(one, dict) and "input_schema" in one for one in tools)


def _blocks(asked: dict[str, Any]) -> bool:
    for message in asked["messages"] if isinstance(asked["messages"], list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and part.get("type") in ("tool_use", "tool_result", "thinking"):
                return True
    return False


def _parameters(asked: dict[str, Any]) -> dict[str, Any]:
    kept = {name: as_json(asked[name]) for name in _KEPT if asked.get(name) is not None}
    functions = as_json(asked.get("functions"))
    if isinstance(functions, list) and "tools" not in kept:
        kept["tools"] = [{"type": "function", "function": one} for one in functions]
    return kept


def answer_of(said: Any) -> tuple[dict[str, Any] | None, Usage | None]:
    """A logged answer as a chat completion: a whole body, a message, a list of them, or its text."""
    if said is None or said == "" or said == {} or said == []:
        return None, None
    whole = _joined(said)
    if whole is not None and whole.body is not None:
        said, usage = whole.body, whole.usage
        first = said["choices"][0]
        answer = _assistant(first["message"])
        return completion(answer, finish=first.get("finish_reason"), model=said.get("model")), usage
    if isinstance(said, str):
        return completion({"role": "assistant", "content": said}), None
    chunks = said.get("streamed_data") if isinstance(said, dict) else said
    if isinstance(chunks, list) and all(isinstance(one, dict) and "candidates" in one for one in chunks):
        said = joined_stream(chunks)
    if isinstance(said, list):
        turns = messages_of(said)
        if not turns:
            return None, None
        return completion(_assistant(turns[-1])), None
    if not isinstance(said, dict):
        return completion({"role": "assistant", "content": answer_text(said)}), None
    usage = _usage(said)
    choices = said.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        message = choices[0].get("message")
        if not isinstance(message, dict):
            text = choices[0].get("text")
            if not isinstance(text, str):
                raise BadRecord("response's first choice has no message")
            message = {"role": "assistant", "content": text}
        body = completion(
            _assistant(message), finish=choices[0].get("finish_reason"), model=said.get("model")
        )
        return body, usage
    if "choices" in said:
        raise BadRecord("response has no choices")
    other = message_of(said) or ollama_message(said)
    if other is not None:
        turn, finish = other
        (turn,) = messages_of([turn])
        model = said.get("modelVersion") or said.get("model_version") or said.get("model")
        return completion(_assistant(turn), finish=finish, model=model), usage
    encoded = msgspec.json.encode(said)
    if said.get("object") == "response":
        read = responses.read_answer(encoded)
        return read.body, read.usage
    if said.get("type") == "message" and isinstance(said.get("content"), list):
        read = anthropic.read_answer(encoded)
        return read.body, read.usage
    if said.keys() & {"role", "content", "tool_calls", "kwargs", "lc"}:
        (turn,) = messages_of([{"role": "assistant", **said}])
        return completion(_assistant(turn)), usage
    if isinstance(said.get("output"), str | list):
        return answer_of(said["output"])
    if "error" in said:
        raise BadRecord(f"the call failed: {str(said['error'])[:200]}")
    return completion({"role": "assistant", "content": answer_text(said)}), usage


def _usage(said: dict[str, Any]) -> Usage | None:
    """What an answer counts, wherever its API or LangChain's message puts it."""
    inner = said.get("kwargs") or said.get("data")
    if not isinstance(inner, dict):
        inner = said
    told = as_object(inner.get("response_metadata"))
    return usage_of(said) or usage_of(inner) or usage_of(told)


def _assistant(message: dict[str, Any]) -> dict[str, Any]:
    """An answer's message without what only its API needs, and with `function_call` as a tool call."""
    kept = {
        name: message[name]
        for name in ("content", "tool_calls", "refusal", "weight", "name")
        if message.get(name) is not None
    }
    call = message.get("function_call")
    if isinstance(call, dict) and call.get("name") and "tool_calls" not in kept:
        kept["tool_calls"] = [{"id": "call_1", "type": "function", "function": call}]
    return {"role": "assistant", "content": None, **kept}


def messages_of(given: Any) -> list[dict[str, Any]]:
    """Messages in any of the spellings, as the chat API's. Raises `BadRecord`."""
    given = as_json(given)
    if isinstance(given, dict) and isinstance(given.get("messages"), list):
        given = given["messages"]
    if not isinstance(given, list):
        raise BadRecord("messages is missing or not a list")
    while len(given) == 1 and isinstance(given[0], list):  # LangChain logs batches of conversations
        given = given[0]
    turns: list[dict[str, Any]] = []
    for number, message in enumerate(given):
        message = as_json(message)
        if isinstance(message, str):
            message = {"role": "user", "content": message}
        if not isinstance(message, dict):
            raise BadRecord(f"messages[{number}] is not an object")
        if isinstance(message.get("parts"), list):
            turns += _from_parts(message)
        elif message.keys() & {"kwargs", "data", "from", "value"} or (
            "role" not in message and "type" in message
        ):
            turns.append(_from_langchain(message, number))
        else:
            turns.append(message)
    return turns


def role_of(name: Any) -> str:
    """The chat API's word for a role."""
    text = str(name or "")
    return _ROLES.get(text.lower(), text)


def _from_langchain(message: dict[str, Any], number: int) -> dict[str, Any]:
    """``{"lc": 1, "type": "constructor", "id": […, "HumanMessage"], "kwargs": {…}}``, ``{"type": "human", "data":
    {…}}``, ``{"type": "human", "content": …}`` and ShareGPT's ``{"from": "human", "value": …}``."""
    if "from" in message:
        return {"role": role_of(message["from"]), "content": message.get("value")}
    inner = message.get("kwargs") or message.get("data") or message
    if not isinstance(inner, dict):
        raise BadRecord(f"messages[{number}] is not a message")
    ids = message.get("id")
    kind = ids[-1] if isinstance(ids, list) and ids else message.get("type") or inner.get("type")
    if str(kind).lower() in ("constructor", "none"):
        kind = inner.get("type") or inner.get("role") or message.get("role")
    if str(kind).lower().startswith("chatmessage"):
        kind = inner.get("role")
    turn: dict[str, Any] = {"role": role_of(kind), "content": _plain_parts(inner.get("content"))}
    extra = as_object(inner.get("additional_kwargs"))
    calls = inner.get("tool_calls") or extra.get("tool_calls")
    if calls:
        turn["tool_calls"] = [_call(call) for call in calls if isinstance(call, dict)]
        turn["content"] = turn["content"] or None
    elif isinstance(extra.get("function_call"), dict):
        turn["function_call"] = extra["function_call"]
    for name in ("name", "tool_call_id"):
        if inner.get(name) is not None:
            turn[name] = inner[name]
    return turn


def _call(call: dict[str, Any]) -> dict[str, Any]:
    if isinstance(call.get("function"), dict):
        return call
    arguments = call.get("args", call.get("arguments"))
    if not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments or {}).decode()
    return openai.function_call(call.get("id"), call.get("name"), arguments)


def _plain_parts(content: Any) -> Any:
    """Text parts of Anthropic or LangChain as one text; anything else stays."""
    if not isinstance(content, list):
        return content
    kept = [part for part in content if not (isinstance(part, dict) and part.get("type") in _UNSPOKEN)]
    if all(isinstance(part, str) or (isinstance(part, dict) and part.get("type") == "text") for part in kept):
        return "".join(part if isinstance(part, str) else str(part.get("text") or "") for part in kept)
    return kept


_UNSPOKEN = frozenset(
    {"tool_use", "tool_call", "thinking", "redacted_thinking", "reasoning", "function_call"}
)


def _from_parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    """OpenTelemetry's ``{"role": …, "parts": [{"type": "text", "content": …}, {"type": "tool_call", …}]}``."""
    texts: list[str] = []
    others: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for part in message["parts"]:
        if not isinstance(part, dict):
            raise BadRecord("a part of a message is not an object")
        match part.get("type"):
            case "text":
                texts.append(str(part.get("content", part.get("text")) or ""))
            case "tool_call":
                calls.append(_call(part))
            case "tool_call_response":
                result = answer_text(part.get("response", part.get("result"))) or ""
                results.append({"role": "tool", "tool_call_id": part.get("id"), "content": result})
            case "reasoning" | "thinking":
                continue
            case other:
                others.append({"type": str(other)})
    return _turns_of(role_of(message.get("role")), texts, others, calls, results)


_EVENTS = frozenset(
    {"message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop"}
)
_BLOCKS = frozenset({"text", "tool_use", "thinking", "redacted_thinking"})
_ITEMS = frozenset({"message", "function_call", "reasoning"})


def _joined(said: Any) -> AssembledAnswer | None:
    """The answer whose pieces `said` is; None where it is something else. Raises `BadRecord` for a stream cut off."""
    if isinstance(said, dict) and "streamed_data" in said and "choices" not in said:
        said = said["streamed_data"]
    if isinstance(said, str) and said.lstrip().startswith(("data: {", "data:{", "event: ")):
        return _stream(said.encode("utf-8", "replace"))
    if not isinstance(said, list) or not said or not all(isinstance(one, dict) for one in said):
        return None
    if any(one.get("type") in _EVENTS or _is_chunk(one) for one in said):
        return _stream(b"".join(b"data: " + msgspec.json.encode(one) + b"\n\n" for one in said))
    if any("role" in one and one.get("type") != "message" for one in said):
        return None
    kinds = {str(one.get("type")) for one in said}
    if kinds <= _BLOCKS:
        message = {"type": "message", "role": "assistant", "content": said}
        return anthropic.read_answer(msgspec.json.encode(message))
    if kinds <= _ITEMS and ("function_call" in kinds or any(_written(one) for one in said)):
        response = {"object": "response", "status": "completed", "output": said}
        return responses.read_answer(msgspec.json.encode(response))
    return None


def _is_chunk(one: dict[str, Any]) -> bool:
    choices = one.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return one.get("object") == "chat.completion.chunk" or (isinstance(first, dict) and "delta" in first)


def _written(item: dict[str, Any]) -> bool:
    content = item.get("content")
    return isinstance(content, list) and any(
        isinstance(part, dict) and part.get("type") == "output_text" for part in content
    )


def _stream(stream: bytes) -> AssembledAnswer:
    for read in (openai.read_stream, anthropic.read_stream, responses.read_stream):
        found = read(stream)
        if found.body is not None and found.body.get("choices"):
            if not found.ended:
                raise BadRecord("the answer's stream was cut off before its end")
            return found
    raise BadRecord("the answer's stream holds no answer")
