"""Pieces of exports that several tools write, and one file read to its end."""

import json

from freehold.datasets import importing
from freehold.datasets.importing import Imported
from freehold.types.config import DataConfig

ASKED = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "where is my lamp"}]


TOOL = {
    "type": "function",
    "function": {"name": "find", "description": "d", "parameters": {"type": "object"}},
}


CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"q": "lamp"}'}}


SAID = {"role": "assistant", "content": "on its way"}


COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1760000000,
    "model": "gpt-4o",
    "choices": [{"index": 0, "message": {**SAID, "refusal": None}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3},
}


def read(tmp_path, *records, name="a.jsonl", **data):
    path = write(tmp_path / name, *records)
    return importing.sniff(path).importer.name, list(importing.read(path, DataConfig(**data)))


def one(tmp_path, record, **data):
    format, (found,) = read(tmp_path, record, **data)
    assert isinstance(found, Imported), found
    return format, found


def answer(found):
    return found.response["choices"][0]["message"]


GENERATION = {
    "id": "g1", "traceId": "t1", "type": "GENERATION", "name": "answer", "startTime": "2026-05-01T10:00:00.000Z",
    "model": "gpt-4o", "modelParameters": {"temperature": "0"}, "level": "DEFAULT", "metadata": {"tenant": "a"},
    "usageDetails": {"input": 9, "output": 3}, "input": {"messages": ASKED, "tools": [TOOL]}, "output": SAID,
}  # fmt: skip


def attribute(key, value):
    if isinstance(value, str):
        return {"key": key, "value": {"stringValue": value}}
    if isinstance(value, int):
        return {"key": key, "value": {"intValue": str(value)}}
    if isinstance(value, list):
        return {"key": key, "value": {"arrayValue": {"values": [attribute("", v)["value"] for v in value]}}}
    return {"key": key, "value": {"kvlistValue": {"values": [attribute(k, v) for k, v in value.items()]}}}


def spans(*attribute_sets, **more):
    made = [
        {"traceId": "t1", "spanId": f"s{n}", "name": "chat", "startTimeUnixNano": "1760000000000000000",
         "endTimeUnixNano": "1760000000500000000", "attributes": [attribute(k, v) for k, v in one.items()], **more}
        for n, one in enumerate(attribute_sets)
    ]  # fmt: skip
    return {"resourceSpans": [{"scopeSpans": [{"spans": made}]}]}


CHAT = {"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]}


PAIR = {
    "id": "a",
    "request": {"model": "m", "messages": [{"role": "user", "content": "hello"}]},
    "response": {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}]},
    "gold": {"intent": "greeting"},
    "conversation_id": 7,
    "metadata": {"language": "en"},
}


def write(path, *records):
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records))
    return path
