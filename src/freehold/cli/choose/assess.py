"""`freehold assess`: the shortlist, each model with its reasons."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from freehold.cli.options import config_option, hanging, json_option, print_json, short_count
from freehold.cli.output import echo
from freehold.visible import GIB

if TYPE_CHECKING:
    from freehold.types.choosing import Assessment, CandidateRow, Needs


@click.command("assess")
@click.argument("models", nargs=-1)
@click.option("--machine", help='Another machine: a file, or words like "2x L4" (default: this one).')
@click.option(
    "--context",
    type=click.IntRange(1),
    help="Tokens of context per request (default: from traces, else 4096).",
)
@click.option(
    "--concurrency", type=click.IntRange(1), help="Requests at once (default: from traces, else 1)."
)
@click.option(
    "--task",
    "task",
    type=click.Choice(["labels", "extraction", "text", "tools", "agent", "code"]),
    help="What is answered: a closed set, JSON out of a text, free text, one call, turns, program text "
    "(default: [task], else what the traffic's answers look like).",
)
@click.option("--min-tokens-per-second", type=click.FloatRange(0, min_open=True), help="Write this fast.")
@click.option(
    "--max-latency", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="For one request."
)
@click.option("--trainable", is_flag=True, help="An adapter of it must be trainable on the machine.")
@click.option("--vision", is_flag=True, help="The application sends images.")
@click.option("--language", "languages", multiple=True, help="Language code the model must know; repeatable.")
@click.option(
    "--write",
    "written",
    type=click.IntRange(1),
    help="Put the first N of the shortlist, one encoder at most, into freehold.toml as its candidates.",
)
@click.option("--all", "show_all", is_flag=True, help="Show every model, the excluded ones too.")
@config_option
@json_option("freehold.types.choosing:Assessment")
def command(
    models: tuple[str, ...],
    machine: str | None,
    written: int | None,
    show_all: bool,
    config_path: Path | None,
    as_json: bool,
    **wanted: Any,
) -> None:
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
    from freehold.types.choosing import ModelLimits
    from freehold.workflows.choose.assess import assess
    from freehold.workflows.project import open_project

    project = open_project(config_path, must_exist=written is not None, looks=True)
    found = assess(
        project,
        machine_spec=machine,
        stated=_stated(wanted),
        models=models,
        limits=ModelLimits(
            least_tokens_per_second=wanted["min_tokens_per_second"],
            most_seconds=wanted["max_latency"],
            trainable=wanted["trainable"],
        ),
    )
    if as_json:
        print_json(found)
    else:
        _show(found, show_all=show_all or bool(models))
    if not found.shortlist:
        raise SystemExit(1)
    if written is not None and project.config_path is not None:
        from freehold.workflows.choose.ranking import first_candidates, put_candidates

        chosen = first_candidates(found.shortlist, written)
        put_candidates(project.config_path, chosen)
        names = (f"{one.model} ({one.method})" if one.method else one.model for one in chosen)
        echo(f"wrote the candidates of {project.config_path}: {', '.join(names)}", err=True)


def _stated(wanted: dict[str, Any]) -> Needs | None:
    """The needs that were stated; None where none was."""
    from freehold.types.choosing import Needs

    names = ("vision", "languages", "task", "context", "concurrency")
    if not any(wanted[name] for name in names):
        return None
    context, task = wanted["context"], wanted["task"]
    return Needs(
        vision=wanted["vision"],
        languages=wanted["languages"],
        context_tokens=context or (0 if task else Needs().context_tokens),
        concurrency=wanted["concurrency"] or 1,
        task=task,
    )


def _show(found: Assessment, *, show_all: bool) -> None:
    work = found.workload
    echo(f"{found.machine}: {work.context_tokens:,} tokens × {work.concurrency} at once")
    for line in _needs(found):
        echo(click.style(hanging(line, "  · "), dim=True))
    echo(hanging(found.ranked_by, "ranked by ", "  "))
    echo()
    shown = [row for row in found.rows if row.outcome == "shortlisted"]
    rest = len(shown) - MOST_ROWS
    _rows(list(found.rows) if show_all else shown[:MOST_ROWS])
    if not show_all:
        counts = {
            outcome: sum(row.outcome == outcome for row in found.rows) for outcome in ("excluded", "unclear")
        }
        more = f"{rest:,} more on the shortlist, " if rest > 0 else ""
        said = f"{more}{counts['excluded']} excluded, {counts['unclear']} with an unclear licence: "
        echo(hanging(f"{said}freehold assess --all shows why", "\n", ""), err=True)
        for row in shown[MOST_ROWS:]:
            if row.rejected:
                echo(hanging(f"{row.model}: {row.measured}", "  · "), err=True)
    if found.money:
        echo("\n" + hanging(found.money, ""))
    if found.shortlist:
        from freehold.workflows.choose.ranking import as_tables, first_candidates

        echo("\n" + as_tables(first_candidates(found.shortlist, 3)).rstrip())
    else:
        echo("\nno model is left: a larger machine, fewer needs, or stay on the API")


def _needs(found: Assessment) -> list[str]:
    """What the application needs, and how that is known."""
    needs = found.needs
    asked = [name for name, wanted in (("tools", needs.tools), ("JSON schema", needs.json_schema),
                                       ("images", needs.vision)) if wanted]  # fmt: skip
    lines = [f"needs {', '.join((*asked, *needs.languages)) or 'neither tools nor images'}"]
    limits = found.limits
    wanted = [
        *(
            [f"{limits.least_tokens_per_second:g} tokens/s at least"]
            if limits.least_tokens_per_second
            else []
        ),
        *([f"{limits.most_seconds:g} s a request at most"] if limits.most_seconds else []),
        *(["trainable here"] if limits.trainable else []),
    ]
    if wanted:
        lines.append(f"wanted: {', '.join(wanted)}")
    if needs.traces:
        peak = "" if needs.peak_factor is None else f", busiest hour {needs.peak_factor:.1f} × the average"
        lines.append(
            f"prompts of {needs.prompt_tokens:,} tokens ({needs.prompt_tokens_p95:,} at most in 95 of 100), answers of "
            f"{needs.completion_tokens:,} ({needs.completion_tokens_p95:,}){peak}"
        )
        lines.append(
            f"{needs.duplicate_share:.0%} of requests asked before, {needs.cacheable_prefix_share:.0%} of the prompts "
            "repeats an earlier beginning"
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


def _rows(rows: list[CandidateRow]) -> None:
    """One line a model under a header. A terminal without room for dollars has them on a line of their own."""
    wide = shutil.get_terminal_size((120, 24)).columns > TABLE + 14
    money = any(row.usd_per_month is not None for row in rows)
    header = f"    {'model':<{NAMES}} {'size':>6} {'weights':<9} {'GiB':>6} {'tokens/s':>10}"
    echo(click.style(header + (f" {'$/month':>13}" if money and wide else ""), dim=True))
    for row in rows:
        mark = f"{row.rank:>3}" if row.rank else ("  ?" if row.outcome == "unclear" else "  –")
        memory = (row.total_bytes or 0) / GIB
        score = f"score {row.measured_score:.3f}" if row.measured_score is not None else ""
        dollars = _dollars(row)
        echo(
            f"{mark} {row.model:<{NAMES}} {short_count(row.parameters):>6} {row.quantization or '':<9} "
            f"{memory:>6,.1f} {_speed(row):>10}{f' {dollars:>13}' if wide and money else ''} {score}".rstrip()
        )
        if dollars and not wide:
            echo(click.style(f"      · ${dollars} a month", dim=True))
        for reason in (row.why, *row.reasons):
            if reason:
                echo(click.style(hanging(reason, "      · "), dim=True))
