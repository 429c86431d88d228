"""The generations of a route, which of them serves, and what the next one would be made of, take and cost."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import msgspec

from freehold.datasets import building
from freehold.errors import FreeholdError, UsageError
from freehold.stats import generations as budget
from freehold.stats import power
from freehold.store import Store, open_store
from freehold.types.dataset import SPLITS, Dataset
from freehold.types.endpoint import ENDPOINT_NAME, ServePlan
from freehold.types.generation import Generation, GenerationTraffic
from freehold.types.record import Record
from freehold.types.report import CandidateReport, Report
from freehold.types.route import Route, Target
from freehold.workflows.improve import traffic
from freehold.workflows.project import Project, now
from freehold.workflows.prove.task import task_of
from freehold.workflows.shift import routes

_GOES_ON = timedelta(days=1)
"""A generation that was begun and has not been looked at is begun again after this, with what arrived meanwhile."""

Outcome = Literal["waiting", "held", "serves"]


class NextGeneration(Record, frozen=True, kw_only=True):
    """What a generation would be made of, and what it takes; nothing was asked or trained for it."""

    number: int
    traffic: GenerationTraffic
    alpha: float
    """What its look may err, one-sided: its part of the budget for all generations."""
    wanted: int
    """Audited requests with which an equally good generation has a good chance to be proven. With fewer no look is
    taken: one that shows nothing spends what the later ones may err."""
    to_ask: int
    usd: Decimal | None
    """What the incumbent's answers cost at most; None where its price is not known."""
    ready_at: datetime | None
    """When there are enough, at the present rate; None where there are, or no rate is known."""
    share_now: float | None
    """Of the audited requests, what was answered here; None without any."""

    @property
    def suffices(self) -> bool:
        return self.traffic.audited >= self.wanted


