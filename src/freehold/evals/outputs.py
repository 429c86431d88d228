"""Outputs of another tool's run, read from a file with one item a line or as a harness writes it.

Native lines, or rows of a table, are ``{"id", "output", "gold"?, "score"?, "group"?, "question"?, "metadata"?}``. A
score already in the file is used where no scorer is asked for; null is unscored.

``FILE::NAME`` names a filter, a metric (``acc_norm``), or both (``strict-match::exact_match``).

Covered: lm-evaluation-harness (``samples_*.jsonl`` of ``--log_samples``, or a folder of them), Inspect (``.eval`` and
JSON logs), promptfoo (JSON output). Not covered: their summaries, which have no items to pair.

Where a file holds several sets of scores (filters, scorers, models), ``FILE::NAME`` names one.
"""

from __future__ import annotations

import contextlib
import math
import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold.errors import InputError, UsageError
from freehold.files import check_ratio
from freehold.rows.reading import records
from freehold.types.record import Record

# An item's own id stands first: a batch file's lines carry an ``id``, too, which is new in every batch.
_NAMES = {
    "id": ("custom_id", "id", "sample_id", "item_id", "doc_id"),
    "output": ("output", "answer", "response", "completion", "prediction", "text"),
    "gold": ("gold", "reference", "target", "expected", "ideal", "label"),
    "question": ("question", "input", "prompt"),
    "group": ("group", "cluster", "conversation_id"),
}


class OutputLine(Record, frozen=True, kw_only=True):
    """One item's output. `scored` says that the file carried a score, which may be None (unscored)."""

    id: str
    output: str | None = None
    gold: str | None = None
    score: float | None = None
    scored: bool = False
    group: str | None = None
    question: str | None = None
    metadata: dict[str, Any] = {}
    metric: str | None = None
    """Which number of the file the score is, where it holds several (`metrics`)."""
    metrics: tuple[str, ...] = ()


Pairs = list[tuple[OutputLine, OutputLine]]
"""The lines of two files for the same items, in the order of the first."""


def read_lines(path: Path) -> list[OutputLine]:
    """The items of a file with one item a line or row. Raises `InputError` with the line for what can't be read."""
    return [native_line(value, path, number) for number, value in records(path, dict[str, Any], "an item")]


def native_line(value: dict[str, Any], path: Path, number: int) -> OutputLine:
    """One native line. Raises `InputError` for a missing id or a score that is not a number."""
    id = _first(value, "id")
    if id is None:
        raise InputError(
            "no id", path=str(path), line=number, hint="each line needs an id that both files share"
        )
    score = value.get("score")
    if isinstance(score, bool):
        score = float(score)
    elif isinstance(score, str):  # as tables hold numbers
        with contextlib.suppress(msgspec.ValidationError):
            score = msgspec.convert(score, float, strict=False)
    if score is not None and (not isinstance(score, int | float) or not math.isfinite(score)):
        raise InputError(f"score is {score!r}, expected a number or null", path=str(path), line=number)
    metadata = value.get("metadata")
    return OutputLine(
        id=str(id),
        output=_answer(_first(value, "output")),
        gold=as_text(_first(value, "gold")),
        score=None if score is None else float(score),
        scored="score" in value,
        group=None if (group := _first(value, "group")) is None else str(group),
        question=as_text(_first(value, "question")),
        metadata=metadata if isinstance(metadata, dict) else {},
    )


def _answer(value: Any) -> str | None:
    """An output as text; of an API's response body (as batch files hold it) its answer, None where the call failed."""
    in_batch = isinstance(value, dict) and isinstance(value.get("body"), dict)
    body = value["body"] if in_batch else value
    choices = body.get("choices") if isinstance(body, dict) else None
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        message = choices[0].get("message") or {}
        return as_text(message.get("tool_calls") or message.get("content") or message.get("refusal"))
    if in_batch and isinstance(body.get("output"), list):  # the Responses API
        items = [item for item in body["output"] if isinstance(item, dict)]
        parts = [part for item in items for part in item.get("content") or () if isinstance(part, dict)]
        return "".join(part.get("text") or part.get("refusal") or "" for part in parts) or None
    return None if in_batch and body.get("error") else as_text(value)


