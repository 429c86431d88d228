"""A scan as Markdown, for a check of a pull request."""

from __future__ import annotations

from freehold.report.markdown import quiet, quoted
from freehold.types.planning.scan import Scan, ScannedModel
from freehold.workflows.incumbent.scanning.findings import Level, level, sentence

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
