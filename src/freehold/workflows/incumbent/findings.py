"""What was found, with what is known of each model's end: one place, all places of a model, and a scan as SARIF 2.1.0
(OASIS, for code-scanning pages of forges) or Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Any, Literal
from urllib.parse import quote

from freehold.catalog.retirements import Retirement, UndatedRetirement
from freehold.report.markdown import quiet, quoted
from freehold.types.application import EndStatus, ModelEnd, ModelUse, Scan, ScannedModel, SourcedEnd
from freehold.visible import one_line
from freehold.workflows.incumbent.meaning import SHOWN_HOLE, Meaning, Word, completions, shown

Level = Literal["error", "warning", "note"]


def finding(path: str, word: Word, use: Meaning, today: date) -> ModelUse:
    """One place as a record. Of a partial name the end is the first of those it can become."""
    text = shown(word.text.strip())
    becomes: tuple[ModelEnd, ...] = ()
    end: dict[str, Any] = {}
    if use.model is not None:
        end = _end(use.row, use.undated, today, otherwise="available" if use.is_named else "unknown")
    if use.pattern is not None:
        ends = [
            ModelEnd(model=name, **_end(row, undated, today, otherwise="available"))
            for name, row, undated in completions(use.pattern)
        ]
        becomes = tuple(sorted(ends, key=lambda one: (one.shutdown or date.max, one.model)))
        if use.row is None and use.undated is None and becomes[0].shutdown is not None:
            end |= {name: getattr(becomes[0], name) for name in ("status", "shutdown", "days_left")}
    known = use.row or use.undated
    return ModelUse(
        kind=use.kind,
        path=path,
        line=word.line,
        column=word.column,
        text=one_line(_address(text) if use.kind == "endpoint" else text),
        vendor=use.vendor,
        how=use.how,
        model=None if use.model is None else one_line(use.model),
        becomes=becomes,
        retirement_source=None if known is None else known.cited,
        stale=use.row is not None and use.row.is_stale(today),
        **end,
    )


def _end(
    row: Retirement | None, undated: UndatedRetirement | None, today: date, *, otherwise: EndStatus
) -> dict[str, Any]:
    """What is known of a model's end, as fields of a `ModelEnd`."""
    if row is not None:
        left = row.days_left(today)
        status = "ended" if left < 0 else "ends"
        return {"status": status, "shutdown": row.shutdown, "days_left": left, "replacement": row.replacement}
    if undated is not None:
        status = "gone" if undated.retired else "deprecated"
        return {"status": status, "replacement": undated.replacement}
    return {"status": otherwise}


def _address(text: str) -> str:
    """An address without what may be secret in it: user and password, and everything after the path."""
    plain = re.split(r"[?#]", text)[0].removesuffix(SHOWN_HOLE)
    return re.sub(r"^([\w+.-]+://)?[^/@]*@", lambda found: found.group(1) or "", plain)


def level(found: ModelUse | ScannedModel, fail_within: int) -> Level:
    """Error for a model that is shut down, gone, or ends within `fail_within` days; warning for one with a later day or
    deprecated without one; else note. A partial name is an error where all it can become is."""
    if found.becomes:
        levels = {_level(end.status, end.days_left, fail_within) for end in found.becomes}
        return "error" if levels == {"error"} else "note" if levels == {"note"} else "warning"
    return "note" if found.status is None else _level(found.status, found.days_left, fail_within)


def _level(status: EndStatus, days_left: int | None, fail_within: int) -> Level:
    if status in ("ended", "gone"):
        return "error"
    if days_left is not None:
        return "error" if days_left <= fail_within else "warning"
    return "warning" if status == "deprecated" else "note"


_RANK: dict[EndStatus, int] = {
    "ended": 0,
    "gone": 1,
    "ends": 2,
    "deprecated": 3,
    "available": 4,
    "unknown": 5,
}


def by_model(findings: Iterable[ModelUse]) -> tuple[ScannedModel, ...]:
    """Each model once, most urgent first: ended, the latest of them first; then by days left; then those without a
    day."""
    groups: dict[str, list[ModelUse]] = {}
    for one in findings:
        if one.model is not None and one.status is not None:
            groups.setdefault(one.model.lower(), []).append(one)
    return tuple(sorted((_scanned(group) for group in groups.values()), key=_urgency))


def _urgency(model: ScannedModel) -> tuple[int, int, str]:
    """A partial name is as urgent as the next end of those it can still become."""
    still = [end for end in model.becomes if end.status not in ("ended", "gone")]
    status, days_left = (still[0].status, still[0].days_left) if still else (model.status, model.days_left)
    return _RANK[status], abs(days_left or 0), model.model


def _scanned(group: list[ModelUse]) -> ScannedModel:
    first = group[0]
    assert first.model is not None
    assert first.status is not None
    return ScannedModel(
        model=first.model,
        vendor=first.vendor,
        status=first.status,
        places=tuple(f"{use.path}:{use.line}:{use.column}" for use in group),
        **{name: getattr(first, name) for name in SourcedEnd.__struct_fields__},
    )


