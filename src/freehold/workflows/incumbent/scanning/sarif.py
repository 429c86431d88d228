"""A scan as SARIF 2.1.0 (OASIS), for code-scanning pages of forges."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from freehold.report.markdown import quiet, quoted
from freehold.types.application import ModelUse, Scan, ScannedModel
from freehold.workflows.incumbent.scanning.findings import Level, level, sentence

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
