"""What is known of a task's answers without reading a model's: their form, and how it is said in plain words."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from freehold.types.dataset import Sample
from freehold.types.evaluation import Task

_MOST_LABELS = 256
_MOST_VALUES = 24
"""A field with more different values is described by its type."""
_REPEATS = 4
"""A set of values is taken for closed where each comes this often on average."""
_LONGEST_VALUE = 60
_AND_NOTHING_ELSE = "and nothing else, without an explanation or a code fence."
_STAND_INS: dict[str, Any] = {
    "a text": "...", "a number": 0, "true or false": False, "a list": [], "an object": {}, "null": None,
}  # fmt: skip
"""What a field may hold, in words, and what stands for it in a pattern."""


class StatedForm(NamedTuple):
    """How answers look. `statement` goes into the system prompt, `reminder` ends the last user message; None where
    there is nothing to say. `values` are texts that any prompt for the task may name: labels, keys, closed sets."""

    noun: str
    statement: str | None = None
    reminder: str | None = None
    values: tuple[str, ...] = ()

    def stated_in(self, system: str) -> bool:
        """Whether a system prompt names all of them already."""
        return bool(self.values) and all(value in system for value in self.values)


FREE = StatedForm("form")


def form_of(task: Task, samples: Sequence[Sample]) -> StatedForm:
    """The form of a task's answers, by its scorer's options and the training samples."""
    targets = [one.target for one in samples if one.target]
    if task.scorer == "label":
        return _of_labels(_labels(task.options.get("labels") or (), targets))
    if task.scorer == "exact":
        return _of_labels(closed_set(targets))
    if task.scorer == "json_fields":
        return _of_json(task.options, samples, targets)
    if task.scorer == "numeric":
        marker = task.options.get("after")
        said = (
            f'End the answer with "{marker}" and the number.'
            if marker
            else "Answer with the number and nothing else."
        )
        return StatedForm("number", None, said)
    return FREE


def closed_set(values: Sequence[str], most: int = _MOST_LABELS) -> tuple[str, ...]:
    """The different values, where there are few and they repeat; empty where the set is not closed."""
    counted = Counter(value.strip() for value in values)
    if not counted or len(counted) > most or len(values) < _REPEATS * len(counted):
        return ()
    if max(map(len, counted)) > _LONGEST_VALUE:
        return ()
    return tuple(sorted(counted))


def _labels(stated: Sequence[str], targets: Sequence[str]) -> tuple[str, ...]:
    """The labels as they were taught, which may be spelled otherwise than the task does."""
    seen = Counter(target.strip() for target in targets)
    if not stated:
        return closed_set(targets)
    spelled = {_plain(text): text for text, _ in reversed(seen.most_common())}
    return tuple(spelled.get(_plain(label), label) for label in stated)


def _plain(label: str) -> str:
    return " ".join(label.casefold().replace("_", " ").replace("-", " ").split())


def _of_labels(labels: Sequence[str]) -> StatedForm:
    if not labels or len(labels) > _MOST_LABELS:
        return StatedForm("labels", None, "Answer with the label and nothing else.") if labels else FREE
    listed = "\n".join(labels)
    return StatedForm(
        "labels",
        f"Answer with exactly one of these labels and nothing else:\n{listed}",
        "Answer with one label and nothing else.",
        tuple(labels),
    )


def _of_json(options: Mapping[str, Any], samples: Sequence[Sample], targets: Sequence[str]) -> StatedForm:
    """A pattern to imitate comes last: small models copy what they see, an ``"a" or "b"`` and what follows too."""
    answers = [value for value in map(_json_of, targets) if isinstance(value, dict)]
    schema = options.get("schema") or _schema_of(samples)
    keys = list(dict.fromkeys(key for answer in answers for key in answer))
    if not keys:
        reminder = f"Answer with one JSON object {_AND_NOTHING_ELSE}"
        if schema is None:
            return StatedForm("fields", None, reminder)
        said = json.dumps(schema, ensure_ascii=False)
        return StatedForm("schema", f"Answer with one JSON object that meets this schema:\n{said}", reminder)
    pattern, lines, named = {}, [], list(keys)
    for key in keys:
        held = [answer[key] for answer in answers if key in answer]
        pattern[key], described, values = _described(held)
        lines.append(f"{json.dumps(key, ensure_ascii=False)} is {described}.")
        named += values
    shape, rules = json.dumps(pattern, ensure_ascii=False), "\n".join(lines)
    return StatedForm(
        "fields",
        f"Answer with one JSON object {_AND_NOTHING_ELSE}\n{rules}\nIt looks like this:\n{shape}",
        f"Answer with one JSON object {_AND_NOTHING_ELSE} It looks like this:\n{shape}",
        tuple(dict.fromkeys(named)),
    )


def _described(values: Sequence[Any]) -> tuple[Any, str, tuple[str, ...]]:
    """What may stand in a field, what it holds in words, and the texts that a closed set of it consists of."""
    texts = [value for value in values if isinstance(value, str)]
    closed = closed_set(texts, _MOST_VALUES) if texts else ()
    kinds = {_kind(value) for value in values}
    words = [kind for kind in _STAND_INS if kind in kinds]
    if closed:
        words[words.index("a text")] = "one of " + ", ".join(closed)
    stand_in = closed[0] if closed else _STAND_INS[words[0]]
    return stand_in, " or ".join(words), closed


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    kinds = ((int | float, "a number"), (str, "a text"), (list, "a list"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "an object")


def _json_of(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _schema_of(samples: Sequence[Sample]) -> dict[str, Any] | None:
    """The schema that requests themselves ask answers to meet, where they ask for one."""
    for sample in samples:
        asked = (sample.response_format or {}).get("json_schema")
        if isinstance(asked, dict) and isinstance(asked.get("schema"), dict):
            return dict(asked["schema"])
    return None
