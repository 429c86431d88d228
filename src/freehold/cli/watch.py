"""`freehold watch`: is the promoted model still good?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

from freehold.cli.operation import Reply, opened, operation, opt, tell
from freehold.cli.options import not_with, now
from freehold.cli.output import Aside, Block, TableRows, echo
from freehold.cli.progress import progress

if TYPE_CHECKING:
    from freehold.store import Store
    from freehold.types.config import WatchConfig
    from freehold.types.rollout import Check, MixtureCheck
    from freehold.workflows.project import Project
    from freehold.workflows.watch.asking import CheckPlan

SLEEP_S = 30.0


@operation("watch", "freehold.types.rollout:Check", history="freehold.types.rollout:Check[]")
def watch(
    *,
    once: bool = opt("One check now, then end: for cron."),
    history: bool = opt("Show the checks so far, without a new one."),
    route_name: str | None = opt("Route to watch (default: the project's).", "--route"),
    project: Project = opened(),
    as_json: bool,
) -> Reply:
    """Check a promoted model again and again, or once.

    Asks the incumbent some of the last period's requests (or takes its frozen answers), scores both, and says what it
    will cost before it asks. Looks for drift of requests and answers as well. Alarms go to the hooks of [watch].

    Exit code with --once: 0 nothing found, 1 an alarm, 3 too little to say anything.

    \b
    Example:
      freehold watch --once --set watch.budget_usd=0.50
      freehold watch
      freehold watch --history
    """
    from freehold.workflows.project_store import opened_store
    from freehold.workflows.shift import routes
    from freehold.workflows.watch import watch as work

    not_with("--history", history, "once")
    config = project.config.watch
    name = route_name or project.config.app.name
    with opened_store(project) as (store, _):
        if route_name is not None:
            # A misspelt one would otherwise be watched for ever, with an alarm at every check.
            routes.find(store, route_name, option="--route")
        if history:
            return Reply(work.history(store, name), _checks_view, which="history")
        if not once:
            _keep_watching(project, store, name, config, as_json)
        made = _check(project, store, name, config)
    return Reply(made, _check_view, made.exit_code)


def _keep_watching(project: Project, store: Store, name: str, config: WatchConfig, as_json: bool) -> NoReturn:
    from freehold.errors import FreeholdError
    from freehold.workflows.watch import watch as work

    echo(f"watching the route {name} every {config.every_hours:g} hours (Ctrl-C stops)", err=True)
    retry_at = now()
    while True:
        due = max(work.next_due(store, name, config, at=now()), retry_at)
        if now() < due:
            time.sleep(min(SLEEP_S, max(0.1, (due - now()).total_seconds())))
            continue
        try:
            tell(Reply(_check(project, store, name, config), _check_view), as_json)
        except FreeholdError as error:
            # It goes on: what could not be checked now may be checked later, and the hooks are told.
            echo(f"{now():%Y-%m-%d %H:%M} not checked: {error.message}", err=True)
            for trouble in work.failed(project, name, error, at=now()):
                echo(trouble, err=True)
            retry_at = now() + timedelta(hours=min(1.0, config.every_hours))


def _check(project: Project, store: Store, name: str, config: WatchConfig) -> Check:
    from freehold.workflows.watch import watch as work

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
        return work.check(project, store, name, at=now(), config=config, planned=planned, progress=shown)


def _check_view(made: Check) -> Iterator[Block]:
    if made.difference is None:
        yield "quality", "not checked: no pairs"
    else:
        yield (
            "quality",
            f"{made.pairs} pairs against the incumbent ({made.against}): difference {made.difference:+.3f}, "
            f"statistic {made.statistic:.3g} of {made.acts_at:.0f}{_alarm(made.alarm)}",
        )
    if made.mixture is not None:
        yield from _mixture_view(made.mixture)
    if made.unscored:
        yield "quality", f"{made.unscored} could not be scored"
    if made.spent_usd is not None:
        yield "spent", f"{made.spent_usd:.4f} USD"
    drop = "no drop at all" if made.smallest_drop is None else f"a drop of {made.smallest_drop:.3f} or more"
    yield "power", f"such checks find {drop} within 8 periods (80 %)"
    for one in made.drift:
        shares = f"{one.share:.1%} of {one.users} users, {one.baseline:.1%} at promotion"
        yield one.side, f"{one.name}: {shares}{_alarm(one.alarm)}"
    yield from (("note", note) for note in made.notes)
    if made.action != "none":
        yield "traffic", made.action


def _mixture_view(found: MixtureCheck) -> Iterator[Block]:
    if found.safe_side:
        yield "mixture", "on the safe side: the incumbent answers everything until a new verdict"
    if found.share is not None:
        proven = ""
        if found.share_low is not None:
            proven = f", proven {found.share_low:.1%} to {found.share_high:.1%}"
        yield "mixture", f"{found.share:.1%} of {found.decided:,} requests answered here{proven}"
    if found.loss is not None:
        lost = f"all requests lose {found.loss:+.3f} against the incumbent"
        yield "mixture", f"{lost}, promised {found.margin:.3f} at most"
    if found.confidence is not None and found.as_good is not None:
        good = f"{found.as_good:.1%} of sure answers are as good as the incumbent's"
        yield "mixture", f"{good}, foretold {found.confidence:.1%}"
    for test in found.tests:
        said = f"{test.name}: statistic {test.statistic:.3g} of {test.acts_at:.0f}"
        yield "mixture", said + _alarm(test.alarm)


def _alarm(is_alarm: bool) -> str:
    return "  ALARM" if is_alarm else ""


def _checks_view(checks: Sequence[Check]) -> Iterator[Block]:
    if not checks:
        yield Aside("no checks yet: freehold watch --once makes one")
        return
    table = TableRows([("when (UTC)", "against", "pairs", "difference", "statistic", "USD", "found")])
    for one in checks:
        difference = "–" if one.difference is None else f"{one.difference:+.3f}"
        spent = "–" if one.spent_usd is None else f"{one.spent_usd:.4f}"
        found = ["quality"] if one.alarm and one.mixture is None else []
        found += [test.name for test in (one.mixture.tests if one.mixture else ()) if test.alarm]
        found += [drift.name for drift in one.drift if drift.alarm]
        when, statistic = f"{one.at:%Y-%m-%d %H:%M}", f"{one.statistic:.3g}"
        said = ", ".join(found) or "–"
        table.append((when, one.against, str(one.pairs), difference, statistic, spent, said))
    yield table
