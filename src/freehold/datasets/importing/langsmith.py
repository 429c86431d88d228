"""LangSmith: runs from its API, its bulk export (Parquet) or a table, and examples of its datasets.

Source of the shape: LangSmith's pages "Run (span) data format", "Bulk export trace data" and "Log LLM calls"
(docs.langchain.com/langsmith, read 2026-11) and the schemas of its SDK. Runs of type ``llm`` are calls of a model:
``inputs.messages`` as LangChain or OpenAI spell them, ``outputs.generations``, ``outputs.choices`` or a message; in
Parquet and CSV these are JSON text. Rows with ``inputs`` and ``outputs`` but no ``run_type`` are examples, whose output
is the right answer.
"""

from __future__ import annotations

from typing import Any

from freehold.datasets.importing.chats import answer_of, exchange, messages_of
from freehold.datasets.importing.importer import Importer, each, first
from freehold.datasets.importing.records import (
    BadRecord,
    Imported,
    NotWanted,
    answer_text,
    as_json,
    as_object,
    check_exchange,
    counted,
    moment,
    text_or_none,
)
from freehold.datasets.messages import message_text
from freehold.types.config import DataConfig
from freehold.wire.usage import usage_of

_SESSIONS = ("session_id", "thread_id", "conversation_id")


def claims(record: dict[str, Any]) -> bool:
    return "run_type" in record or ("inputs" in record and "outputs" in record)


def _convert(line: int, record: dict[str, Any], data: DataConfig) -> Imported:
    if "run_type" not in record:
        return _example(line, record)
    kind = str(record.get("run_type"))
    if kind != "llm":
        raise NotWanted(f"a run of type {kind}, no call of a model")
    if record.get("error"):
        raise NotWanted("the call failed")
    extra = as_object(record.get("extra"))
    metadata = as_object(extra.get("metadata"))
    invocation = as_object(extra.get("invocation_params"))
    inputs, outputs = as_object(record.get("inputs")), as_object(record.get("outputs"))
    if not inputs:
        raise BadRecord("inputs is missing")
    if not outputs:
        raise BadRecord("outputs is missing")
    model = (
        first(metadata, "ls_model_name") or first(invocation, "model", "model_name") or inputs.get("model")
    )
    found = exchange(_asked(inputs, invocation), _said(outputs), model=text_or_none(model))
    if found.response is None:
        raise BadRecord("outputs holds no answer")
    messages = check_exchange(found.request["messages"], found.response["choices"][0]["message"])
    begin, end = moment(record.get("start_time")), moment(record.get("end_time"))
    return Imported(
        line=line,
        id=text_or_none(record.get("id")),
        request={**found.request, "messages": messages},
        response=found.response,
        usage=found.usage or usage_of(outputs) or counted(record),
        at=begin,
        total_ms=None if begin is None or end is None else (end - begin).total_seconds() * 1000,
        conversation_id=text_or_none(first(metadata, *_SESSIONS) or record.get("trace_id")),
        user=text_or_none(first(metadata, "user_id", "user")),
        metadata={k: v for k, v in metadata.items() if not k.startswith(("ls_", "revision", "LANG"))},
    )


def _asked(inputs: dict[str, Any], invocation: dict[str, Any]) -> Any:
    kept = {
        name: invocation[name]
        for name in ("tools", "functions", "response_format", "tool_choice", "temperature", "max_tokens")
        if invocation.get(name) is not None
    }
    given = as_json(first(inputs, "messages", "input", "prompts", "prompt"))
    if "messages" in inputs or (isinstance(given, list) and given and not isinstance(given[0], str)):
        return {**kept, **inputs, "messages": messages_of(given)}
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    if not isinstance(given, str):
        raise BadRecord("inputs holds neither messages nor a prompt")
    return {**kept, "messages": [{"role": "user", "content": given}]}


def _said(outputs: dict[str, Any]) -> Any:
    generations = as_json(outputs.get("generations"))
    while isinstance(generations, list) and generations:
        generations = generations[0]
    if isinstance(generations, dict):
        return generations.get("message") or generations.get("text")
    return outputs.get("message") or outputs.get("messages") or outputs


def _example(line: int, record: dict[str, Any]) -> Imported:
    inputs, outputs = as_object(record.get("inputs")), as_object(record.get("outputs"))
    if not inputs or not outputs:
        raise BadRecord("an example without inputs or outputs")
    given = first(inputs, "messages", "input", "question", "prompt", "query", "text")
    if given is None and len(inputs) == 1:
        given = next(iter(inputs.values()))
    asked = _asked({"messages": given} if isinstance(as_json(given), list) else {"input": given}, inputs)
    right = _right(outputs)
    request = exchange(asked, None).request
    messages = check_exchange(request["messages"], None, has_gold=True)
    metadata = as_object(record.get("metadata"))
    split = {"test": "held_out", "validation": "validation"}.get(str(metadata.pop("dataset_split", "")))
    return Imported(
        line=line,
        id=text_or_none(record.get("id")),
        request={**request, "messages": messages},
        response=None,
        gold=right,
        at=moment(record.get("created_at")),
        metadata=metadata | ({"split": split} if split else {}),
    )


def _right(outputs: dict[str, Any]) -> str:
    if len(outputs) == 1 or outputs.keys() & {"generations", "choices", "role", "messages"}:
        only = next(iter(outputs.values()))
        if isinstance(only, str):
            return only
        answer, _ = answer_of(_said(outputs))
        text = None if answer is None else message_text(answer["choices"][0]["message"])
        if text:
            return text
    found = answer_text(first(outputs, "answer", "output", "label", "expected", "ground_truth"))
    return found if found is not None else str(answer_text(outputs))


IMPORTER = Importer(
    "langsmith",
    "LangSmith runs or examples",
    claims,
    each(
        _convert,
        {
            "asked": "inputs.messages (of runs of type llm)",
            "answer": "outputs.generations[0][0].message, outputs.choices or outputs.message",
            "right answer": "outputs (of examples)",
            "tools": "extra.invocation_params.tools",
            "when": "start_time",
            "conversation": "extra.metadata.session_id or thread_id, else trace_id",
            "user": "extra.metadata.user_id",
        },
    ),
)
