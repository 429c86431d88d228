"""Flat records: one field is asked, another is right or was answered. CSV, Parquet, Hugging Face datasets, JSON lines.

Which field is which: as `[data]` names them, else by the usual names. A label, a category or a reference counts as
right; an answer, an output, a completion or a response is what some model said. Sources of the names: Hugging Face's
page "Dataset formats" of TRL, the Alpaca records (``instruction``, ``input``, ``output``), OpenAI's former
``prompt``/``completion`` files.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from freehold.datasets.importing.chats import messages_of
from freehold.datasets.importing.importer import Columns, Each, Importer, Mapping, common
from freehold.datasets.importing.records import (
    BadRecord,
    Imported,
    answer_text,
    as_json,
    check_exchange,
    completion,
    counted,
)
from freehold.errors import InputError
from freehold.types.config import DataConfig

_ASKED = ("input", "text", "question", "prompt", "query", "instruction", "message", "utterance", "sentence",
          "content", "request")  # fmt: skip
_RIGHT = ("label", "gold", "category", "class", "intent", "target", "expected", "ideal", "reference",
          "ground_truth", "answer", "label_text", "expected_output", "reference_answer")  # fmt: skip
_SAID = (
    "incumbent",
    "output",
    "completion",
    "response",
    "prediction",
    "model_output",
    "generated",
    "generation",
)
_TOOLS = ("tools", "functions", "function")
_KNOWN = ("id", "conversation_id", "user", "at", "timestamp", "created_at", "created")


class _Fields(NamedTuple):
    """Names of the fields. `context` is text that follows the question (Alpaca's ``input``)."""

    asked: str
    right: str | None
    said: str | None
    context: str | None = None
    system: str | None = None


def claims(record: dict[str, Any]) -> bool:
    return True


def _start(data: DataConfig, columns: Columns) -> Each:
    fields = _choose(data, columns)
    source = {name: f"{value} (guessed)" for name, value in fields._asdict().items() if value is not None}
    named = {"asked": data.input, "right": data.label, "said": data.incumbent}
    source |= {name: value for name, value in named.items() if value is not None}
    mapping: Mapping = {
        people: source[name]
        for people, name in (
            ("asked", "asked"),
            ("its context", "context"),
            ("instruction", "system"),
            ("right answer", "right"),
            ("answer", "said"),
        )
        if name in source
    }
    if data.system:
        mapping["instruction"] = "[data] system"
    tools = next((name for name in _TOOLS if name in columns.names), "tools")
    used = {tools, *(name for name in fields if name is not None)}
    rest = [name for name in columns.names if name not in used and name not in _KNOWN]
    mapping |= {
        people: name
        for people, name in (("conversation", "conversation_id"), ("user", "user"), ("tools", tools))
        if name in columns.names
    }
    if rest:
        mapping["slices"] = ", ".join(rest[:8]) + (" …" if len(rest) > 8 else "")
    return Each(lambda line, record, data: _convert(line, record, data, fields), data, mapping)


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
    asked = asked or known(_ASKED, but={data.label, data.incumbent}) or "input"
    used = {asked, context}
    right = data.label or known(_RIGHT, but=used)
    said = data.incumbent or known(_SAID, but=used | {right})
    if right is None and said is None:
        right = "label"
    fields = f"{'columns' if columns.fixed else 'fields'} are: {', '.join(columns.names)}"
    if columns.names and asked not in columns.names:
        raise InputError(
            f"no field for the question; {fields}",
            hint="name them: --input and --label, or input and label in [data]"
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


def _token_columns(record: dict[str, Any]) -> dict[str, Any]:
    """The columns that count tokens by their name; `input` and `output` are texts here, whatever they hold."""
    return {name: value for name, value in record.items() if name.lower().endswith(("tokens", "_count"))}


def _list_in(record: dict[str, Any], *names: str) -> list[Any]:
    """The first of the fields that is a list (or the JSON text of one)."""
    return next((value for name in names if isinstance(value := as_json(record.get(name)), list)), [])


def _convert(line: int, record: dict[str, Any], data: DataConfig, fields: _Fields) -> Imported:
    text = as_json(record.get(fields.asked))
    if isinstance(text, list):
        turns = messages_of(text)  # TRL's conversational prompts
    elif isinstance(record.get(fields.asked), str) and record[fields.asked].strip():
        text = record[fields.asked]
        more = record.get(fields.context) if fields.context else None
        if isinstance(more, str) and more.strip():
            text = f"{text}\n\n{more}"
        turns = [{"role": "user", "content": text}]
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
    shared = common({key: record.get(key) for key in _KNOWN})
    tools = [
        one
        for one in _list_in(record, *_TOOLS)
        if isinstance(one, dict) and (one.get("name") or "function" in one)
    ]
    request: dict[str, Any] = {"model": "", "messages": messages}
    if tools:
        request["tools"] = [
            one if "function" in one else {"type": "function", "function": one} for one in tools
        ]
    used = {*fields, *_KNOWN, *(_TOOLS if tools else ())}
    shared["metadata"] = {key: value for key, value in record.items() if key not in used}
    shared["gold"] = gold
    return Imported(
        line=line,
        request=request,
        response=None if answer is None else completion(answer),
        usage=counted(record.get("usage")) or counted(_token_columns(record)),
        **shared,
    )


IMPORTER = Importer("columns", "a table (or flat JSON lines)", claims, _start)
