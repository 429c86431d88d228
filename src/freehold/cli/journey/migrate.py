"""`freehold migrate`: the whole journey from `freehold.toml`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from freehold.cli.options import anyway_option, config_option, json_option, print_json
from freehold.cli.output import console as make_console
from freehold.cli.output import echo
from freehold.types.report import CandidateReport
from freehold.visible import gib

if TYPE_CHECKING:
    from freehold.workflows.journey.migrate import Migration
    from freehold.workflows.project import Project
    from freehold.workflows.shift.background import Background


@click.command("migrate")
@config_option
@click.option("--fresh", is_flag=True, help="Run every step again, also those whose inputs have not changed.")
@click.option(
    "--serve/--no-serve", default=True, help="Leave the endpoint running at the end (default: yes)."
)
@click.option("--dry-run", is_flag=True, help="Build the dataset, say what stands in the way, and stop.")
@click.option(
    "--all-candidates",
    is_flag=True,
    help="Make and measure every candidate, each to its end.",
)
@anyway_option
@json_option(
    "freehold.cli.printed:Migrated",
    rehearsal="freehold.workflows.journey.migrate:Prepared",
)
def command(
    config_path: Path | None,
    fresh: bool,
    serve: bool,
    dry_run: bool,
    all_candidates: bool,
    anyway: bool,
    as_json: bool,
) -> None:
    """Run the whole journey: import, dataset, ruling, fit, training, proof, report, endpoint.

    Steps whose inputs have not changed are skipped, so a stopped run goes on where it was.
    Before anything takes long it looks whether a good end is possible: scorer, lengths, labels, endpoints, and what
    margin that many held-out samples can prove. Where it is not, it ends with 2; --anyway begins all the same.
    One migration of a project runs at a time: a second one is told who runs, and ends with 2.
    Exit code: 0 promote, 1 reject, 3 hold, 2 when something went wrong.

    \b
    Examples:
      freehold migrate
      freehold migrate --dry-run
      freehold migrate --config examples/banking77/freehold.toml --no-serve
    """
    from freehold.workflows.journey.selection import trying_all
    from freehold.workflows.project import open_project

    project = open_project(config_path, must_exist=True)
    if all_candidates:
        project = trying_all(project)
    if dry_run:
        _rehearse(project, as_json=as_json)
    migration = run(project, fresh=fresh, serve=serve, as_json=as_json, anyway=anyway)
    sys.exit(migration.exit_code)


def _rehearse(project: Project, *, as_json: bool) -> NoReturn:
    from freehold.cli.options import show_findings
    from freehold.cli.progress import progress
    from freehold.workflows.journey.migrate import rehearse

    with progress() as bar:
        prepared = rehearse(project, progress=bar)
    found = prepared.preflight
    if as_json:
        print_json(prepared, "rehearsal")
    else:
        show_findings(found.findings)
        ready = "it would not begin" if found.failed else "ready: freehold migrate"
        echo(f"\n{ready}; nothing was asked, trained or paid for")
    sys.exit(2 if found.failed else 0)


def run(
    project: Project,
    *,
    fresh: bool,
    serve: bool,
    as_json: bool,
    anyway: bool = False,
    journey: Callable[..., Migration] | None = None,
) -> Migration:
    """Migrate (by `journey`, where another one leads there and has looked), leave the endpoint running if wanted, tell
    how it ended."""
    from freehold.cli.progress import progress
    from freehold.workflows.journey.migrate import migrate
    from freehold.workflows.shift import background

    journey = journey or partial(migrate, beginning="anyway" if anyway else "careful")
    endpoint = None
    try:
        with progress() as bar:
            migration = journey(project, progress=bar, fresh=fresh)
            if serve and migration.plan is not None:
                bar.step("start the endpoint")
                endpoint = background.start(project, progress=bar)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; nothing is lost, the same command goes on from here") from None
    if as_json:
        print_json({"migration": migration, "endpoint": endpoint})
    else:
        _tell(project, migration, endpoint)
    return migration


def _tell(project: Project, migration: Migration, endpoint: Background | None) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from freehold.cli.journey.candidates_text import choice_lines
    from freehold.workflows.journey.migrate import first_request

    console = make_console(highlight=False, markup=False)
    console.print()
    for indent, line in choice_lines(migration.report):
        console.print(Padding(Text(line), (0, 0, 0, indent)))
    for candidate in migration.report.candidates:
        if migration.report.choice is not None and candidate is not migration.best:
            continue  # told above
        console.print(Text(candidate.label, style="bold"))
        if candidate.stopped is not None:
            console.print(f"  stopped: {candidate.stopped}")
        if candidate.ruling is not None:
            console.print(f"  licence    {candidate.ruling.outcome.replace('_', ' ')}")
        if candidate.fit is not None:
            console.print(
                f"  memory     {gib(candidate.fit.total_bytes, 2)} of {gib(candidate.fit.available_bytes, 1)}"
            )
        if candidate.trained is not None:
            trained = candidate.trained
            console.print(
                f"  training   {trained.steps} steps, {trained.train_tokens:,} tokens, "
                f"{trained.train_seconds:.0f} s, final loss {trained.final_loss:.3f}"
            )
        if candidate.proof is not None:
            table = Table(box=None, padding=(0, 2), show_header=False)
            for name, value in comparison_rows(candidate):
                table.add_row(name, value)
            console.print(table)
        elif candidate.measured is not None:
            measured = candidate.measured
            console.print(
                f"  score      {_percent(measured.mean)}, {100 * measured.level:.3g}% interval "
                f"[{_percent(measured.ci_low)}, {_percent(measured.ci_high)}], n = {measured.n}; no incumbent answers"
            )
        if candidate.mixture is not None and not candidate.mixture.is_proven:
            console.print(Padding(Text(f"mixture    {candidate.mixture.sentence}"), (0, 0, 0, 2)))
        if candidate.verdict is not None:
            colour = {"promote": "green", "hold": "yellow", "reject": "red"}[candidate.verdict.outcome]
            said = " with deferral" if candidate.verdict.mixture_id is not None else ""
            console.print(
                Text.assemble("  verdict    ", (candidate.verdict.outcome + said, f"bold {colour}"))
            )
            for reason in candidate.verdict.reasons:
                console.print(Padding(Text(reason.text), (0, 0, 0, 13)))
        console.print()
    console.print(f"report     {migration.written.html}", soft_wrap=True)
    if endpoint is not None and migration.plan is not None:
        name = migration.plan.served_name
        down = "freehold down" + _config_words(project)
        console.print(
            f"endpoint   {endpoint.url}/v1   (runs in the background; stop it: {down})", soft_wrap=True
        )
        if (request := first_request(project, name)) is not None:
            console.print(Text("\nTry it", style="bold"))
            console.print(Text(f"  asks: {request.asks[:160]}"), soft_wrap=True)
            console.print(
                f"  curl {endpoint.url}/v1/chat/completions -H 'content-type: application/json' \\\n"
                f"    -d @{shlex.quote(str(_shown(request.path)))}",
                soft_wrap=True,
                markup=False,
            )
    elif migration.plan is not None:
        console.print("serve it   freehold up --capture patterns")


def _config_words(project: Project) -> str:
    """``--config PATH`` where a command given here would not find the project."""
    if project.config_path is None or Path.cwd().is_relative_to(project.root):
        return ""
    return f" --config {shlex.quote(str(_shown(project.config_path)))}"


def _shown(path: Path) -> Path:
    """A path as one would type it from here."""
    whole = path.resolve()
    return whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole


def comparison_rows(candidate: object) -> list[tuple[str, str]]:
    """Score lines of one candidate, for the terminal."""

    assert isinstance(candidate, CandidateReport)
    comparison = candidate.proof
    assert comparison is not None

    rows = [
        ("incumbent", _percent(comparison.incumbent_mean)),
        ("with deferral" if candidate.is_mixture else "candidate", _percent(comparison.candidate_mean)),
    ]
    if candidate.untrained is not None:
        rows.append(
            ("untrained base", f"{_percent(candidate.untrained.mean)} (on {candidate.untrained.n} samples)")
        )
    if candidate.retained is not None:
        rows += [(f"kept {one.skill}", one.text.partition(" ")[2]) for one in candidate.retained.skills]
        rows += [(f"kept {one.name}", one.text.partition(" ")[2]) for one in candidate.retained.tasks]
    if comparison.difference is not None and comparison.ci_low is not None and comparison.ci_high is not None:
        rows.append(
            (
                "difference",
                f"{100 * comparison.difference:+.1f} points, {100 * comparison.level:.3g}% interval "
                f"[{100 * comparison.ci_low:+.1f}, {100 * comparison.ci_high:+.1f}], "
                f"margin −{100 * comparison.margin:g}, n = {comparison.n}",
            )
        )
    return rows


def _percent(value: float | None) -> str:
    return "not known" if value is None else f"{100 * value:.1f}%"
