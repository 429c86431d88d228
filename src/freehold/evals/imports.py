"""Result files of other evaluation tools, read as outputs: recognised by what is in them, not by their name.

Covered: lm-evaluation-harness (``samples_*.jsonl`` of ``--log_samples``, or a folder of them), Inspect (``.eval`` and
JSON logs), promptfoo (JSON output), OpenAI Evals (event JSON lines). Not covered: their summaries, which have no items
to pair.

Where a file holds several sets of scores (filters, scorers, models), ``FILE::NAME`` names one.
"""

from __future__ import annotations

import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold.errors import InputError
from freehold.evals.lm_eval import is_lm_eval, lm_eval_lines, of_subtask, sample_files
from freehold.evals.outputs import OutputLine, as_text, read_lines
from freehold.unpacking import check_ratio

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
            hint="see docs/guides/compare.md for the tools whose results are read",
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
    if lines and len(lines) == len(rows):
        if is_lm_eval(lines):
            return lm_eval_lines(lines, path, given.name)
        if "spec" in lines[0] and any("sample_id" in row and "type" in row for row in lines):
            return _openai_evals(lines)
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


def _openai_evals(rows: Iterable[dict[str, Any]]) -> list[OutputLine]:
    outputs: dict[str, str | None] = {}
    golds: dict[str, str | None] = {}
    scores: dict[str, float] = {}
    questions: dict[str, str | None] = {}
    for row in rows:
        id, data = row.get("sample_id"), row.get("data")
        if id is None or not isinstance(data, dict):
            continue
        if row.get("type") == "sampling":
            sampled = data.get("sampled")
            outputs[id] = as_text(sampled[0] if isinstance(sampled, list) and sampled else sampled)
            questions[id] = _inspect_input(data.get("prompt"))
        elif row.get("type") == "match":
            scores[id] = float(bool(data.get("correct")))
            expected = data.get("expected")
            golds[id] = as_text(
                expected[0] if isinstance(expected, list) and len(expected) == 1 else expected
            )
            outputs.setdefault(id, as_text(data.get("sampled")))
        elif row.get("type") == "metrics":
            value = next((data[key] for key in ("score", "accuracy", "f1_score") if key in data), None)
            if isinstance(value, bool | int | float):
                scores.setdefault(id, float(value))
    return [
        OutputLine(
            id=str(id),
            output=outputs.get(id),
            gold=golds.get(id),
            score=scores.get(id),
            scored=bool(scores),
            question=questions.get(id),
        )
        for id in dict.fromkeys([*outputs, *scores])
    ]


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