class Improvement(Record, frozen=True, kw_only=True):
    """What `freehold improve` came to: all generations of the route, and what is next."""

    route: str
    outcome: Outcome
    sentence: str
    generations: tuple[Generation, ...]
    outlook: NextGeneration | None = None
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0: a new generation serves. 1: it was held back. 3: too little has arrived to prove one."""
        return {"serves": 0, "held": 1, "waiting": 3}[self.outcome]

    def summary(self) -> str:
        """What came out, in a sentence."""
        return self.sentence


class Chain(NamedTuple):
    """The generations of a route since its candidate was promoted by a migration, which is the first of them; and the
    one that serves."""

    all: tuple[Generation, ...]
    serving: Generation
    after: int
    """The place up to which requests were learned from or looked at: those behind it are fresh."""
    alarm: int | None = None
    """Where an alarm took the traffic from the one that serves, the place of the last request before that."""

    @property
    def first(self) -> Generation:
        return self.all[0]

    @property
    def unfinished(self) -> Generation | None:
        last = self.all[-1]
        return last if last.state in ("begun", "looked", "proven") else None

    @property
    def settled(self) -> tuple[Generation, ...]:
        """Those that were looked at, the anchor apart; one that was looked at and whose result is not known was not
        swapped in."""
        return tuple(one for one in self.all[1:] if one.state != "begun")


def chain_of(store: Store, route: Route) -> Chain:
    """The generations of a promoted route; the candidate that serves is kept as the first where it is of none.

    Where an alarm gave all requests to the incumbent, only those since then are fresh: what was proven no longer holds.
    Raises `UsageError` where no candidate serves.
    """
    if route.state != "promoted" or route.candidate is None:
        raise UsageError(
            f"the route {route.name} is {route.state}: only a promoted model gets better",
            hint="freehold rollout status shows how far it is",
        )
    known = sorted(
        (one for one in store.records(Generation) if one.route == route.name), key=lambda one: one.number
    )
    looked = [one.traffic.upto for one in known if one.state != "begun"]
    serving = next((one for one in reversed(known) if one.plan is not None and _serves(one, route)), None)
    if serving is None:
        number = known[-1].number + 1 if known else 0
        serving = _anchor(store, route, number=number, upto=max(looked, default=0))
        known = [*known, serving]
        looked.append(serving.traffic.upto)
    # An alarm took the traffic from what served after the one that serves now.
    known = [
        msgspec.structs.replace(one, state="rolled_back")
        if one.number > serving.number and one.state == "serves"
        else one
        for one in known
    ]
    first = max(place for place, one in enumerate(known) if one.alpha is None)
    after, alarm = max(looked), None
    if route.deferral is not None and route.deferral.is_on_safe_side:
        alarm = _before(store, route, route.deferral.id)
        after = max(after, alarm)
    return Chain(tuple(known[first:]), serving, after, alarm)


def _before(store: Store, route: Route, rule_id: str) -> int:
    """The place before the first request that a rule decided on; of the last request where there is none yet."""
    after = 0
    while rows := store.traces_after(after, most=1_000, route=route.name, own_only=True):
        after = rows[-1][0]
        for place, trace in rows:
            if trace.deferral is not None and trace.deferral.rule_id == rule_id:
                return place - 1
    return store.newest_trace().place


def _serves(generation: Generation, route: Route) -> bool:
    """Whether a route's traffic is a generation's."""
    rule, own = route.deferral, generation.rule
    if generation.state not in ("serves", "proven"):
        return False
    if rule is not None and own is not None and rule.is_on_safe_side:
        own = own.on_safe_side()
    same_rule = rule is own if rule is None or own is None else rule.id == own.id
    assert route.candidate is not None and generation.plan is not None
    return (
        same_rule
        and route.candidate.endpoint == generation.endpoint
        and route.candidate.model in (None, generation.plan.served_name)
    )


def _anchor(store: Store, route: Route, *, number: int, upto: int) -> Generation:
    """What a migration promoted, as the first of its generations.

    Raises `UsageError` where what serves is not what the last migration made and proved.
    """
    plan, report, rule = store.latest(ServePlan), store.latest(Report), route.deferral
    assert route.candidate is not None
    made = None
    if plan is not None and report is not None:
        made = next((one for one in report.candidates if one.served_as == plan.served_name), None)
    if rule is not None and rule.is_on_safe_side and made is not None and made.mixture is not None:
        proven = made.mixture.rule  # of which that is the safe side
        rule = proven if proven is not None and proven.on_safe_side().id == rule.id else rule
    is_made_here = plan is not None and route.candidate == Target(
        endpoint=ENDPOINT_NAME, model=route.candidate.model and plan.served_name
    )
    is_its_rule = rule is None or (
        plan is not None and rule.candidate.identity == plan.candidate_id() and not rule.is_on_safe_side
    )
    if plan is None or not (is_made_here and is_its_rule):
        raise UsageError(
            f"what serves the route {route.name} is not what freehold migrate made last, so it cannot be made again",
            hint="freehold improve goes on from what freehold migrate has promoted",
        )
    if report is None or made is None or made.outcome != "promote":
        raise UsageError(
            "no report tells how the promoted model was made", hint="freehold migrate writes one"
        )
    return Generation(
        route=route.name,
        number=number,
        at=now(),
        state="serves",
        plan=plan,
        rule=rule,
        endpoint=ENDPOINT_NAME,
        traffic=GenerationTraffic(after=0, upto=max(upto, _learned_upto(store, route, report.dataset))),
        dataset_id=report.dataset.id,
        **shown(made),
        why="promoted by freehold migrate",
    )


def share_of(report: CandidateReport) -> float:
    """What a report's candidate is to answer of the requests."""
    mixture = report.mixture
    return 1.0 if mixture is None or mixture.rule is None else mixture.share or 0.0


def shown(report: CandidateReport) -> dict[str, Any]:
    """What a report says of a generation."""
    compared = report.mixture.comparison if report.mixture is not None else None
    compared = compared or report.comparison
    mixture = report.mixture
    cost = None if mixture is None or mixture.cost is None else mixture.cost.mixture_usd
    return {
        "label": report.label,
        "share": share_of(report),
        "difference": None if compared is None else compared.difference,
        "low": None if compared is None else compared.ci_low,
        "high": None if compared is None else compared.ci_high,
        "mixture_id": None if mixture is None else mixture.id,
        "verdict_id": None if report.verdict is None else report.verdict.id,
        "usd_per_1000": cost,
    }


