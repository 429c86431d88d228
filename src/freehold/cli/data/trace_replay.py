"""`freehold traces replay`: a captured request put once more to one side."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.amounts import budget
from freehold.cli.options import agree, caller, config_option, json_option, now, print_json, why_option
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.types.trace import Trace
    from freehold.workflows.shift.trace_replay import ReplayPlan, ReplaySide, TraceReplay


@click.command("replay")
@click.argument("id")
@click.option(
    "--to",
    "side",
    type=click.Choice(["incumbent", "candidate"]),
    default="candidate",
    show_default=True,
    help="Whom to ask.",
)
@click.option(
    "--budget-usd",
    type=budget,
    default="1",
    metavar="USD",
    show_default=True,
    help="What all replays of the last 24 hours may cost together.",
)
@click.option("--dry-run", is_flag=True, help="Say what it would cost; ask no model.")
@click.option("--yes", is_flag=True, help="Do not ask for a confirmation.")
@why_option
@config_option
@json_option(
    "freehold.workflows.shift.trace_replay:TraceReplay",
    plan="freehold.workflows.shift.trace_replay:ReplayPlan",
)
def replay_command(
    id: str,
    side: ReplaySide,
    budget_usd: Decimal,
    dry_run: bool,
    yes: bool,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Ask a captured request again: the candidate, or the incumbent.

    What it can cost is said first and has to be confirmed. The answer is printed and not kept; the audit record says
    that it was asked, by whom and what it cost. Tools that the API runs itself are refused, calls of functions are
    shown and not made. The candidate is asked through this project's gateway.
    Exit code: 0, or 1 where no answer came.

    \b
    Example:
      freehold traces replay 01a210d9 --to incumbent --dry-run
      freehold traces replay 01a210d9 --to incumbent --budget-usd 0.10 --yes
      freehold traces replay 01a210d9
    """
    from freehold.workflows.data import traces
    from freehold.workflows.project import open_project
    from freehold.workflows.project_store import opened_store
    from freehold.workflows.shift.trace_replay import plan_replay, replay_trace

    with opened_store(open_project(config_path)) as (store, project):
        plan = plan_replay(project, store, id, side, budget_usd=budget_usd, at=now())
        if dry_run:
            _print_plan(plan, as_json=as_json)
            return
        if not yes:
            _show_plan(plan, err=True)
            agree("ask?")
        made = replay_trace(
            project,
            store,
            plan.trace_id,
            side,
            agreed_usd=plan.most_usd,
            budget_usd=budget_usd,
            who=caller(),
            at=now(),
        )
        before = traces.find(store, plan.trace_id)
    if as_json:
        print_json(made)
    else:
        _show(made, before)
    if made.output is None:
        raise SystemExit(1)


def _print_plan(plan: ReplayPlan, *, as_json: bool) -> None:
    if as_json:
        print_json(plan, "plan")
    else:
        _show_plan(plan, err=False)


def _show_plan(plan: ReplayPlan, *, err: bool) -> None:
    if plan.most_usd is None or plan.about_usd is None:
        cost = "which charges nothing"
    else:
        cost = (
            f"about {plan.about_usd:.4f} USD, at most {plan.most_usd:.4f}; replays of the last 24 hours cost "
            f"{plan.spent_usd:.4f} of {plan.budget_usd}"
        )
    echo(f"{plan.trace_id} to {plan.model} at {plan.endpoint}: {cost}", err=err)
    for note in plan.notes:
        echo(f"  {note}", err=err)


def _show(made: TraceReplay, before: Trace) -> None:
    from freehold.datasets.building import answer_of

    echo(f"{click.style('then', bold=True)}, {before.endpoint or before.source}:")
    echo(answer_of(before) or "–")
    took = "" if made.total_ms is None else f", {made.total_ms:.0f} ms"
    cost = "" if made.usd is None else f", {made.usd:.4f} USD"
    echo(f"\n{click.style('now', bold=True)}, {made.plan.model} at {made.plan.endpoint}{took}{cost}:")
    echo(made.output if made.output is not None else f"no answer: {made.error}")
    if made.output is not None and made.error is not None:
        echo(f"  {made.error}", err=True)
