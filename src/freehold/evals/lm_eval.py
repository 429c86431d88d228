"""Result files of lm-evaluation-harness (``--log_samples``), read as outputs: one, or a folder with one a subtask.

``FILE::NAME`` names a filter, a metric (``acc_norm``), or both (``strict-match::exact_match``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from freehold.errors import InputError
from freehold.evals.outputs import OutputLine, as_text

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
