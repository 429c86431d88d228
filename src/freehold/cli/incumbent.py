"""`freehold scan`: rented models in a code base; `freehold retirements`: shutdown dates. Both with days left."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.documents import print_foreign_json
from freehold.cli.operation import BAR, MARKDOWN, Reply, arg, opened, operation, opt
from freehold.cli.options import write_markdown
from freehold.cli.output import Aside, Block, echo, hanging

if TYPE_CHECKING:
    from freehold.catalog.retirements import Platform
    from freehold.progress import Progress
    from freehold.types.application import ModelUse, Scan
    from freehold.workflows.incumbent.retirements import RetirementNotice
    from freehold.workflows.project import Project

COLORS = {"error": "red", "warning": "yellow", "note": None}
PLACES = 6
"""Of a model, this many places are shown."""
NAMED = 3
"""Of files that were not looked into, this many are named."""


@operation("scan", "freehold.types.application:Scan")
def scan(
    paths: tuple[Path, ...] = arg(metavar="[PATH]..."),
    *,
    fail_within: int = opt("Days left that fail the scan; 0: only what is shut down.", default=30, ge=0),
    as_of: date | None = opt("Count days from this date (default: today)."),
    as_sarif: bool = opt("Print SARIF 2.1.0, for code-scanning pages.", "--sarif"),
    why: bool = opt("Show every place, a line each, and what it rests on."),
    markdown: Path | None = MARKDOWN,
    bar: Progress = BAR,
) -> Reply:
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
    from freehold.workflows.incumbent import scan as workflow
    from freehold.workflows.incumbent.findings import level, sarif, scan_markdown

    found = workflow.scan(paths or (Path(),), as_of=as_of, progress=bar)
    write_markdown(markdown, scan_markdown(found, fail_within=fail_within))
    failed = any(level(one, fail_within) == "error" for one in found.findings)
    if as_sarif:
        print_foreign_json(sarif(found, fail_within=fail_within))
        return Reply(found, None, int(failed))

    def view(found: Scan) -> Iterator[Block]:
        yield from _models(found, fail_within)
        yield from _others(found)
        yield from _places(found, fail_within) if why else ()
        yield from _unread(found)

    return Reply(found, view, int(failed))


def _models(found: Scan, fail_within: int) -> Iterator[Block]:
    from freehold.workflows.incumbent.findings import level, sentence

    for model in found.models:
        name = level(model, fail_within)
        indent = " " * 9
        text = hanging(sentence(model), f"{name:<9}", indent)
        yield click.style(text[:9], fg=COLORS[name]) + text[9:]
        more = len(model.places) - PLACES
        places = ", ".join(model.places[:PLACES]) + (f" and {more} more (--why)" if more > 0 else "")
        yield click.style(hanging(places, indent, indent), dim=True)


def _others(found: Scan) -> Iterator[Block]:
    """SDKs, addresses and keys, counted by vendor."""
    titles = {"sdk": "SDKs", "endpoint": "addresses", "key": "keys"}
    for kind, title in titles.items():
        counts = Counter(one.vendor for one in found.findings if one.kind == kind)
        if counts:
            told = ", ".join(f"{vendor} ({count:,})" for vendor, count in counts.most_common())
            yield hanging(f"{title}: {told}", f"{'note':<9}")


def _places(found: Scan, fail_within: int) -> Iterator[Block]:
    from freehold.workflows.incumbent.findings import level, sentence

    for finding in found.findings:
        name = level(finding, fail_within)
        yield hanging(
            f"{finding.path}:{finding.line}:{finding.column} {name} {sentence(finding)}", "", "    "
        )
        yield click.style(hanging(_basis(finding), "    "), dim=True)


def _basis(finding: ModelUse) -> str:
    return f"{finding.how}; {finding.retirement_source or 'no date known'}"


def _unread(found: Scan) -> Iterator[Block]:
    """On stderr: what was not read, and the count of what was."""
    for path, reason in found.skipped:
        yield Aside(f"not read: {path}: {reason}")
    for group in found.unread:
        names = ", ".join(group.paths[:NAMED]) + (", …" if group.count > NAMED else "")
        files = "1 file" if group.count == 1 else f"{group.count:,} files"
        yield Aside(f"not looked into: {files}, {group.reason} ({names})")
    read = "1 file" if found.files == 1 else f"{found.files:,} files"
    findings = "1 finding" if len(found.findings) == 1 else f"{len(found.findings):,} findings"
    more = f", {len(found.skipped):,} not read" if found.skipped else ""
    others = sum(group.count for group in found.unread)
    more += f", {others:,} not looked into" if others else ""
    yield Aside(f"{read} read, {findings}{more}")


PLATFORMS = (
    "openai", "anthropic", "google", "mistral", "cohere", "groq", "xai", "deepseek", "azure", "vertex", "bedrock",
)  # fmt: skip
_ELSEWHERE = f"The same id may end on another day elsewhere: {', '.join(PLATFORMS)}."


@operation("retirements", "freehold.workflows.incumbent.retirements:RetirementNotice[]")
def retirements(
    models: tuple[str, ...] = arg(),
    *,
    platform: Platform | None = opt(
        _ELSEWHERE,
        choices=PLATFORMS,
        metavar="PLATFORM",
    ),
    as_of: date | None = opt("Count days from this date (default: today)."),
    ask: bool | None = opt(
        "Ask the incumbent's own /v1/models for its dates (default: when its key is in the environment)."
    ),
    fail_within: int | None = opt(
        "Exit with 1 when a shutdown was, or is within this many days (for CI).", ge=0
    ),
    project: Project = opened(),
) -> Reply:
    """When are proprietary models shut down? Fine-tunes and aliases are looked up by what they stand on.

    Without MODELS: the incumbent of freehold.toml, or all shutdowns still to come. Each date has its source and
    the day it was read; stale ones say so. Where the incumbent's key is in the environment its own /v1/models is asked,
    and its dates take precedence over the catalog's.

    \b
    Example:
      freehold retirements gpt-4o ft:gpt-4o-2024-08-06:acme::x
      freehold retirements --fail-within 60
      freehold retirements --ask --json
    """
    from freehold.errors import UpstreamError
    from freehold.workflows.incumbent import retirements as workflow

    asked = None
    if ask or (ask is None and workflow.can_ask(project)):
        try:
            asked = workflow.ask(project)
        except UpstreamError as error:
            if ask:
                raise
            echo(f"{error.message}: dates are those of the catalog", err=True)
    if not models and project.config.incumbent is not None:
        models = (project.config.incumbent.model,)
    named = models

    def view(found: list[RetirementNotice]) -> Iterator[Block]:
        for notice in found:
            yield from _notice(notice)
        for model in named:
            if not workflow.notices((model,), as_of=as_of, platform=platform, asked=asked):
                yield Aside(_unknown(model, workflow.elsewhere(model, as_of=as_of)))
        if not found and not named:
            yield Aside("none")

    found = workflow.notices(named, as_of=as_of, platform=platform, asked=asked)
    fails = fail_within is not None and any(notice.fails(fail_within) for notice in found)
    return Reply(found, view, int(fails))


def _unknown(model: str, others: list[RetirementNotice]) -> str:
    if not others:
        return f"{model}: no shutdown date is known here, which does not mean there is none"
    dates = ", ".join(f"{one.shutdown} on {one.platform}" for one in others)
    return f"{model}: no shutdown date is known there; elsewhere the same model ends {dates}"


def _notice(notice: RetirementNotice) -> Iterator[Block]:
    left, color = "no day", "red" if notice.status == "gone" else "yellow"
    if notice.days_left is not None:
        left = f"in {notice.days_left} days" if notice.days_left >= 0 else f"{-notice.days_left} days ago"
        color = "red" if notice.days_left < 30 else ("yellow" if notice.days_left < 120 else "")
    name = notice.model if notice.asked_as is None else f"{notice.asked_as} ({notice.model})"
    what = {"gone": ", retired", "deprecated": ", deprecated"}.get(notice.status, "")
    then = f" → {notice.replacement}" if notice.replacement else ""
    day = str(notice.shutdown or "").ljust(10)
    text = hanging(f"{notice.platform:<10} {name}{what}{then}", f"{day}  {left:<14} ", " " * 27)
    yield text[:12] + click.style(text[12:26], fg=color or None) + text[26:]
    for said in _details(notice):
        yield click.style(hanging(_breakable(said, 12), " " * 12), dim=True)


def _breakable(text: str, indent: int) -> str:
    """The text with an address that is longer than a line of the terminal broken after one of its slashes."""
    width = shutil.get_terminal_size((100_000, 24)).columns - 1 - indent
    return " ".join(
        word
        if len(word) <= width
        else f"{word[: word.rfind('/', 0, width) + 1]} {word[word.rfind('/', 0, width) + 1 :]}"
        for word in text.split(" ")
    )


def _details(notice: RetirementNotice) -> list[str]:
    found = [f"fine-tunes {notice.fine_tunes}"] if notice.fine_tunes else []
    if not notice.counts:
        found.append(f"the date on {notice.platform}; --fail-within checks the maker's own API")
    stale = "  STALE: read it again before relying on it" if notice.stale else ""
    as_of = f", as of {notice.as_of}" if notice.as_of is not None and notice.as_of != notice.checked else ""
    return [*found, f"{notice.source}{as_of}, read {notice.checked}{stale}"]