def sentence(found: ModelUse | ScannedModel) -> str:
    """One finding, or one model, in words."""
    name = found.text if isinstance(found, ModelUse) else found.model
    if found.becomes:
        return f"{name}: {_all_it_becomes(found.becomes)}"
    if found.shutdown is not None and found.days_left is not None:
        said = f"shut down on {found.shutdown}, {when(found.days_left)}"
    elif found.status == "gone":
        said = "retired; its vendor publishes no day"
    elif found.status == "deprecated":
        said = "deprecated; the day of its end is not published"
    elif isinstance(found, ModelUse):
        return f"{name}: {found.how} ({found.vendor})"
    else:
        said = (
            "named by its vendor, without an end" if found.status == "available" else "spelt like a model id"
        )
        return f"{name}: {said} ({found.vendor})"
    then = f"; the vendor names {found.replacement}" if found.replacement else ""
    stale = "; this date was read too long ago, check it" if found.stale else ""
    return f"{name}: {said}{then}{stale}"


def _all_it_becomes(becomes: tuple[ModelEnd, ...], most: int = 4) -> str:
    """All it can become, by day: ``can become gpt-4.1-nano (2026-10-23, 35 days ago), or …``."""
    days: dict[tuple[date | None, str], list[ModelEnd]] = {}
    for end in becomes:
        days.setdefault((end.shutdown, end.status), []).append(end)
    told = []
    for (day, status), ends in list(days.items())[:most]:
        names = ", ".join(end.model for end in ends[:3]) + (
            f" and {len(ends) - 3} more" if len(ends) > 3 else ""
        )
        known = f"{day}, {when(ends[0].days_left or 0)}" if day is not None else f"{status}, no day"
        told.append(f"{names} ({known})")
    more = f", or what ends on {len(days) - most} other days" if len(days) > most else ""
    return f"can become {'; '.join(told)}{more}"


def when(days_left: int) -> str:
    """``in 51 days``, ``today``, ``1 day ago``."""
    days = f"{abs(days_left)} day{'' if abs(days_left) == 1 else 's'}"
    return "today" if days_left == 0 else f"in {days}" if days_left > 0 else f"{days} ago"


RULES: dict[str, str] = {
    "model_id": "A rented model's id",
    "sdk": "A vendor's SDK is imported",
    "endpoint": "A vendor's API is addressed",
    "key": "A vendor's API key is named",
}


def sarif(found: Scan, *, fail_within: int) -> dict[str, Any]:
    """One run with a result for each finding. What could not be read is a notification of the run."""
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "freehold",
                        "version": found.version,
                        "rules": [
                            {"id": name, "shortDescription": {"text": text}} for name, text in RULES.items()
                        ],
                    }
                },
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [
                            {
                                "level": "warning",
                                "message": {"text": f"not read: {reason}"},
                                "locations": [
                                    {"physicalLocation": {"artifactLocation": {"uri": quote(path)}}}
                                ],
                            }
                            for path, reason in found.skipped
                        ],
                    }
                ],
                "results": [_result(finding, fail_within) for finding in found.findings],
            }
        ],
    }


def _result(finding: ModelUse, fail_within: int) -> dict[str, Any]:
    return {
        "ruleId": finding.kind,
        "level": level(finding, fail_within),
        "message": {"text": sentence(finding)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(finding.path)},
                    "region": {"startLine": finding.line, "startColumn": finding.column},
                }
            }
        ],
    }


MOST_MODELS = 30
MOST_PLACES = 5
LONGEST = 400
MARKS: dict[Level, str] = {"error": "✕", "warning": "!", "note": "·"}


def scan_markdown(found: Scan, *, fail_within: int) -> str:
    """The rented models that were found, most urgent first, in Markdown (CommonMark with tables), the heading at level
    3."""
    failing = [model for model in found.models if level(model, fail_within) == "error"]
    if failing:
        count = "1 rented model is" if len(failing) == 1 else f"{len(failing):,} rented models are"
        lines = [f"### ✕ Scan: {count} shut down, or will be within {fail_within} days", ""]
    else:
        lines = [f"### ✓ Scan: no rented model is shut down, or will be within {fail_within} days", ""]
    if found.models:
        lines += ["| | model | places |", "|---|---|---|"]
        lines += [_row(model, fail_within) for model in found.models[:MOST_MODELS]]
        if len(found.models) > MOST_MODELS:
            lines += ["", f"and {len(found.models) - MOST_MODELS:,} models more"]
        lines.append("")
    skipped = f", {len(found.skipped):,} not read" if found.skipped else ""
    lines.append(f"{found.files:,} files read{skipped}, as of {found.as_of}")
    return "\n".join([*lines, ""])


def _row(model: ScannedModel, fail_within: int) -> str:
    places = ", ".join(quoted(place) for place in model.places[:MOST_PLACES])
    more = len(model.places) - MOST_PLACES
    return (
        f"| {MARKS[level(model, fail_within)]} | {quiet(sentence(model), LONGEST)} "
        f"| {places}{f' and {more:,} more' if more > 0 else ''} |"
    )
