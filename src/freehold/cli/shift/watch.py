"""`freehold watch`: is the promoted model still good?"""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from freehold.cli.amounts import budget
from freehold.cli.options import (
    config_option,
    hanging,
    json_option,
    not_with,
    now,
    print_json,
    stated,
)
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.store import Store
    from freehold.types.config import WatchConfig
    from freehold.types.serving.rollout import Check, MixtureCheck
    from freehold.workflows.project import Project
    from freehold.workflows.watch.asking import CheckPlan

SLEEP_S = 30.0


@click.command("watch")
@click.option("--once", is_flag=True, help="One check now, then end: for cron.")
@click.option("--history", is_flag=True, help="Show the checks so far, without a new one.")
@click.option("--route", "route_name", help="Route to watch (default: the project's).")
@click.option(
    "--budget",
    "budget_usd",
    metavar="USD",
    type=budget,
    help="Most the check may cost (default: [watch] budget_usd).",
)
@config_option
@json_option("freehold.types.serving.rollout:Check", history="freehold.types.serving.rollout:Check[]")
def command(
    once: bool,
    history: bool,
    route_name: str | None,
    config_path: Path | None,
    as_json: bool,
    **terms: Any,
) -> None:
    """Check a promoted model again and again, or once.

    Asks the incumbent some of the last period's requests (or takes its frozen answers), scores both, and says what it
    will cost before it asks. Looks for drift of requests and answers as well. Alarms go to the hooks of [watch].

    Exit code with --once: 0 nothing found, 1 an alarm, 3 too little to say anything.

    \b
    Example:
      freehold watch --once --budget 0.50
      freehold watch
      freehold watch --history
    """
    import msgspec

    from freehold.workflows.project import open_project
    from freehold.workflows.project_store import opened_store
    from freehold.workflows.shift import routes
    from freehold.workflows.watch import watch

    not_with("--history", history, "once", "budget_usd")
    project = open_project(config_path)
    config = msgspec.structs.replace(project.config.watch, **stated(terms))
    name = route_name or project.config.app.name
    with opened_store(project) as (store, _):
        if route_name is not None:
            # A misspelt one would otherwise be watched for ever, with an alarm at every check.
            routes.find(store, route_name, option="--route")
        if history:
            checks = watch.history(store, name)
            if as_json:
                print_json(checks, "history")
            else:
                _table(checks)
            return
        if once:
            made = _check(project, store, name, config, as_json)
            sys.exit(made.exit_code)
        _keep_watching(project, store, name, config, as_json)


def _keep_watching(project: Project, store: Store, name: str, config: WatchConfig, as_json: bool) -> None:
    from freehold.errors import FreeholdError
    from freehold.workflows.watch import watch

    echo(f"watching the route {name} every {config.every_hours:g} hours (Ctrl-C stops)", err=True)
    retry_at = now()
    while True:
        due = max(watch.next_due(store, name, config, at=now()), retry_at)
        if now() < due:
            time.sleep(min(SLEEP_S, max(0.1, (due - now()).total_seconds())))
            continue
        try:
            _check(project, store, name, config, as_json)
        except FreeholdError as error:
            # It goes on: what could not be checked now may be checked later, and the hooks are told.
            echo(f"{now():%Y-%m-%d %H:%M} not checked: {error.message}", err=True)
            for trouble in watch.failed(project, name, error, at=now()):
                echo(trouble, err=True)
            retry_at = now() + timedelta(hours=min(1.0, config.every_hours))


def _check(project: Project, store: Store, name: str, config: WatchConfig, as_json: bool) -> Check:
    from freehold.cli.progress import progress
    from freehold.workflows.watch import watch

    def planned(plan: CheckPlan) -> None:
        if plan.against == "live":
            echo(
                f"asking the incumbent {len(plan.samples)} requests: about {plan.estimated_usd:.4f} USD at most, "
                f"budget {config.budget_usd} USD",
                err=True,
            )
        else:
            echo(f"asking the candidate {len(plan.samples)} frozen requests: free", err=True)

    with progress() as shown:
        made = watch.check(project, store, name, at=now(), config=config, planned=planned, progress=shown)
    if as_json:
        print_json(made)
    else:
        _tell(made)
    return made


def _tell(made: Check) -> None:
    if made.difference is None:
        echo("quality    not checked: no pairs")
    else:
        flag = "  ALARM" if made.alarm else ""
        echo(
            f"quality    {made.pairs} pairs against the incumbent ({made.against}): difference "
            f"{made.difference:+.3f}, statistic {made.statistic:.3g} of {made.acts_at:.0f}{flag}"
        )
    if made.mixture is not None:
        _tell_mixture(made.mixture)
    if made.unscored:
        echo(f"           {made.unscored} could not be scored")
    if made.spent_usd is not None:
        echo(f"spent      {made.spent_usd:.4f} USD")
    drop = "no drop at all" if made.smallest_drop is None else f"a drop of {made.smallest_drop:.3f} or more"
    echo(f"power      such checks find {drop} within 8 periods (80 %)")
    for one in made.drift:
        flag = "  ALARM" if one.alarm else ""
        echo(
            f"{one.side:<10} {one.name}: {one.share:.1%} of {one.users} users, {one.baseline:.1%} at promotion{flag}"
        )
    for note in made.notes:
        echo(hanging(note, "note       "))
    if made.action != "none":
        echo(f"traffic    {made.action}")


def _tell_mixture(found: MixtureCheck) -> None:
    if found.safe_side:
        echo("mixture    on the safe side: the incumbent answers everything until a new verdict")
    if found.share is not None:
        proven = (
            "" if found.share_low is None else f", proven {found.share_low:.1%} to {found.share_high:.1%}"
        )
        echo(f"mixture    {found.share:.1%} of {found.decided:,} requests answered here{proven}")
    if found.loss is not None:
        echo(
            f"           all requests lose {found.loss:+.3f} against the incumbent, promised {found.margin:.3f} at most"
        )
    if found.confidence is not None and found.as_good is not None:
        good = f"{found.as_good:.1%} of sure answers are as good as the incumbent's"
        echo(f"           {good}, foretold {found.confidence:.1%}")
    for test in found.tests:
        flag = "  ALARM" if test.alarm else ""
        echo(f"           {test.name}: statistic {test.statistic:.3g} of {test.acts_at:.0f}{flag}")


def _table(checks: list[Check]) -> None:
    if not checks:
        echo("no checks yet: freehold watch --once makes one", err=True)
        return
    echo(f"{'when (UTC)':<17}{'against':>9}{'pairs':>7}{'difference':>12}{'statistic':>11}{'USD':>9}  found")
    for one in checks:
        difference = "–" if one.difference is None else f"{one.difference:+.3f}"
        spent = "–" if one.spent_usd is None else f"{one.spent_usd:.4f}"
        found = ["quality"] if one.alarm and one.mixture is None else []
        found += [test.name for test in (one.mixture.tests if one.mixture else ()) if test.alarm]
        found += [drift.name for drift in one.drift if drift.alarm]
        echo(
            f"{one.at:%Y-%m-%d %H:%M} {one.against:>9}{one.pairs:>7}{difference:>12}{one.statistic:>11.3g}"
            f"{spent:>9}  {', '.join(found) or '–'}"
        )