def as_text(value: Any) -> str | None:
    """A value as the text a scorer reads: text as it is, anything else as JSON."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _first(value: dict[str, Any], field: str) -> Any:
    return next((value[name] for name in _NAMES[field] if value.get(name) is not None), None)


def unique(lines: Sequence[OutputLine], path: Path) -> dict[str, OutputLine]:
    """The lines by id. Raises `UsageError` naming ids that occur more than once."""
    by_id: dict[str, OutputLine] = {}
    twice = []
    for line in lines:
        if line.id in by_id:
            twice.append(line.id)
        by_id[line.id] = line
    if twice:
        raise UsageError(
            f"{path}: {len(twice):,} duplicate ids: {listed(twice)}",
            hint="one line an item; repeats of one item belong into one score, their mean",
        )
    return by_id


def pair(a: dict[str, OutputLine], b: dict[str, OutputLine]) -> Pairs:
    """The items of two files. Raises `UsageError` for ids only one has."""
    only_a = tuple(id for id in a if id not in b)
    only_b = tuple(id for id in b if id not in a)
    both = [(line, b[id]) for id, line in a.items() if id in b]
    if only_a or only_b:
        parts = [
            f"{len(ids):,} only in {name} ({listed(ids)})"
            for name, ids in (("a", only_a), ("b", only_b))
            if ids
        ]
        raise UsageError(
            f"the files do not hold the same items: {', '.join(parts)}",
            hint="write null for an answer that failed: what fails on one side is not chance"
            if both
            else "no id is in both: were they written for the same items?",
        )
    if not both:
        raise UsageError("no id is in both files", hint="were they written for the same items?")
    return both


def listed(ids: Iterable[str], limit: int = 5) -> str:
    """The first few ids, and how many more."""
    names = list(ids)
    more = f", … and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


KNOWN_METRICS = ("exact_match", "acc", "acc_norm", "f1", "bleu", "rouge1")
"""Those of files that do not list theirs; the first that is there is taken unless one is named."""
_FILE = re.compile(r"samples_(?P<task>.+?)(_\d{4}-\d{2}-\d{2}T[\d.:-]+)?\.jsonl")


def is_lm_eval(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether lines look like the harness's."""
    return all("doc_id" in row and ("resps" in row or "filtered_resps" in row) for row in rows)


def sample_files(folder: Path) -> dict[str, Path]:
    """The newest file of each subtask in a folder of results, or in the one folder of a model that it holds, by task.

    Raises `InputError` where there is none, or several models' folders.
    """
    if not any(folder.glob("samples_*.jsonl")):
        models = sorted({path.parent for path in folder.glob("*/samples_*.jsonl")})
        if len(models) > 1:
            named = ", ".join(path.name for path in models)
            raise InputError(
                f"holds several models: {named}", path=str(folder), hint=f"name one: {models[0]}"
            )
        folder = models[0] if models else folder
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("samples_*.jsonl")):  # names end with the time, so the newest comes last
        if matched := _FILE.fullmatch(path.name):
            found[matched["task"]] = path
    if not found:
        raise InputError(
            "a folder without samples_*.jsonl",
            path=str(folder),
            hint="lm_eval writes them with --log_samples",
        )
    return found


def lm_eval_lines(rows: Sequence[dict[str, Any]], path: Path, name: str | None) -> list[OutputLine]:
    """The items of one file. Raises `InputError` for several filters of which none is named, and for unknown names."""
    filters = list(dict.fromkeys(_filter(row) for row in rows))
    metrics = list(dict.fromkeys(metric for row in rows for metric in _metrics(row)))
    chosen, metric = _named(name, filters, metrics, path)
    lines = []
    for row in rows:
        if _filter(row) != chosen:
            continue
        score = row.get(metric) if metric else None
        output = row.get("filtered_resps") or row.get("resps")
        while isinstance(output, list) and output:
            output = output[0]
        lines.append(
            OutputLine(
                id=str(row["doc_id"]),
                output=as_text(output),
                gold=as_text(row.get("target")),
                score=float(score) if isinstance(score, int | float) else None,
                scored=isinstance(score, int | float),
                question=as_text(_asked(row.get("doc"))),
                metric=metric,
                metrics=tuple(metrics),
            )
        )
    return lines


