"""`freehold report`: the page that tells it all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import config_option, echo_table, json_option, not_with, print_json
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.types.evaluated import EvaluationLine


@click.command("report")
@click.argument("report_id", required=False)
@click.option("--open", "open_it", is_flag=True, help="Open the page in the browser.")
@click.option(
    "--share",
    is_flag=True,
    help="Leave out what customers and the application wrote; figures and ids stay. Files of their own are written.",
)
@config_option
@click.option(
    "--evaluations", "only_list", is_flag=True, help="List every evaluation side by side, those by hand, too."
)
@json_option("freehold.types.report:Report", evaluations="freehold.types.evaluated:EvaluationLine[]")
def command(
    report_id: str | None,
    open_it: bool,
    share: bool,
    only_list: bool,
    config_path: Path | None,
    as_json: bool,
) -> None:
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
    from freehold.workflows.project import open_project
    from freehold.workflows.tell import report as workflow
    from freehold.workflows.tell.report import evaluations

    not_with("--evaluations", only_list, "report_id", "open_it", "share")
    project = open_project(config_path, looks=True)
    if only_list or (report_id is None and not workflow.has_report(project)):
        found = evaluations(project)
        if only_list or found:
            _list(found, as_json=as_json)
            return
    report, written = workflow.rewrite(project, report_id, share=share)
    if as_json:
        print_json(report)
    else:
        echo(written.html)
    if open_it:
        click.launch(written.html)


def _list(found: list[EvaluationLine], *, as_json: bool) -> None:
    if as_json:
        print_json(found, "evaluations")
        return
    if not found:
        echo("no evaluations yet: freehold evaluate and freehold migrate make them", err=True)
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
    echo_table(rows)
    if len({(one.dataset_id, one.scorer) for one in found}) > 1:
        echo("only lines with the same items and scorer can be held against each other", err=True)
