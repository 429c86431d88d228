"""`freehold scan`: rented models in a code base, with days left."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import (
    hanging,
    json_option,
    markdown_option,
    print_foreign_json,
    print_json,
    write_markdown,
)
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.types.application import ModelUse, Scan

COLORS = {"error": "red", "warning": "yellow", "note": None}
PLACES = 6
"""Of a model, this many places are shown."""
NAMED = 3
"""Of files that were not looked into, this many are named."""


@click.command("scan")
@click.argument("paths", type=click.Path(path_type=Path), nargs=-1, metavar="[PATH]...")
@click.option(
    "--fail-within",
    type=click.IntRange(min=0),
    default=30,
    show_default=True,
    help="Days left that fail the scan; 0: only what is shut down.",
)
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Count days from this date (default: today)."
)
@click.option("--sarif", "as_sarif", is_flag=True, help="Print SARIF 2.1.0, for code-scanning pages.")
@click.option("--why", is_flag=True, help="Show every place, a line each, and what it rests on.")
@markdown_option
@json_option("freehold.types.application:Scan")
def command(
    paths: tuple[Path, ...],
    fail_within: int,
    as_of: datetime | None,
    as_sarif: bool,
    why: bool,
    markdown: Path | None,
    as_json: bool,
) -> None:
    """Find uses of proprietary models in code and configuration under PATH (default: here).

    Reads Python, JavaScript, TypeScript, Go, Java, Kotlin, C#, Ruby, PHP, Rust, notebooks and configuration. Exit
    code 0, or 1 when a model found is shut down already or within --fail-within days. Comments and docstrings are not
    uses. Nothing leaves this machine.

    \b
    Example:
      freehold scan src/ --fail-within 90
      freehold scan . --sarif > freehold.sarif
      freehold scan app.py deploy.yaml --why
    """
    from freehold.cli.progress import progress
    from freehold.workflows.incumbent import scan as workflow
    from freehold.workflows.incumbent.findings import level, sarif, scan_markdown

    with progress() as bar:
        found = workflow.scan(paths or (Path(),), as_of=as_of.date() if as_of else None, progress=bar)
    write_markdown(markdown, scan_markdown(found, fail_within=fail_within))
    if as_sarif:
        print_foreign_json(sarif(found, fail_within=fail_within))
    elif as_json:
        print_json(found)
    else:
        _models(found, fail_within)
        _others(found)
        if why:
            _places(found, fail_within)
        _unread(found)
    if any(level(one, fail_within) == "error" for one in found.findings):
        raise SystemExit(1)


def _models(found: Scan, fail_within: int) -> None:
    from freehold.workflows.incumbent.findings import level, sentence

    for model in found.models:
        name = level(model, fail_within)
        indent = " " * 9
        text = hanging(sentence(model), f"{name:<9}", indent)
        echo(click.style(text[:9], fg=COLORS[name]) + text[9:])
        more = len(model.places) - PLACES
        places = ", ".join(model.places[:PLACES]) + (f" and {more} more (--why)" if more > 0 else "")
        echo(click.style(hanging(places, indent, indent), dim=True))


def _others(found: Scan) -> None:
    """SDKs, addresses and keys, counted by vendor."""
    titles = {"sdk": "SDKs", "endpoint": "addresses", "key": "keys"}
    for kind, title in titles.items():
        counts = Counter(one.vendor for one in found.findings if one.kind == kind)
        if counts:
            told = ", ".join(f"{vendor} ({count:,})" for vendor, count in counts.most_common())
            echo(hanging(f"{title}: {told}", f"{'note':<9}", " " * 9))


def _places(found: Scan, fail_within: int) -> None:
    from freehold.workflows.incumbent.findings import level, sentence

    for finding in found.findings:
        name = level(finding, fail_within)
        echo(
            hanging(f"{finding.path}:{finding.line}:{finding.column} {name} {sentence(finding)}", "", "    ")
        )
        echo(click.style(hanging(_basis(finding), "    "), dim=True))


def _basis(finding: ModelUse) -> str:
    return f"{finding.how}; {finding.retirement_source or 'no date known'}"


def _unread(found: Scan) -> None:
    """On stderr: what was not read, and the count of what was."""
    for path, reason in found.skipped:
        echo(hanging(f"{path}: {reason}", "not read: ", "    "), err=True)
    for group in found.unread:
        names = ", ".join(group.paths[:NAMED]) + (", …" if group.count > NAMED else "")
        files = "1 file" if group.count == 1 else f"{group.count:,} files"
        echo(hanging(f"{files}, {group.reason} ({names})", "not looked into: ", "    "), err=True)
    read = "1 file" if found.files == 1 else f"{found.files:,} files"
    findings = "1 finding" if len(found.findings) == 1 else f"{len(found.findings):,} findings"
    more = f", {len(found.skipped):,} not read" if found.skipped else ""
    others = sum(group.count for group in found.unread)
    more += f", {others:,} not looked into" if others else ""
    echo(f"{read} read, {findings}{more}", err=True)
