"""Formats that no tool owns: request and response, one conversation a record, and flat records and tables.

- ``pairs``: bodies as an application logged them, in any API that `chats` reads. A line of a batch job's input and the
  line of its output that has the same ``custom_id`` are a pair, too (OpenAI: ``body`` in both; Anthropic: ``params``
  and ``result.message``): its tokens are billed at the batch price.
- ``openai``: fine-tuning files and whatever else holds one conversation a line. Source: OpenAI's guides "Supervised
  fine-tuning" and "Reinforcement fine-tuning" (developers.openai.com, read 2026-11) and the `openai` package's types:
  ``messages`` with an optional `weight` of 0 or 1 on assistant messages, ``tools``, ``parallel_tool_calls``, formerly
  ``functions``; reinforcement files end with the user and carry ``reference_answer``. ShareGPT's ``conversations`` of
  ``{"from", "value"}`` are read too.
- ``columns``: one field is asked, another is right or was answered. Which is which: as `[data]` names them, else by the
  usual names. A label, a category or a reference counts as right; an answer, an output, a completion or a response is
  what some model said. Sources of the names: Hugging Face's page "Dataset formats" of TRL, the Alpaca records
  (``instruction``, ``input``, ``output``), OpenAI's former ``prompt``/``completion`` files.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from freehold.datasets.importing.chats import exchange, messages_of, request_of
from freehold.datasets.importing.importer import (
    DURATIONS,
    TIMES,
    Columns,
    Importer,
    Mapping,
    ReadPlan,
    common,
    each,
    pick,
)
from freehold.datasets.importing.records import (
    BadRecord,
    Imported,
    answer_text,
    answered_at,
    as_json,
    check_exchange,
    completion,
    counted,
    text_or_none,
)
from freehold.datasets.messages import modern
from freehold.errors import InputError
from freehold.types.config import DataConfig

Record = dict[str, Any]

_PARAMETERS = ("model", "tools", "functions", "response_format", "parallel_tool_calls", "tool_choice", "temperature",
               "top_p", "max_tokens", "max_completion_tokens", "stop", "reasoning_effort")  # fmt: skip
_ASKED = ("messages", "system", "seed", *_PARAMETERS)
"""Keys of a chat request that may lie in the record itself."""


def _is_pair(record: Record) -> bool:
    return isinstance(as_json(record.get("request")), dict) or _is_flat(record)


def _is_flat(record: Record) -> bool:
    """The request's keys lie in the record itself, next to the response: so gateways' call-backs are dumped."""
    response = as_json(record.get("response"))
    answers = isinstance(response, dict) and any(key in response for key in ("choices", "content", "output"))
    return "request" not in record and answers and isinstance(as_json(record.get("messages")), list)


def _pair(line: int, record: Record) -> Imported:
    request, response = as_json(record.get("request")), as_json(record.get("response"))
    if _is_flat(record):
        request = {
            key: as_json(record[key]) if key in ("messages", "tools") else record[key]
            for key in _ASKED
            if key in record
        }
    if not isinstance(request, dict):
        raise BadRecord("request is not an object")
    is_batch = "custom_id" in request
    if is_batch:
        request, response = _out_of_a_batch(request, response)
    if response is None and record.get("gold") is None:
        raise BadRecord("neither a response nor a gold answer")
    if response is not None and not isinstance(response, dict):
        raise BadRecord("response is not an object")
    found = exchange(request, response)
    usage = found.usage or counted(record.get("usage"))
    if is_batch and usage is not None:
        usage = msgspec.structs.replace(usage, service_tier="batch")
    fields = common(record)
    fields["at"] = fields["at"] or answered_at(response)
    messages = check_exchange(found.request["messages"], found.message, has_gold=fields["gold"] is not None)
    return Imported(
        line=line,
        # The whole request is kept: it says how the application asks.
        request={**request, **found.request, "messages": messages},
        response=None if found.response is None else {**(response or {}), **found.response},
        usage=usage,
        **fields,
    )


def _out_of_a_batch(request: Record, response: Any) -> tuple[Record, Any]:
    """Both bodies, taken out of the lines of a batch job's files. Raises `BadRecord` for a request that failed."""
    asked = request.get("body") or request.get("params")
    if not isinstance(asked, dict):
        raise BadRecord("a batch request without body or params")
    said = response if isinstance(response, dict) else {}
    for name in ("response", "result"):
        said = said[name] if isinstance(said.get(name), dict) else said
    found = said.get("body") or said.get("message")
    if not isinstance(found, dict):
        raise BadRecord(
            f"the request failed in its batch: {str(said.get('error') or said.get('type'))[:200]}"
        )
    return asked, found


