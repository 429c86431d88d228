"""`freehold status`: where am I, and what next; `freehold report`: the page that tells it all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.operation import CONFIG, Reply, arg, opened, operation, opt
from freehold.cli.options import not_with, now
from freehold.cli.output import Aside, Block, TableRows, hanging
from freehold.types.license import WOULD_DECIDE

if TYPE_CHECKING:
    from freehold.types.evaluated import EvaluationLine
    from freehold.types.journey import JourneyState
    from freehold.workflows.project import Project

WORDS = {"done": "done", "now": "NOW", "later": "-", "stale": "STALE", "failed": "FAILED"}
COLOURS = {"done": "green", "now": "cyan", "stale": "yellow", "failed": "red"}


@operation("status", "freehold.types.journey:JourneyState")
def status(*, config_path: Path | None = CONFIG) -> Reply:
    """Where the project is on its way, and what to do next, with the command that does it.

    Looks at freehold.toml, the store and the gateway of this machine, and changes nothing. Works in an empty folder.
    The report and the console tell the same next step.
    Exit code: 0, or 2 where freehold.toml or the store cannot be read.

    \b
    Examples:
      freehold status
      freehold status --config /srv/app/freehold.toml
      freehold status --json | jq -r .next.command
    """
    from freehold.workflows.tell.project_facts import journey_of

    state = journey_of(config_path, at=now())
    return Reply(state, state_view, 2 if state.stage == "broken" else 0)


def state_view(state: JourneyState) -> Iterator[Block]:
    """A state for people."""
    for line in state.incidents:
        yield click.style(hanging(line, "ALARM  "), fg="red", bold=True)
    name = click.style(state.app, bold=True)
    leaves = "" if state.incumbent is None else f", which leaves {state.incumbent}"
    yield f"{name}{leaves}"
    yield hanging(state.sentence, "where  ")
    if state.rented is not None and state.rented not in state.warnings:
        yield hanging(state.rented, "money  ")
    if state.learning is not None:
        said, more, _ = state.learning.partition(WOULD_DECIDE)
        way = f": freehold license {state.incumbent}" if more else ""
        yield hanging(said + way, "terms  ")
    for line in state.warnings:
        if not any(one.startswith(line) for one in state.incidents):
            yield hanging(line, "note   ")
    yield hanging(state.next.sentence, "next   ")
    yield f"       {click.style(state.next.command, bold=True)}"
    if state.next.why:
        yield hanging(f"because {state.next.why}", "       ")
    if state.steps:
        yield ""
    width = max((len(step.title) for step in state.steps), default=0)
    for step in state.steps:
        word = click.style(WORDS[step.state].ljust(6), fg=COLOURS.get(step.state))
        when = "" if step.at is None else f", {step.at:%Y-%m-%d}"
        yield hanging(f"{step.detail}{when}", f"  {word}  {step.title.ljust(width)}  ")
    for one in state.evidence:
        age = "age not known" if one.days is None else f"{one.days} days old"
        holds = "holds" if one.max_age_days is None else f"holds for {one.max_age_days:g}"
        said = "; ".join(one.stale) or holds
        yield hanging(said, f"  {one.gate}: {age}, ")
    if state.next.others:
        yield "\nor"
    for other in state.next.others:
        yield hanging(other.sentence, "  ")
        yield f"    {other.command}"


@operation("report", "freehold.types.report:Report", evaluations="freehold.types.evaluated:EvaluationLine[]")
def report(
    report_id: str | None = arg(),
    *,
    open_it: bool = opt("Open the page in the browser.", "--open"),
    share: bool = opt(
        "Leave out what customers and the application wrote; figures and ids stay. Files of their own are written."
    ),
    only_list: bool = opt("List every evaluation side by side, those by hand, too.", "--evaluations"),
    project: Project = opened(looks=True),
) -> Reply:
    """Write the page of the last migration (or of REPORT_ID) again, and say where it is.

    Next to the page are the same as JSON and Markdown. What to do next, how long it holds and what it costs are as of
    now. With --json the whole report is printed as JSON: every number with the ids of what it was made from. Where
    nothing was migrated yet, the evaluations that freehold evaluate made are listed.

    \b
    Examples:
      freehold report --open
      freehold report --share
      freehold report --json | jq .candidates[0].comparison
      freehold report --evaluations
    """
    from freehold.workflows.tell import report as workflow

    not_with("--evaluations", only_list, "report_id", "open_it", "share")
    if only_list or (report_id is None and not workflow.has_report(project)):
        found = workflow.evaluations(project)
        if only_list or found:
            return Reply(found, _evaluations_view, which="evaluations")
    made, written = workflow.rewrite(project, report_id, share=share)

    if open_it:
        click.launch(written.html)
    return Reply(made, lambda _: [written.html])


def _evaluations_view(found: Sequence[EvaluationLine]) -> Iterator[Block]:
    if not found:
        yield Aside("no evaluations yet: freehold evaluate and freehold migrate make them")
        return
    rows = [("when (UTC)", "candidate", "score", "n", "against", "difference", "verdict", "look", "items")]
    for one in found:
        score = "-" if one.score is None else f"{one.score:.4f}"
        difference = "-"
        if one.difference is not None:
            difference = f"{one.difference:+.4f}"
            if one.difference_low is not None and one.difference_high is not None:
                difference += f" [{one.difference_low:+.4f}, {one.difference_high:+.4f}]"
        rows.append(
            (
                "-" if one.at is None else f"{one.at:%Y-%m-%d %H:%M}",
                one.candidate, score, f"{one.n:,}", one.incumbent, difference,
                one.verdict or "-", "-" if one.look is None else str(one.look),
                f"{one.dataset_id.removeprefix('sha256:')[:8]} by {one.scorer}",
            )
        )  # fmt: skip
    yield TableRows(rows)
    if len({(one.dataset_id, one.scorer) for one in found}) > 1:
        yield Aside("only lines with the same items and scorer can be held against each other")
