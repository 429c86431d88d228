"""`freehold forget`: one person's words, or a file's, leave the project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import agree, caller, config_option, json_option, now, print_json, why_option
from freehold.cli.output import echo
from freehold.errors import UsageError

if TYPE_CHECKING:
    from freehold.workflows.data.forget import ForgetReceipt


@click.command("forget")
@click.option("--user", help="All of one user: as the request, its metadata or x-freehold-user names it.")
@click.option(
    "--trace", metavar="ID", help="One trace, by the beginning of its id, and what was mirrored from it."
)
@click.option("--conversation", metavar="ID", help="All of one conversation.")
@click.option("--source", metavar="FILE", help="All of an imported file or folder, or of the gateway.")
@click.option("--older-than", metavar="TIME", help="All before: 90d, 12h, or a date.")
@click.option("--dry-run", is_flag=True, help="Say what would go; change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@why_option
@config_option
@json_option("freehold.workflows.data.forget:ForgetReceipt")
def command(
    user: str | None,
    trace: str | None,
    conversation: str | None,
    source: str | None,
    older_than: str | None,
    dry_run: bool,
    yes: bool,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Delete the traces of a person, a file or a time and what was made from them; keep a receipt without their data.

    Covers the store with its backups, datasets, evaluations, labels, reports, caches, rejects and logs in the project's
    folders. A gateway may run. What has learned from it cannot unlearn: it is named.

    \b
    Example:
      freehold forget --user u-4711 --dry-run
      freehold forget --user u-4711
      freehold forget --source data/rows.csv
      freehold forget --older-than 90d --yes
    """
    given = [value for value in (user, trace, conversation, source, older_than) if value]
    if len(given) != 1:
        raise UsageError(
            "say what to forget, in one way",
            hint="freehold forget --user X, --trace ID, --conversation ID, --source FILE or --older-than TIME",
        )
    from freehold.cli.progress import progress
    from freehold.store import open_store
    from freehold.types.audit import change_why
    from freehold.workflows.data import traces
    from freehold.workflows.data.forget import Whom, forget
    from freehold.workflows.project import open_project

    named = user or conversation
    if named and named.casefold() in change_why.get().casefold():
        raise UsageError(
            f"--why names the {'user' if user else 'conversation'} that is to be forgotten, and is kept for ever",
            hint="give a reason without it: the number of the request, say",
        )
    before = None if older_than is None else traces.moment(older_than, now())
    project = open_project(config_path, looks=True)
    if trace is not None:
        with open_store(project.store_url) as store:
            if store.find_traces(trace):  # what is gone from the store may stand in files
                trace = traces.find(store, trace).id
    whom = Whom(user=user, trace=trace, conversation=conversation, source=source, before=before)
    if not dry_run and not yes:
        with progress() as shown:
            _show(
                forget(project, whom, who=caller(), at=now(), dry_run=True, progress=shown),
                "would go",
                err=True,
            )
        agree("delete this? It cannot be undone")
    with progress() as shown:
        made = forget(project, whom, who=caller(), at=now(), dry_run=dry_run, progress=shown)
    if as_json:
        print_json(made)
    else:
        _show(made, "would go" if dry_run else "deleted", err=False)


def _show(made: ForgetReceipt, done: str, *, err: bool) -> None:
    counts = {"traces": made.traces, **made.records}
    rows = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "no rows"
    kept = ", ".join(f"{count:,} {name}" for name, count in made.files.items()) or "none"
    echo(f"{done}: {rows}; files: {kept}", err=err)
    for note in made.notes:
        echo(f"  {note}", err=err)