def _learned_upto(store: Store, route: Route, dataset: Dataset) -> int:
    """The place of the last request that the candidate had answered and a migration learned from, or looked at, since
    people had said what is right of it. Where that cannot be read any more, the last of all."""
    try:
        ids = {one.trace_id for split in SPLITS for one in building.samples(dataset, split)}
    except FreeholdError:
        return store.newest_trace().place
    place = after = 0
    while rows := store.traces_after(after, most=1_000, route=route.name, own_only=True):
        after = rows[-1][0]
        place = max([place, *(at for at, one in rows if one.arm == "candidate" and one.id in ids)])
    return place


def levels(project: Project, chain: Chain) -> budget.GenerationLevel:
    """What the next look may err; of one that was taken and whose result is not known, what it had."""
    begun = chain.unfinished
    if begun is not None and begun.state == "looked":
        assert begun.alpha is not None and begun.better_alpha is not None
        return budget.GenerationLevel(
            number=len(chain.settled), swap_alpha=begun.alpha, better_alpha=begun.better_alpha
        )
    past = [
        budget.GenerationLook(swapped=True, better=one.better)
        if one.state in ("proven", "serves", "rolled_back")
        else budget.GenerationLook()  # one proven and then held, as after an alarm, hands nothing on
        for one in chain.settled
    ]
    return budget.next_level(past, budget=project.config.improve.error)


def look_ahead(
    project: Project, store: Store, route: Route, chain: Chain
) -> tuple[NextGeneration, traffic.Span]:
    """What the next generation would be made of. Nothing is asked, kept or trained."""
    begun = chain.unfinished
    goes_on = begun is not None and (begun.state != "begun" or now() - begun.at < _GOES_ON)
    if begun is not None and goes_on and begun.traffic.after >= (chain.alarm or 0):
        after, upto = begun.traffic.after, begun.traffic.upto
    else:
        after, upto = chain.after, store.newest_trace().place
    seen = traffic.span(store, route, project, after=after, upto=upto)
    task, level = task_of(project), levels(project, chain)
    least = power.rare_loss_n(task.margin, level.swap_alpha)
    wanted = max(power.items_needed(task.margin, level.swap_alpha), least)
    to_ask = traffic.to_ask(project, seen.audited, traffic.known_answers(store, route))
    days = seen.days_for(wanted - len(seen.audited)) if len(seen.audited) < wanted else None
    here = [not traffic.by_incumbent(one) for one in seen.audited]
    outlook = NextGeneration(
        number=chain.all[-1].number + (chain.unfinished is None),
        traffic=seen.found,
        alpha=level.swap_alpha,
        wanted=wanted,
        to_ask=len(to_ask.traces),
        usd=to_ask.usd,
        ready_at=None if days is None else now() + timedelta(days=days),
        share_now=sum(here) / len(here) if here else None,
    )
    return outlook, seen


def waiting(route: Route, chain: Chain, outlook: NextGeneration) -> Improvement:
    found = outlook.traffic
    if outlook.suffices:
        sentence = (
            f"Generation {outlook.number} can be made: {found.audited:,} audited requests are here, and it takes "
            f"{outlook.wanted:,}."
        )
    else:
        when = "" if outlook.ready_at is None else f", at this rate by {outlook.ready_at:%Y-%m-%d}"
        sentence = (
            f"Too little has arrived to prove generation {outlook.number}: {found.audited:,} audited requests of the "
            f"{outlook.wanted:,} that it takes{when}."
        )
    return Improvement(
        route=route.name, outcome="waiting", sentence=sentence, generations=chain.all, outlook=outlook
    )


def outlook_of(project: Project, *, route_name: str | None = None) -> Improvement:
    """The generations so far, and what the next one would be made of and cost. Nothing changes."""
    with open_store(project.store_url) as store:
        route = routes.find(store, route_name or project.config.app.name)
        chain = chain_of(store, route)
        outlook, _ = look_ahead(project, store, route, chain)
    return waiting(route, chain, outlook)