PAIRS = Importer(
    "pairs",
    "request/response pairs",
    _is_pair,
    lambda data, columns: ReadPlan(
        {
            "asked": "request.messages",
            "answer": "response.choices[0].message",
            "right answer": "gold",
            "conversation": "conversation_id",
            "when": "at, timestamp, created_at, ts, time or startTime, else response.created",
            "user": "user",
        },
        each(_pair),
    ),
)


_CONVERSATION = "messages | conversations"
_OTHER_RIGHT = ("gold", "reference_answer", "expected", "ideal", "label", "answer")
_USED = frozenset({"messages", "conversations", "id", "conversation_id", "user", "metadata", "gold", "system",
                   *_PARAMETERS})  # fmt: skip


def _conversation(line: int, record: Record) -> Imported:
    turns = modern(messages_of(pick(record, _CONVERSATION) or []))
    if isinstance(record.get("system"), str) and (not turns or turns[0].get("role") != "system"):
        turns = [{"role": "system", "content": record["system"]}, *turns]
    fields = common(record)
    if not turns:
        raise BadRecord("messages is missing or empty")
    answer = turns.pop() if turns[-1].get("role") == "assistant" else None
    if answer is None:
        fields["gold"] = answer_text(pick(record, " | ".join(_OTHER_RIGHT)))
        if fields["gold"] is None:
            check_exchange(turns, None)
            raise BadRecord("the last message is not from the assistant, and there is no right answer")
    elif not turns:
        raise BadRecord("no user message before the assistant's answer")
    used = _USED if answer is not None else _USED.union(_OTHER_RIGHT)
    used = used.union(TIMES if fields["at"] else (), DURATIONS if fields["total_ms"] is not None else ())
    fields["metadata"] |= {
        key: value
        for key, value in record.items()
        if key not in used and isinstance(value, str | int | float | bool)
    }
    messages = check_exchange(turns, answer, has_gold=fields["gold"] is not None)
    asked = {key: value for key, value in record.items() if key not in ("conversations", "system")}
    return Imported(
        line=line,
        request=request_of({**asked, "messages": []}) | {"messages": messages},
        response=None if answer is None else completion(answer),
        usage=counted(record.get("usage")),
        **fields,
    )


OPENAI = Importer(
    "openai",
    "OpenAI fine-tuning or chat messages",
    lambda record: isinstance(as_json(pick(record, _CONVERSATION)), list),
    lambda data, columns: ReadPlan(
        {
            "asked": "messages (all but the last)",
            "answer": "messages (the last, from the assistant)",
            "right answer": "gold or reference_answer",
            "tools": "tools (or functions)",
            "answer's schema": "response_format",
            "learned or not": "messages[].weight",
            "when": "at, timestamp, created_at, ts, time or startTime",
            "conversation": "conversation_id",
            "user": "user",
        },
        each(_conversation),
    ),
)


_QUESTIONS = ("input", "text", "question", "prompt", "query", "instruction", "message", "utterance", "sentence",
              "content", "request")  # fmt: skip
_RIGHT = ("label", "gold", "category", "class", "intent", "target", "expected", "ideal", "reference",
          "ground_truth", "answer", "label_text", "expected_output", "reference_answer")  # fmt: skip
_SAID = ("incumbent", "output", "completion", "response", "prediction", "model_output", "generated",
         "generation")  # fmt: skip
_TOOLS = ("tools", "functions", "function")
_KNOWN = ("id", "conversation_id", "user")


def _is_count(name: str) -> bool:
    """Whether a column counts tokens by its name; `input` and `output` are texts here, whatever they hold."""
    return name.lower().endswith(("tokens", "_count"))


def _is_of_calls(names: Iterable[str]) -> bool:
    """Whether a column `model` is of the model that was asked: a table of cars has one, too."""
    return any(name in DURATIONS or _is_count(name) for name in names)


class _Fields(NamedTuple):
    """Names of the fields. `context` is text that follows the question (Alpaca's ``input``)."""

    asked: str
    right: str | None
    said: str | None
    context: str | None = None
    system: str | None = None


def _start(data: DataConfig, columns: Columns) -> ReadPlan:
    fields = _choose(data, columns)
    named = {"asked": data.input, "right": data.label, "said": data.incumbent}
    tools = next((name for name in _TOOLS if name in columns.names), "tools")
    mapping: Mapping = {
        people: named.get(name) or f"{getattr(fields, name)} (guessed)"
        for people, name in (
            ("asked", "asked"),
            ("its context", "context"),
            ("instruction", "system"),
            ("right answer", "right"),
            ("answer", "said"),
        )
        if getattr(fields, name) is not None
    }
    if data.system:
        mapping["instruction"] = "[data] system"
    mapping |= {
        people: name
        for people, name in (
            ("conversation", "conversation_id"),
            ("user", "user"),
            ("tools", tools),
            *(("when", name) for name in reversed(TIMES)),
        )
        if name in columns.names
    }
    of_calls = []
    if _is_of_calls(columns.names):
        of_calls = [name for name in columns.names if name in ("model", *DURATIONS) or _is_count(name)]
        mapping["the call"] = ", ".join(of_calls)
    rest = [name for name in columns.names if name not in (tools, *fields, *_KNOWN, *TIMES, *of_calls)]
    if rest:
        mapping["slices"] = ", ".join(rest[:8]) + (" …" if len(rest) > 8 else "")
    return ReadPlan(mapping, each(lambda line, record: _flat(line, record, data, fields)))


