"""`freehold migrate`: the whole journey from `freehold.toml`; `freehold demo` on a shipped example; `freehold down`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.operation import ANYWAY, BAR, Reply, opened, operation, opt
from freehold.cli.output import Aside, Block, Verbatim, findings_view
from freehold.report.words import usd
from freehold.types.report import CandidateReport, Report
from freehold.visible import gib

if TYPE_CHECKING:
    from freehold.progress import Progress
    from freehold.workflows.journey.demo import Example
    from freehold.workflows.journey.migrate import Migration, Prepared
    from freehold.workflows.project import Project
    from freehold.workflows.serve.background import Served

EXAMPLES = ("tickets", "helpdesk")


@operation(
    "migrate", "freehold.cli.printed:Migrated", rehearsal="freehold.workflows.journey.migrate:Prepared"
)
def migrate(
    *,
    fresh: bool = opt("Run every step again, also those whose inputs have not changed."),
    serve: bool = opt("Leave the endpoint running at the end (default: yes).", default=True),
    dry_run: bool = opt("Build the dataset, say what stands in the way, and stop."),
    anyway: bool = ANYWAY,
    project: Project = opened(must_exist=True),
    bar: Progress = BAR,
) -> Reply:
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
      freehold migrate --set selection.stop=all
      freehold migrate --config examples/banking77/freehold.toml --no-serve
    """
    from freehold.workflows.journey.migrate import rehearse

    if dry_run:
        prepared = rehearse(project, progress=bar)
        return Reply(prepared, _rehearsal_view, 2 if prepared.preflight.failed else 0, "rehearsal")
    return run(project, bar, fresh=fresh, serve=serve, anyway=anyway)


def _rehearsal_view(prepared: Prepared) -> Iterator[Block]:
    found = prepared.preflight
    yield from findings_view(found.findings)
    ready = "it would not begin" if found.failed else "ready: freehold migrate"
    yield f"\n{ready}; nothing was asked, trained or paid for"


def run(
    project: Project,
    bar: Progress,
    *,
    fresh: bool = False,
    serve: bool,
    anyway: bool = False,
    journey: Callable[..., Migration] | None = None,
) -> Reply:
    """Migrate (by `journey`, where another one leads there and has looked), leave the endpoint running if wanted, tell
    how it ended."""
    from freehold.workflows.journey.migrate import migrate
    from freehold.workflows.serve import background

    journey = journey or partial(migrate, beginning="anyway" if anyway else "careful")
    endpoint = None
    try:
        migration = journey(project, progress=bar, fresh=fresh)
        if serve and migration.plan is not None:
            bar.step("start the endpoint")
            endpoint = background.start(project, progress=bar)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; nothing is lost, the same command goes on from here") from None
    made = {"migration": migration, "endpoint": endpoint}
    return Reply(made, lambda _: _migration_view(project, migration, endpoint), migration.exit_code)


def _migration_view(project: Project, migration: Migration, endpoint: Served | None) -> Iterator[Block]:
    from freehold.workflows.journey.migrate import first_request

    yield ""
    yield from choice_view(migration.report)
    for candidate in migration.report.candidates:
        if migration.report.choice is None or candidate is migration.best:  # else it is told above
            yield from _candidate_view(candidate)
            yield ""
    yield Verbatim(f"report     {migration.written.html}")
    if migration.plan is None:
        return
    if endpoint is None:
        yield "serve it   freehold up --capture patterns"
        return
    down = "freehold down" + _config_words(project)
    yield Verbatim(f"endpoint   {endpoint.url}/v1   (runs in the background; stop it: {down})")
    if (request := first_request(project, migration.plan.served_name)) is not None:
        yield click.style("\nTry it", bold=True)
        yield f"  asks: {request.asks[:160]}"
        yield Verbatim(
            f"  curl {endpoint.url}/v1/chat/completions -H 'content-type: application/json' \\\n"
            f"    -d @{shlex.quote(str(_shown(request.path)))}"
        )


def _candidate_view(candidate: CandidateReport) -> Iterator[Block]:
    yield click.style(candidate.label, bold=True)
    if candidate.stopped is not None:
        yield f"  stopped: {candidate.stopped}"
    if candidate.ruling is not None:
        yield "licence", candidate.ruling.outcome.replace("_", " ")
    if candidate.fit is not None:
        fit = candidate.fit
        yield "memory", f"{gib(fit.total_bytes, 2)} of {gib(fit.available_bytes, 1)}"
    if candidate.trained is not None:
        trained = candidate.trained
        yield (
            "training",
            f"{trained.steps} steps, {trained.train_tokens:,} tokens, {trained.train_seconds:.0f} s, "
            f"final loss {trained.final_loss:.3f}",
        )
    if candidate.proof is not None:
        yield from comparison_rows(candidate)
    elif candidate.measured is not None:
        measured = candidate.measured
        yield (
            "score",
            f"{_percent(measured.mean)}, {100 * measured.level:.3g}% interval "
            f"[{_percent(measured.ci_low)}, {_percent(measured.ci_high)}], n = {measured.n}; no incumbent answers",
        )
    if candidate.mixture is not None and not candidate.mixture.is_proven:
        yield "mixture", candidate.mixture.sentence
    if candidate.verdict is not None:
        from freehold.cli.evaluate import VERDICT_COLOURS

        outcome = candidate.verdict.outcome
        said = " with deferral" if candidate.verdict.mixture_id is not None else ""
        yield "verdict", click.style(outcome + said, fg=VERDICT_COLOURS[outcome], bold=True)
        yield from (("verdict", reason.text) for reason in candidate.verdict.reasons)