def of_subtask(line: OutputLine, task: str) -> OutputLine:
    """An item whose id says which subtask it is of: the harness counts from 0 in each. The task is a slice, too."""
    return msgspec.structs.replace(line, id=f"{task}/{line.id}", metadata={**line.metadata, "subtask": task})


def _asked(doc: Any) -> Any:
    if not isinstance(doc, dict):
        return None
    return next((doc[key] for key in ("question", "query", "input") if key in doc), None)


def _filter(row: dict[str, Any]) -> str:
    return str(row.get("filter", "none"))


def _metrics(row: dict[str, Any]) -> list[str]:
    listed = row.get("metrics") or [name for name in KNOWN_METRICS if name in row]
    return [name for name in listed if isinstance(row.get(name), int | float)]


def _named(
    name: str | None, filters: list[str], metrics: list[str], path: Path
) -> tuple[str | None, str | None]:
    """Filter and metric that are meant."""
    chosen, metric = None, None
    for part in name.split("::") if name else ():
        if part in filters and chosen is None:
            chosen = part
        elif part in metrics:
            metric = part
        else:
            raise InputError(
                f"no {part} among its filters ({', '.join(filters)}) and metrics ({', '.join(metrics)})",
                path=str(path),
                hint=f"name one of them: {path}::{(metrics or filters)[0]}",
            )
    if chosen is None and len(filters) > 1:
        wanted = f"{filters[0]}::{metric}" if metric else filters[0]
        raise InputError(
            f"holds several filters: {', '.join(filters)}", path=str(path), hint=f"name one: {path}::{wanted}"
        )
    return chosen or (filters[0] if filters else None), metric or (metrics[0] if metrics else None)


_INSPECT_GRADES = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}


class OutputSource(NamedTuple):
    """A file and, where it holds several sets of scores, the one that is meant."""

    path: Path
    name: str | None


# One sample with its whole transcript, and far from all memory.
_SAMPLE_BYTES_MAX = 256 * 1024 * 1024


def source(text: str) -> OutputSource:
    """``FILE`` or ``FILE::NAME``."""
    path, _, name = text.partition("::")
    return OutputSource(Path(path), name or None)


def read_outputs(given: OutputSource) -> list[OutputLine]:
    """The items of a file, whatever tool wrote it. Raises `InputError`."""
    try:
        return _read_outputs(given)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError) as error:
        # Other tools' files hold undocumented shapes, and what is damaged holds anything.
        raise InputError(
            f"not of the shape its tool is known to write ({type(error).__name__}: {error})",
            path=str(given.path),
            hint="see docs/guides/prove.md for the tools whose results are read",
        ) from None


def _read_outputs(given: OutputSource) -> list[OutputLine]:
    path = given.path
    if path.is_dir():
        return [
            of_subtask(line, task)
            for task, file in sample_files(path).items()
            for line in _read_outputs(OutputSource(file, given.name))
        ]
    try:
        if zipfile.is_zipfile(path):
            return _inspect(_zipped(path), given)
        data = path.read_bytes()
    except (OSError, zipfile.BadZipFile, zlib.error, KeyError, NotImplementedError, RuntimeError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"cannot be read: {said}", path=str(path)) from None
    whole = _json(data)
    if isinstance(whole, dict):
        if isinstance(whole.get("samples"), list) and isinstance(whole.get("eval"), dict):
            return _inspect(whole["samples"], given)
        if isinstance(whole.get("results"), dict) and isinstance(whole["results"].get("results"), list):
            return _promptfoo(whole["results"]["results"], given)
    rows = [_json(line) for line in data.splitlines() if line.strip()]
    lines = [row for row in rows if isinstance(row, dict)]
    if lines and len(lines) == len(rows) and is_lm_eval(lines):
        return lm_eval_lines(lines, path, given.name)
    return read_lines(path)


