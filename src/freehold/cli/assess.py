"""`freehold assess`: the shortlist, each model with its reasons."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.operation import CONFIG, Reply, arg, operation, opt
from freehold.cli.output import Aside, Block, echo, hanging, short_count
from freehold.visible import GIB

if TYPE_CHECKING:
    from freehold.types.choosing import Assessment, CandidateRow, TaskKind


@operation("assess", "freehold.types.choosing:Assessment")
def assess(
    models: tuple[str, ...] = arg(),
    *,
    machine: str | None = opt('Another machine: a file, or words like "2x L4" (default: this one).'),
    context: int | None = opt("Tokens of context per request (default: from traces, else 4096).", ge=1),
    concurrency: int | None = opt("Requests at once (default: from traces, else 1).", ge=1),
    task: TaskKind | None = opt(
        "What is answered: a closed set, JSON out of a text, free text, one call, turns, program text "
        "(default: [task], else what the traffic's answers look like).",
        choices=["labels", "extraction", "text", "tools", "agent", "code"],
    ),
    min_tokens_per_second: float | None = opt("Write this fast.", gt=0),
    max_latency: float | None = opt("For one request.", gt=0, metavar="SECONDS"),
    trainable: bool = opt("An adapter of it must be trainable on the machine."),
    vision: bool = opt("The application sends images."),
    languages: tuple[str, ...] = opt("Language code the model must know; repeatable.", "--language"),
    written: int | None = opt(
        "Put the first N of the shortlist, one encoder at most, into freehold.toml as its candidates.",
        "--write",
        ge=1,
    ),
    show_all: bool = opt("Show every model, the excluded ones too.", "--all"),
    config_path: Path | None = CONFIG,
) -> Reply:
    """Which open models may I use, can I run, and do what I need? Ranked, with a reason for every exclusion.

    Joins the task, the licence ruling for [use], the memory fit on the machine (on a GPU server in the form vLLM runs),
    the needs the traces show, what was measured here for or against a model, speeds (marked * where measured), and
    dollars a month against the bill of [incumbent]. Seven rows at most; --all shows the rest. Nothing is downloaded.
    Exit code 0 when a model is left, 1 when none is.

    \b
    Example:
      freehold assess
      freehold assess --machine "RTX 4090" --task extraction --trainable
      freehold assess --machine "2x H100" --task agent --context 131072 --min-tokens-per-second 30
      freehold assess Qwen/Qwen3-8B google/gemma-3-27b-it --json
      freehold assess --write 3
    """
    from freehold.types.choosing import ModelLimits, Needs
    from freehold.workflows.choose.assess import assess as rank
    from freehold.workflows.project import open_project

    project = open_project(config_path, must_exist=written is not None, looks=True)
    needs = None
    if vision or languages or task or context or concurrency:
        needs = Needs(
            vision=vision,
            languages=languages,
            context_tokens=context or (0 if task else Needs().context_tokens),
            concurrency=concurrency or 1,
            task=task,
        )
    limits = ModelLimits(
        least_tokens_per_second=min_tokens_per_second, most_seconds=max_latency, trainable=trainable
    )
    found = rank(project, machine_spec=machine, stated=needs, models=models, limits=limits)
    if found.shortlist and written is not None and project.config_path is not None:
        from freehold.workflows.choose.ranking import first_candidates, put_candidates

        chosen = first_candidates(found.shortlist, written)
        put_candidates(project.config_path, chosen)
        names = (f"{one.model} ({one.method})" if one.method else one.model for one in chosen)
        echo(f"wrote the candidates of {project.config_path}: {', '.join(names)}", err=True)
    return Reply(found, partial(_view, show_all=show_all or bool(models)), 0 if found.shortlist else 1)


def _view(found: Assessment, *, show_all: bool) -> Iterator[Block]:
    work = found.workload
    yield f"{found.machine}: {work.context_tokens:,} tokens × {work.concurrency} at once"
    yield from (click.style(f"  · {line}", dim=True) for line in _needs(found))
    yield hanging(found.ranked_by, "ranked by ")
    yield ""
    shown = [row for row in found.rows if row.outcome == "shortlisted"]
    yield from _rows(list(found.rows) if show_all else shown[:MOST_ROWS])
    if not show_all:
        counts = Counter(row.outcome for row in found.rows)
        rest = len(shown) - MOST_ROWS
        more = f"{rest:,} more on the shortlist, " if rest > 0 else ""
        yield Aside(
            f"\n{more}{counts['excluded']} excluded, {counts['unclear']} with an unclear licence: "
            "freehold assess --all shows why"
        )
        yield from (Aside(f"  · {row.model}: {row.measured}") for row in shown[MOST_ROWS:] if row.rejected)
    if found.money:
        yield f"\n{found.money}"
    if found.shortlist:
        from freehold.workflows.choose.ranking import as_tables, first_candidates

        yield "\n" + as_tables(first_candidates(found.shortlist, 3)).rstrip()
    else:
        yield "\nnone on this machine: take a larger one, or need less; freehold assess --all says what each lacks"


def _needs(found: Assessment) -> list[str]:
    """What the application needs, and how that is known."""
    needs = found.needs
    asked = [name for name, wanted in (("tools", needs.tools), ("JSON schema", needs.json_schema),
                                       ("images", needs.vision)) if wanted]  # fmt: skip
    lines = [f"needs {', '.join((*asked, *needs.languages)) or 'neither tools nor images'}"]
    limits = found.limits
    wanted = [
        limits.least_tokens_per_second and f"{limits.least_tokens_per_second:g} tokens/s at least",
        limits.most_seconds and f"{limits.most_seconds:g} s a request at most",
        limits.trainable and "trainable here",
    ]
    if any(wanted):
        lines.append(f"wanted: {', '.join(text for text in wanted if text)}")
    if needs.traces:
        peak = "" if needs.peak_factor is None else f", busiest hour {needs.peak_factor:.1f} × the average"
        lines.append(
            f"prompts of {needs.prompt_tokens:,} tokens ({needs.prompt_tokens_p95:,} at most in 95 of 100), answers of "
            f"{needs.completion_tokens:,} ({needs.completion_tokens_p95:,}){peak}"
        )
        lines.append(
            f"{needs.duplicate_share:.0%} of requests were asked before, {needs.cacheable_prefix_share:.0%} of the "
            "prompt text could be cached"
        )
    return [*lines, *needs.how]


MOST_ROWS = 7
"""A shortlist is short; `--all` shows the rest."""
NAMES = 40
"""Columns for a model's id; the few longer ones push their row to the right."""
TABLE = 80
"""Columns of the table without money."""