def _config_words(project: Project) -> str:
    """``--config PATH`` where a command given here would not find the project."""
    if project.config_path is None or Path.cwd().is_relative_to(project.root):
        return ""
    return f" --config {shlex.quote(str(_shown(project.config_path)))}"


def _shown(path: Path) -> Path:
    """A path as one would type it from here."""
    whole = path.resolve()
    return whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole


def comparison_rows(candidate: CandidateReport) -> list[tuple[str, str]]:
    """Score lines of one candidate, for the terminal."""
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


def choice_view(report: Report) -> Iterator[Block]:
    """How one of several candidates was chosen; nothing where there was nothing to choose."""
    from freehold.report.first_screen import NO_INCUMBENT, NOT_EVIDENCE, against_right, by_cost, not_measured

    choice = report.choice
    if choice is None:
        return
    yield f"{choice.sentence}\n"
    hours: dict[str, None] = {}
    for one in by_cost(report):
        yield f"  {one.label}"
        yield f"    {_figures(one)}"
        yield "    chosen" if one is report.chosen else f"    not chosen: {one.not_chosen or one.stopped}"
        cost = one.selection.cost if one.selection is not None else None
        if cost is not None and cost.machine_hour is not None:
            hours[cost.machine_hour] = None
    for one in not_measured(report):
        yield f"  {one.label}"
        yield f"    {one.not_chosen or f'stopped: {one.stopped}'}"
    yield ""
    yield from (f"Costs measured here are at {hour}." for hour in hours)
    if choice.overlapping:
        yield NOT_EVIDENCE
    if against_right(report):
        yield NO_INCUMBENT


def _figures(one: CandidateReport) -> str:
    found = one.selection
    assert found is not None
    parts = ["not scored" if found.mean is None else f"{100 * found.mean:.1f}%"]
    if found.difference is not None:
        limits = ""
        if found.ci_low is not None and found.ci_high is not None:
            limits = f" [{100 * found.ci_low:+.1f}, {100 * found.ci_high:+.1f}]"
        parts.append(f"{100 * found.difference:+.1f} points{limits}")
    parts.append(f"on {found.n:,} of {found.of:,} selection samples")
    if found.latency is not None and found.latency.total_p50_ms is not None:
        parts.append(f"half under {found.latency.total_p50_ms:,.0f} ms")
    if found.cost is not None:
        known = found.cost.usd_per_1000 is not None
        parts.append(
            f"{usd(found.cost)} per 1,000 requests" if known else f"cost not known ({found.cost.why})"
        )
    return ", ".join(parts)


@operation("demo", "freehold.cli.printed:Migrated")
def demo(
    *,
    example: Example = opt(
        "tickets: routed by a company's own rules. helpdesk: fields in nine languages, the harder one.",
        default=EXAMPLES[0],
        choices=EXAMPLES,
    ),
    folder: Path | None = opt(
        "Folder the example is copied to and worked in (default: freehold-demo, or freehold-demo-helpdesk).",
        "--dir",
        file_okay=False,
    ),
    serve: bool = opt("Leave the endpoint running at the end (default: yes).", default=True),
    bar: Progress = BAR,
) -> Reply:
    """Watch an application leave its rented model: the whole journey on an invented company's post.

    Takes some minutes on two cores: about 2,500 messages, small open models (fetched as Python packages), training
    here, the cheapest that is good enough chosen, proof, one page, an endpoint. Stop it when you like; the same
    command goes on. Exit code 0 when the journey ran to its end, whatever the verdict.

    \b
    Example:
      freehold demo
      freehold demo --example helpdesk --dir /tmp/try
    """
    from freehold.workflows.journey.demo import prepare
    from freehold.workflows.project import open_project

    default = "freehold-demo" if example == EXAMPLES[0] else f"freehold-demo-{example}"
    project = open_project(prepare(folder or Path(default), example), must_exist=True)
    return run(project, bar, serve=serve)._replace(exit_code=0)


@operation("down", "freehold.workflows.serve.background:Served")
def down(*, project: Project = opened(looks=True)) -> Reply:
    """Stop the gateway and engine that migrate or demo left running.

    \b
    Example:
      freehold down
    """
    from freehold.workflows.serve import background

    return Reply(background.stop(project), lambda stopped: [Aside(f"stopped {stopped.url}")])