def _choose(data: DataConfig, columns: Columns) -> _Fields:
    lower = {name.lower(): name for name in reversed(columns.names)}

    def known(names: tuple[str, ...], *, but: set[str | None]) -> str | None:
        return next((lower[name] for name in names if name in lower and lower[name] not in but), None)

    if columns.fixed:
        for wanted in (data.input, data.label, data.incumbent):
            if wanted is not None and wanted not in columns.names:
                raise InputError(
                    f"no column {wanted!r}; columns are: {', '.join(columns.names) or 'none'}",
                    line=1,
                    hint="name the columns in [data] input and label",
                )
    context = None
    asked = data.input
    if asked is None and "instruction" in lower and "input" in lower:
        asked, context = lower["instruction"], lower["input"]  # Alpaca
    asked = asked or known(_QUESTIONS, but={data.label, data.incumbent}) or "input"
    used = {asked, context}
    right = data.label or known(_RIGHT, but=used)
    said = data.incumbent or known(_SAID, but=used | {right})
    if right is None and said is None:
        right = "label"
    fields = f"{'columns' if columns.fixed else 'fields'} are: {', '.join(columns.names)}"
    if columns.names and asked not in columns.names:
        raise InputError(
            f"no field for the question; {fields}",
            hint="name them: input and label in [data]"
            + ("; if the first line is not a header, put one above it" if columns.fixed else ""),
        )
    guessed = data.label is None and data.incumbent is None
    if columns.names and (columns.fixed or guessed) and not {right, said} & {*columns.names}:
        raise InputError(
            f"no field for the answer; {fields}",
            hint="name it: --label (what is right) or --incumbent (what a model said), or in [data]",
        )
    system = lower.get("system") if data.system is None else None
    return _Fields(asked, right, said, context, system)


def _flat(line: int, record: Record, data: DataConfig, fields: _Fields) -> Imported:
    text = as_json(record.get(fields.asked))
    if isinstance(text, list):
        turns = messages_of(text)  # TRL's conversational prompts
    elif isinstance(record.get(fields.asked), str) and record[fields.asked].strip():
        more = record.get(fields.context) if fields.context else None
        parts = [record[fields.asked], *([more] if isinstance(more, str) and more.strip() else [])]
        turns = [{"role": "user", "content": "\n\n".join(parts)}]
    else:
        raise BadRecord(f"field {fields.asked!r} is missing or empty")
    gold = answer_text(record.get(fields.right)) if fields.right else None
    said = as_json(record.get(fields.said)) if fields.said else None
    answer = None
    if isinstance(said, list) and said and isinstance(said[-1], dict):
        answer = {"role": "assistant", **said[-1]}
    elif fields.said and record.get(fields.said) is not None:
        answer = {"role": "assistant", "content": answer_text(record[fields.said])}
    if gold is None and answer is None and not data.unlabelled:
        raise BadRecord(f"field {fields.right or fields.said!r} is missing")
    system = data.system or (record.get(fields.system) if fields.system else None)
    if isinstance(system, str) and system:
        turns = [{"role": "system", "content": system}, *turns]
    messages = check_exchange(turns, answer, has_gold=gold is not None or answer is None)
    listed = next((one for name in _TOOLS if isinstance(one := as_json(record.get(name)), list)), [])
    tools = [
        one if "function" in one else {"type": "function", "function": one}
        for one in listed
        if isinstance(one, dict) and (one.get("name") or "function" in one)
    ]
    used = {*fields, *_KNOWN, *(_TOOLS if tools else ())}
    counts = {name: value for name, value in record.items() if _is_count(name)}
    model = ""
    if _is_of_calls(record):
        used |= {"model", *DURATIONS, *counts}
        model = text_or_none(record.get("model")) or ""
    shared = common({key: record.get(key) for key in (*_KNOWN, *TIMES, *DURATIONS)})
    used |= set(TIMES if shared["at"] else ())
    shared |= {
        "gold": gold,
        "metadata": {key: value for key, value in record.items() if key not in used},
    }
    return Imported(
        line=line,
        request={"model": model, "messages": messages} | ({"tools": tools} if tools else {}),
        response=None if answer is None else completion(answer),
        usage=counted(record.get("usage")) or counted(counts),
        **shared,
    )


COLUMNS = Importer("columns", "a table (or flat JSON lines)", lambda record: True, _start)
