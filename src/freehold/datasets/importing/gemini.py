"""Gemini's requests and answers (``generateContent``), and Ollama's own answers, as a chat.

Sources of the shapes: Google's API reference, "Generating content" (ai.google.dev, read 2026-11): ``contents`` of
``parts``, ``systemInstruction``, ``tools[].functionDeclarations``, ``candidates``; python's SDK writes the same names
in snake_case. Ollama's ``/api/chat`` and ``/api/generate`` (github.com/ollama/ollama, ``docs/api.md``).
Covered: text, function calls and their results, instructions, the parameters a chat has too.
Not covered: images, sound and files, which become a part named by its type; several candidates: the first counts.
"""

from __future__ import annotations

from typing import Any

import msgspec

from freehold.datasets.importing.records import BadRecord, answer_text

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
    known = call.get("id") or f"call_{at}"
    return {
        "id": known,
        "type": "function",
        "function": {"name": function.get("name"), "arguments": arguments},
    }


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
            function = {"name": called.get("name"), "arguments": arguments}
            known = called.get("id") or f"call_{called.get('name')}"
            calls.append({"id": known, "type": "function", "function": function})
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
    if results and not texts and not calls:
        return results
    text = "".join(texts)
    content: Any = [{"type": "text", "text": text}, *others] if others else text
    turn: dict[str, Any] = {"role": "assistant" if one.get("role") == "model" else "user", "content": content}
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
