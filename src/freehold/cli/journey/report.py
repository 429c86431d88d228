"""`freehold report`: the page that tells it all."""

from __future__ import annotations

from pathlib import Path

import click

from freehold.cli.options import config_option, json_option, print_json
from freehold.cli.output import echo


@click.command("report")
@click.argument("report_id", required=False)
@click.option("--open", "open_it", is_flag=True, help="Open the page in the browser.")
@config_option
@json_option("freehold.types.report:Report")
def command(report_id: str | None, open_it: bool, config_path: Path | None, as_json: bool) -> None:
    """Write the page of the last migration (or of REPORT_ID) again, and say where it is.

    With --json the whole report is printed as JSON: every number with the ids of what it was made from.

    \b
    Examples:
      freehold report --open
      freehold report --json | jq .candidates[0].comparison
    """
    from freehold.workflows.project import open_project
    from freehold.workflows.tell import report as workflow

    report, written = workflow.rewrite(open_project(config_path), report_id)
    if as_json:
        print_json(report)
    else:
        echo(written.html)
    if open_it:
        click.launch(written.html)