def _inspect(samples: Iterable[dict[str, Any]], given: OutputSource) -> list[OutputLine]:
    samples = list(samples)
    scorers = sorted({name for sample in samples for name in sample.get("scores") or {}})
    scorer = _one_of(scorers, given, "scorers")
    by_id: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for sample in samples:
        by_id[str(sample.get("id"))].append(sample)
    lines = []
    for id, epochs in by_id.items():
        values = [
            _inspect_value((one.get("scores") or {}).get(scorer or "", {}).get("value")) for one in epochs
        ]
        known = [value for value in values if value is not None]
        first = epochs[0]
        target = first.get("target")
        lines.append(
            OutputLine(
                id=id,
                output=_inspect_output(first),
                gold=as_text(target[0] if isinstance(target, list) and len(target) == 1 else target),
                score=sum(known) / len(known)
                if known
                else None,  # epochs are repeats of one item: their mean
                scored=scorer is not None,
                question=_inspect_input(first.get("input")),
                metadata=first.get("metadata") or {},
            )
        )
    return lines


def _inspect_value(value: Any) -> float | None:
    if isinstance(value, bool | int | float):
        return float(value)
    return _INSPECT_GRADES.get(value) if isinstance(value, str) else None


def _inspect_output(sample: dict[str, Any]) -> str | None:
    output = sample.get("output") or {}
    if isinstance(output.get("completion"), str):
        return str(output["completion"])
    choices = output.get("choices") or []
    content = choices[0].get("message", {}).get("content") if choices else None
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return as_text(content)


def _inspect_input(value: Any) -> str | None:
    if isinstance(value, list):
        asked = [one.get("content") for one in value if isinstance(one, dict) and one.get("role") == "user"]
        return as_text(asked[-1]) if asked else None
    return as_text(value)


def _zipped(path: Path) -> list[dict[str, Any]]:
    """The samples of an ``.eval`` file: one JSON each in the folder ``samples``."""
    found = []
    packed_bytes, unpacked_bytes = path.stat().st_size, 0
    with zipfile.ZipFile(path) as archive:
        names = sorted(
            name for name in archive.namelist() if name.startswith("samples/") and name.endswith(".json")
        )
        for name in names:
            with archive.open(name) as member:
                data = member.read(_SAMPLE_BYTES_MAX + 1)
            unpacked_bytes += len(data)
            if len(data) > _SAMPLE_BYTES_MAX:
                raise InputError(f"{name} is larger than {_SAMPLE_BYTES_MAX} bytes", path=str(path))
            check_ratio(packed_bytes, unpacked_bytes, str(path))
            value = _json(data)
            if isinstance(value, dict):
                found.append(value)
    if not found:
        raise InputError(
            "no samples in it", path=str(path), hint="an Inspect log of a finished evaluation has some"
        )
    return found


def _promptfoo(rows: Iterable[dict[str, Any]], given: OutputSource) -> list[OutputLine]:
    def model(row: dict[str, Any]) -> str:
        maker = row.get("provider")
        name = maker.get("label") or maker.get("id") if isinstance(maker, dict) else maker
        prompt = f" prompt {row['promptIdx']}" if row.get("promptIdx") else ""
        return f"{name}{prompt}"

    lines = []
    for place, row in enumerate(_chosen(list(rows), model, given, "models")):
        response = row.get("response") or {}
        failed = bool(row.get("error")) and not response.get("output")
        score = row.get("score", row.get("success"))
        value = float(score) if isinstance(score, bool | int | float) and not failed else None
        lines.append(
            OutputLine(
                id=str(row.get("testIdx", place)),
                output=as_text(response.get("output")),
                score=value,
                scored=True,
                question=as_text((row.get("prompt") or {}).get("raw")),
                metadata={
                    key: value for key, value in (row.get("vars") or {}).items() if isinstance(value, str)
                },
            )
        )
    return lines


def _chosen(
    rows: Iterable[dict[str, Any]], name: Callable[[dict[str, Any]], str], given: OutputSource, what: str
) -> list[dict[str, Any]]:
    rows = list(rows)
    chosen = _one_of(list(dict.fromkeys(map(name, rows))), given, what)
    return [row for row in rows if name(row) == chosen]


def _one_of(names: list[str], given: OutputSource, what: str) -> str | None:
    if given.name is not None:
        if given.name not in names:
            raise InputError(
                f"no {given.name} among its {what}", path=str(given.path), hint=f"{', '.join(names)}"
            )
        return given.name
    if len(names) > 1:
        raise InputError(
            f"holds several {what}: {', '.join(names)}",
            path=str(given.path),
            hint=f"name one: {given.path}::{names[0]}",
        )
    return names[0] if names else None


def _json(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
