"""`freehold improve`: the next generation of the promoted model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from freehold.cli.operation import Reply, opened, operation, opt
from freehold.cli.output import Aside, Block, TableRows
from freehold.cli.progress import progress

if TYPE_CHECKING:
    from freehold.types.generation import Generation
    from freehold.workflows.improve.chain import Improvement, NextGeneration
    from freehold.workflows.project import Project


@operation("improve", "freehold.workflows.improve.chain:Improvement")
def improve(
    *,
    dry_run: bool = opt("Say what the next generation would be made of, and cost; nothing is asked."),
    route_name: str | None = opt("Route whose model gets better (default: the project's).", "--route"),
    project: Project = opened(),
) -> Reply:
    """Make the promoted model better from its traffic, and swap it in if proven.

    A random share of all requests ([improve] audit_share) is put to the incumbent as well, within a budget: only these
    prove. What the incumbent answered anyway, and what people corrected, teaches. The new generation serves only when
    it is shown not to be worse, by the margin, than the incumbent, than the generation before and than the first. Over
    all generations there will ever be, [improve] error bounds the chance that one breaks that.

    For a timer: one runs at a time, and the same command goes on after a kill.

    Exit code: 0 a new generation serves, 1 it was held back, 3 too little has arrived.

    \b
    Example:
      freehold improve --dry-run
      freehold improve --set improve.budget_usd=2
    """
    from freehold.workflows.improve import chain
    from freehold.workflows.improve import improve as work

    if dry_run:
        return Reply(chain.outlook_of(project, route_name=route_name), _view)
    with progress() as shown:
        made = work.improve(project, route_name=route_name, progress=shown)
    return Reply(made, _view, made.exit_code)


def _view(made: Improvement) -> Iterator[Block]:
    yield made.sentence
    if made.outlook is not None:
        yield from _outlook(made.outlook)
    yield _table(made.generations)
    yield from (("note", note) for note in made.notes)
    yield Aside("freehold watch looks after what serves; freehold rollout rollback takes all traffic back")


def _outlook(found: NextGeneration) -> Iterator[Block]:
    seen = found.traffic
    yield (
        "since then",
        f"{seen.requests:,} requests: {seen.audited:,} audited, {seen.deferred:,} answered by the incumbent, "
        f"{seen.corrected:,} corrected",
    )
    yield "takes", f"{found.wanted:,} audited requests, for a good chance"
    if found.to_ask:
        price = "its price is not known" if found.usd is None else f"${found.usd:.2f} at most"
        yield "asks", f"the incumbent, {found.to_ask:,} requests: {price}"
    if found.share_now is not None:
        yield "gains", f"{1 - found.share_now:.1%} of requests still go to the incumbent: no more can be won"
    yield "error", f"{found.alpha:.2%} of the budget for all generations"


def _table(generations: tuple[Generation, ...]) -> TableRows:
    table = TableRows(
        [("", "when (UTC)", "state", "here", "to incumbent", "to the one before", "learned from")]
    )
    serves = max((one.number for one in generations if one.state == "serves"), default=None)
    for one in generations:
        before = next(iter(one.earlier), None)
        seen = one.traffic
        learned = (
            "–" if seen is None else f"{seen.audited:,} audited, {seen.deferred + seen.corrected:,} more"
        )
        table.append(
            (
                str(one.number),
                f"{one.at:%Y-%m-%d %H:%M}",
                "served" if one.state == "serves" and one.number != serves else one.state.replace("_", " "),
                "–" if one.share is None else f"{one.share:.1%}",
                _points(one.difference, one.low, one.high),
                "–" if before is None else _points(before.difference, before.low, before.high),
                learned,
            )
        )
    return table


def _points(difference: float | None, low: float | None, high: float | None) -> str:
    if difference is None or low is None or high is None:
        return "–"
    return f"{100 * difference:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
