"""`freehold scan`: rented models in a code base, with days left."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from freehold.cli.options import json_option, print_foreign_json, print_json
from freehold.cli.output import echo

COLORS = {"error": "red", "warning": "yellow", "note": None}


@click.command("scan")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("--fail-within", type=int, default=30, show_default=True, help="Days left that fail the scan.")
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Count days from this date (default: today)."
)
@click.option("--sarif", "as_sarif", is_flag=True, help="Print SARIF 2.1.0, for code-scanning pages.")
@click.option("--why", is_flag=True, help="Say what each finding rests on.")
@json_option("freehold.types.planning.scan:Scan")
def command(
    path: Path, fail_within: int, as_of: datetime | None, as_sarif: bool, why: bool, as_json: bool
) -> None:
    """Find uses of proprietary models in Python, JavaScript, TypeScript and configuration under PATH.

    Exit code 0, or 1 when a model found is shut down already or within --fail-within days. Comments and
    docstrings are not uses. Nothing leaves this machine.

    \b
    Example:
      freehold scan src/ --fail-within 90
      freehold scan . --sarif > freehold.sarif
    """
    from freehold.cli.progress import progress
    from freehold.workflows.incumbent import scan as workflow

    with progress() as bar:
        found = workflow.scan(path, as_of=as_of.date() if as_of else None, progress=bar)
    levels = [workflow.level(finding, fail_within) for finding in found.findings]
    if as_sarif:
        print_foreign_json(workflow.sarif(found, fail_within=fail_within))
    elif as_json:
        print_json(found)
    else:
        for finding, level in zip(found.findings, levels, strict=True):
            place = click.style(f"{finding.path}:{finding.line}:{finding.column}", bold=True)
            echo(f"{place} {click.style(level, fg=COLORS[level])} {workflow.sentence(finding)}")
            if why:
                echo(
                    click.style(
                        f"    {finding.how}; {finding.retirement_source or 'no date known'}", dim=True
                    )
                )
        for name, reason in found.skipped:
            echo(f"not read whole: {name}: {reason}", err=True)
        files = "1 file" if found.files == 1 else f"{found.files:,} files"
        findings = "1 finding" if len(found.findings) == 1 else f"{len(found.findings):,} findings"
        more = f", {len(found.skipped):,} not read whole" if found.skipped else ""
        echo(f"{files} read, {findings}{more}", err=True)
    if "error" in levels:
        raise SystemExit(1)
