"""A scan as SARIF 2.1.0 (OASIS), for code-scanning pages of forges."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from freehold.types.planning.scan import ModelUse, Scan
from freehold.workflows.incumbent.scanning.findings import level, sentence

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
