"""OpenAI's Evals: output items of a run from its API, rows of its data sources, and the record files of the
open-source runner.

Sources of the shapes: OpenAI's API reference, "Get eval run output items" (developers.openai.com, read 2026-11), the
types `OutputItemListResponse` and `CreateEvalJSONLRunDataSourceParam` of the `openai` package; the recorder of
github.com/openai/evals (``spec`` line, then events ``sampling`` and ``match`` that share a ``sample_id``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from freehold.datasets.importing.chats import exchange
from freehold.datasets.importing.files.reading import SourceRow
from freehold.datasets.importing.importer import Importer, Mapping, first, outcome_of
from freehold.datasets.importing.records import (
    BadRecord,
    Imported,
    NotWanted,
    RecordOutcome,
    answer_text,
    as_json,
    as_object,
    check_exchange,
    counted,
    moment,
    text_or_none,
)

_ASKED = ("input", "messages", "prompt", "question", "query", "text")
_RIGHT = (
    "ideal",
    "expected",
    "ground_truth",
    "reference_answer",
    "reference",
    "correct_label",
    "label",
    "answer",
)
_MAPPING: Mapping = {
    "asked": "sample.input, else datasource_item.input (or item.input)",
    "answer": "sample.output",
    "right answer": "datasource_item.ideal, expected, ground_truth, reference_answer, label",
    "when": "created_at",
    "slices": "other fields of datasource_item",
}


def claims(record: dict[str, Any]) -> bool:
    if record.get("object") == "eval.run.output_item" or "datasource_item" in record:
        return True
    if "spec" in record or ("sample_id" in record and "event_id" in record):
        return True
    return isinstance(record.get("item"), dict) and not (record.keys() - {"item", "sample", "id", "metadata"})


class _Converter:
    """Joins a sample's events; whatever else is a record of its own."""

    mapping = _MAPPING

    def __init__(self) -> None:
        self._open: dict[str, dict[str, Any]] = {}
        self._model: str | None = None

    def feed(self, row: SourceRow) -> Iterator[RecordOutcome]:
        value = row.value
        if value is None or not (value.keys() & {"spec", "final_report", "event_id"}):
            yield outcome_of(row, lambda value: _item(row.line, value))
            return
        if "spec" in value:
            models = as_object(value["spec"]).get("completion_fns")
            self._model = str(models[0]) if isinstance(models, list) and models else None
            return
        known, kind, data = value.get("sample_id"), value.get("type"), as_object(value.get("data"))
        if known is None or kind not in ("sampling", "match", "metrics"):
            return
        kept = self._open.setdefault(str(known), {"row": row})
        kept[str(kind)] = data
        if kind == "match" and "sampling" in kept:
            yield self._joined(str(known))

    def finish(self) -> Iterator[RecordOutcome]:
        for known in list(self._open):
            yield self._joined(known)

    def _joined(self, known: str) -> RecordOutcome:
        kept = self._open.pop(known)
        row: SourceRow = kept["row"]
        return outcome_of(row, lambda _: _events(row.line, known, kept, self._model))


def _events(line: int, known: str, kept: dict[str, Any], model: str | None) -> Imported:
    sampling, match = as_object(kept.get("sampling")), as_object(kept.get("match"))
    if not sampling:
        raise NotWanted("a result without the prompt it belongs to")
    sampled = sampling.get("sampled", match.get("sampled"))
    while isinstance(sampled, list) and sampled:
        sampled = sampled[0]
    expected = match.get("expected")
    if isinstance(expected, list) and len(expected) == 1:
        expected = expected[0]
    found = exchange({"messages": as_json(sampling.get("prompt"))}, sampled, model=model)
    answer = None if found.response is None else found.response["choices"][0]["message"]
    gold = answer_text(expected)
    if answer is None and gold is None:
        raise BadRecord("neither an answer nor an expected one")
    messages = check_exchange(found.request["messages"], answer, has_gold=gold is not None)
    return Imported(
        line=line,
        id=known,
        request={**found.request, "messages": messages},
        response=found.response,
        gold=gold,
    )


def _item(line: int, record: dict[str, Any]) -> Imported:
    sample = as_object(record.get("sample"))
    item = as_object(first(record, "datasource_item", "item"))
    if as_object(sample.get("error")).get("message") and not sample.get("output"):
        raise NotWanted("the call failed")
    inner = as_object(item.get("item")) or item  # stored completions put one into the other
    given = first(sample, "input") or first(inner, *_ASKED)
    if given is None:
        raise BadRecord("no input in sample or datasource_item")
    said = first(sample, "output", "output_text")
    gold = answer_text(first(inner, *_RIGHT))
    asked = {"messages": given} if isinstance(as_json(given), list) else given
    found = exchange(asked, said, model=text_or_none(sample.get("model")))
    answer = None if found.response is None else found.response["choices"][0]["message"]
    if answer is None and gold is None:
        raise BadRecord("neither an answer nor an expected one")
    messages = check_exchange(found.request["messages"], answer, has_gold=gold is not None)
    kept = {
        key: value
        for key, value in inner.items()
        if key not in (*_ASKED, *_RIGHT) and isinstance(value, str | int | float | bool)
    }
    return Imported(
        line=line,
        id=text_or_none(record.get("id")),
        request={**found.request, "messages": messages},
        response=found.response,
        usage=counted(sample.get("usage")),
        gold=gold,
        at=moment(record.get("created_at")),
        metadata=kept,
    )


IMPORTER = Importer("evals", "OpenAI Evals", claims, lambda data, columns: _Converter())