def _dollars(row: CandidateRow) -> str:
    if row.usd_per_month is None:
        return ""
    low, high = row.usd_per_month
    return f"{low:,.0f}" if low == high else f"{low:,.0f}–{high:,.0f}"


def _speed(row: CandidateRow) -> str:
    """``0.4–1.9``, ``844–1,794``; measured ones are marked."""
    if row.speed is None:
        return ""
    low, high = row.speed.decode_tokens_per_second
    digits = 1 if high < 10 else 0
    return f"{low:,.{digits}f}–{high:,.{digits}f}" + ("*" if row.speed.how == "measured" else "")


def _rows(rows: list[CandidateRow]) -> Iterator[Block]:
    """One line a model under a header. A terminal without room for dollars has them on a line of their own."""
    wide = shutil.get_terminal_size((120, 24)).columns > TABLE + 14
    money = any(row.usd_per_month is not None for row in rows)
    header = f"    {'model':<{NAMES}} {'size':>6} {'weights':<9} {'GiB':>6} {'tokens/s':>10}"
    yield click.style(header + (f" {'$/month':>13}" if money and wide else ""), dim=True)
    for row in rows:
        mark = f"{row.rank:>3}" if row.rank else ("  ?" if row.outcome == "unclear" else "  –")
        memory = (row.total_bytes or 0) / GIB
        score = f"score {row.measured_score:.3f}" if row.measured_score is not None else ""
        dollars = _dollars(row)
        yield (
            f"{mark} {row.model:<{NAMES}} {short_count(row.parameters):>6} {row.quantization or '':<9} "
            f"{memory:>6,.1f} {_speed(row):>10}{f' {dollars:>13}' if wide and money else ''} {score}".rstrip()
        )
        if dollars and not wide:
            yield click.style(f"      · ${dollars} a month", dim=True)
        for reason in (row.why, *row.reasons):
            if reason:
                yield click.style(f"      · {reason}", dim=True)
