"""Plans the mixtures of a candidate and the incumbent on the selection split, and looks at them once.

The signal and the thresholds are settled before a held-out sample is seen, so one look at all shares, the candidate
alone after them, keeps all of the error that is allowed (docs/decisions/018). What the candidate is not sure of is the
incumbent's, or that of a larger model of one's own, which is asked by its endpoint and scored against the incumbent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import NamedTuple

import anyio
import msgspec

from freehold import __version__
from freehold.catalog.retirements import ending_of
from freehold.costs.prices import flat_price
from freehold.datasets import building
from freehold.deferring.signals import unreadable_note
from freehold.errors import FreeholdError
from freehold.evals.frozen import with_frozen
from freehold.evals.replay import ReplayOptions
from freehold.evals.task_comparison import prepared
from freehold.stats import power
from freehold.stats.deferral import best_curve
from freehold.stats.rules import MIN_PAIRS_PROMOTE
from freehold.types.choosing import RequestCost, SelectionScores
from freehold.types.config import PriceConfig, ProjectConfig
from freehold.types.dataset import Sample, SplitName
from freehold.types.deferral import Tier
from freehold.types.evaluated import Evaluation
from freehold.types.evaluation import EvalResult
from freehold.types.mixture import Mixture, MixtureCost
from freehold.types.record import content_id
from freehold.wire.base_url import stem
from freehold.workflows.choose.traffic import StatedTraffic, price_traffic
from freehold.workflows.data.curate import label_shifts_of
from freehold.workflows.journey.measuring import (
    SELECTION_SPLIT,
    is_pairwise,
    measured,
    request_cost,
    score_on_selection,
)
from freehold.workflows.journey.methods import Bench, Candidate, Made
from freehold.workflows.journey.methods.method import endpoint_of
from freehold.workflows.journey.mixing import (
    AskedTier,
    SelectionSplit,
    check_declared,
    find_curves,
    look,
    refusals,
    rule_of,
)
from freehold.workflows.journey.paying import PricedModel, asked_model
from freehold.workflows.project import Project, now
from freehold.workflows.prove.evaluate import EvaluationPlan, ServedCandidate, ask_and_score
from freehold.workflows.prove.looks import Looks
from freehold.workflows.prove.results import frozen_answers

_AT_ONCE = ReplayOptions(4)
_THOUSAND = Decimal(1000)
_NO_COUNT = "how many requests come in a month is not known: freehold cost --requests-per-month N"
_STATE_IT = "price = { prompt = …, completion = … }"


def named_upper(config: ProjectConfig) -> PricedModel | None:
    """The model that ``[defer] upper`` names; None without one. Raises `UsageError` where it cannot be asked."""
    name = config.upper
    return None if name is None else asked_model(name, config, role="the upper model of [defer]")


def is_itself(asked: PricedModel, candidate: Candidate, config: ProjectConfig) -> bool:
    """Whether the upper model is the candidate: the same model at the same address."""
    if candidate.endpoint is None or candidate.model != asked.model:
        return False
    return stem(endpoint_of(config, candidate.endpoint).base_url) == stem(asked.endpoint.base_url)


def upper_tier(asked: PricedModel) -> Tier:
    """What a rule says of it."""
    return Tier(model=asked.model, endpoint=asked.endpoint.name, base_url=asked.endpoint.base_url)


def measured_upper(bench: Bench, asked: PricedModel, *, items: int) -> SelectionScores:
    """What it does on the first `items` selection samples; answers that are kept are not asked for again.

    Raises what asking it raises.
    """
    frozen = frozen_answers(bench.project, bench.dataset, SELECTION_SPLIT)
    plan = EvaluationPlan(dataset=bench.dataset, task=bench.task, split=SELECTION_SPLIT, frozen=frozen)
    served = ServedCandidate(asked.endpoint, asked.model)
    return bench.steps.run(
        f"upper-{items}:{asked.endpoint.name}/{asked.model}",
        f"{asked.model}: measure it on {items:,} selection samples, as the upper model",
        [asked.endpoint.base_url, asked.model, bench.dataset.id, bench.task, items, frozen, __version__],
        SelectionScores,
        lambda: anyio.run(
            partial(
                score_on_selection,
                plan,
                served,
                items=items,
                cache_dir=_kept_in(bench, asked),
                options=_AT_ONCE,
                progress=bench.progress,
            )
        ),
    )


async def upper_results(bench: Bench, asked: PricedModel, samples: Sequence[Sample]) -> Sequence[EvalResult]:
    """Its answers to these samples, scored as the candidate's are. Raises what asking it raises."""
    served, folder = ServedCandidate(asked.endpoint, asked.model), _kept_in(bench, asked)
    bench.progress.say(
        f"asking {asked.model} the {len(samples):,} requests that the candidate is not sure of"
    )
    name, task = bench.dataset.incumbent_model or "incumbent", prepared(bench.task, folder)
    options = _AT_ONCE._replace(cache_path=served.answers_file(folder))
    return (await ask_and_score(served, name, samples, {}, task, options, bench.progress)).results.candidate


def _kept_in(bench: Bench, asked: PricedModel) -> Path:
    identity = content_id([asked.endpoint.base_url, asked.model])
    return bench.project.state / "evaluations" / identity[:12]


class Paid(NamedTuple):
    """What a model's requests cost, and how many there are; None is not known, `why` says how to know it."""

    usd_per_1000: Decimal | None
    requests_per_month: Decimal | None
    why: str


def paid(project: Project, model: str, price: PriceConfig | None) -> Paid:
    """What 1,000 requests like those of the traces cost by a stated price (None: the catalog's), and how many come in a
    month."""
    flat = flat_price(price)
    try:
        found = price_traffic(project, model, flat=flat)
        month: Decimal | None = found.traffic.requests_per_month
    except FreeholdError:
        try:
            found, month = price_traffic(project, model, StatedTraffic(_THOUSAND), flat), None
        except FreeholdError as error:
            way = error.hint or f"state it: {_STATE_IT}"
            return Paid(None, None, f"the price of {model} is not known ({error.message}); {way}")
    return Paid(found.bill.usd_per_request.low * _THOUSAND, month, f"{model}: {found.bill.basis}")


def paid_upper(project: Project, upper: PricedModel) -> Paid:
    """The upper model's, by the price of its ``[[endpoints]]``."""
    stated = next((one.price for one in project.config.endpoints if one.name == upper.endpoint.name), None)
    if stated is None:
        way = f"{_STATE_IT} in its [[endpoints]]"
        return Paid(None, None, f"the price of {upper.model} is not known: {way}")
    return paid(project, upper.model, stated)


def mixture_cost(
    asked: Sequence[tuple[float, RequestCost]], deferred: float, incumbent: Paid, upper: Paid | None = None
) -> MixtureCost:
    """Dollars for 1,000 requests. `asked` are the shares of them that each tier is asked, sure or not, `deferred` is
    the share that none is sure of, which the incumbent answers, or the upper model where there is one."""
    rest = upper or incumbent
    usd = [one.usd_per_1000 for _, one in asked]
    mixed = None
    if rest.usd_per_1000 is not None and None not in usd:
        parts = [(share, one) for (share, _), one in zip(asked, usd, strict=True) if one is not None]
        mixed = sum(
            (Decimal(str(share)) * one for share, one in [*parts, (deferred, rest.usd_per_1000)]), Decimal(0)
        )
    return MixtureCost(
        incumbent_usd=_rounded(incumbent.usd_per_1000),
        mixture_usd=_rounded(mixed),
        requests_per_month=incumbent.requests_per_month,
        why=(
            incumbent.why,
            *(
                [_NO_COUNT]
                if incumbent.usd_per_1000 is not None and incumbent.requests_per_month is None
                else []
            ),
            *(f"candidate: {one.why}" for _, one in asked),
            *([] if upper is None else [f"upper model: {upper.why}"]),
        ),
    )


def _rounded(usd: Decimal | None) -> Decimal | None:
    """To four significant digits: more are not known."""
    return Decimal(f"{usd:.4g}").normalize() + 0 if usd else usd


@dataclass(frozen=True, slots=True)
class Mixer:
    """Mixes the candidates of one bench with the incumbent, in `looks` of its store."""

    bench: Bench
    looks: Looks

    @property
    def is_wanted(self) -> bool:
        """Whether the project plans mixtures at all."""
        return self.bench.project.config.defer.least_share < 1

    @property
    def alpha(self) -> float:
        """What the last of the planned looks may err, one-sided."""
        return self.looks.part * self.looks.plan.alpha(self.bench.task.alpha)

    @property
    def incumbent(self) -> str:
        """Its name."""
        stated = self.bench.project.config.incumbent
        return stated.model if stated is not None else self.bench.dataset.incumbent_model or "incumbent"

    @property
    def _upper(self) -> PricedModel | None:
        return named_upper(self.bench.project.config)

    def plan(self, candidate: Candidate, made: Made) -> Mixture:
        """What mixtures would be, by the selection split: the curves, and the thresholds that the look is planned for,
        or why there are none.

        Raises what asking the candidate raises, and `ConfigError` for declared requests that cannot be.
        """
        bench, config = self.bench, self.bench.project.config.defer
        samples = self._filled(SELECTION_SPLIT)
        base = self._unplanned(candidate, made, len(samples), check_declared(config, samples))
        obstacle = next(self._obstacles(candidate, samples), None)
        if obstacle is not None:
            return _with_id(msgspec.structs.replace(base, refused=obstacle[0], way_out=obstacle[1]))
        tier = Tier(model=made.plan.served_name, identity=made.plan.candidate_id())
        asked = AskedTier(tier, measured(bench, candidate, made, items=len(samples)))
        upper, named = None, self._upper
        if named is not None:
            scores = measured_upper(bench, named, items=len(samples))
            upper = AskedTier(upper_tier(named), scores)
        split = SelectionSplit(samples, asked, upper, bench.task.margin, self.alpha, config)
        planned = bench.steps.run(
            f"mix:{candidate.key}",
            f"{candidate.short_name}: which requests could it answer alone?",
            [made.plan.identity, bench.dataset.id, bench.task, self.alpha, config, asked, upper, __version__],
            Mixture,
            lambda: self._planned(base, split),
            still_there=_routers_are_there,
        )
        if planned.rule is None:
            bench.progress.say(f"no fallback is planned: {planned.refused}")
        return planned

    def look(
        self,
        planned: Mixture,
        candidate: Candidate,
        made: Made,
        evaluation: Evaluation,
        share: float | None = None,
    ) -> tuple[Mixture, Evaluation]:
        """The planned mixtures, looked at on the samples of an evaluation, and the evaluation: with the candidate's own
        comparison where all of them were proven and it was tested after them. Both are kept.

        `share` is what the owner wants the candidate to answer at most, of what is proven (None: what was said before).
        Raises `StorageError` where the evaluation's results or the router are gone.
        """
        bench, rule, named = self.bench, planned.rule, self._upper
        assert rule is not None
        if share is None:  # what its owner said of the same sequence stays said
            kept = [one for one in bench.store.records(Mixture) if one.path_id == planned.path_id]
            share = kept[-1].wanted if kept else None
        seen = anyio.run(
            partial(
                look,
                msgspec.structs.replace(planned, wanted=share),
                evaluation,
                replace(self.looks, path=planned.path_id),
                task=bench.task,
                least_share=bench.project.config.defer.least_share,
                notes=label_shifts_of(bench.dataset),
                ask_upper=None if named is None else partial(upper_results, bench, named),
            )
        )
        own = request_cost(
            candidate,
            made.plan,
            measured(bench, candidate, made, items=planned.selection_samples),
            bench.project.config,
            bench.machine,
        )
        stated, here = bench.project.config.incumbent, seen.mixture.share or 0.0
        cost = mixture_cost(
            [(1.0 if rule.way == "cascade" else here, own)],
            1 - here,
            paid(bench.project, self.incumbent, None if stated is None else stated.price),
            None if named is None else paid_upper(bench.project, named),
        )
        found = _with_id(msgspec.structs.replace(seen.mixture, cost=cost))
        bench.store.put(found, made_from=found.made_from)
        bench.progress.say(found.sentence)
        if seen.alone is not None:
            evaluation = msgspec.structs.replace(evaluation, comparison=seen.alone)
            bench.store.put(seen.alone, made_from=seen.alone.made_from)
            bench.store.put(evaluation, made_from=(evaluation.dataset_id, seen.alone.id))
        return found, evaluation

    def _filled(self, split: SplitName) -> list[Sample]:
        bench = self.bench
        frozen = frozen_answers(bench.project, bench.dataset, split)
        return with_frozen(list(building.samples(bench.dataset, split)), frozen)[0]

    def _obstacles(self, candidate: Candidate, samples: list[Sample]) -> Iterator[tuple[str, str]]:
        """What stands in the way before anything is asked, each with the way out."""
        bench, upper, ending = self.bench, self._upper, ending_of(self.incumbent)
        if not self.is_wanted:
            yield "[defer] least_share is 1", "[defer] least_share = 0.2 plans one again"
        if upper is not None and is_itself(upper, candidate, bench.project.config):
            yield (
                f"{candidate.label} is the upper model itself: what it is not sure of would go to it again",
                "[defer] upper names a larger model than the candidate; a smaller candidate can be mixed with it",
            )
        if ending is not None and ending.shutdown < now().date() and upper is None:
            yield (
                f"{self.incumbent} was shut down on {ending.shutdown}: no one is left to defer to",
                "a larger model of your own can answer in its place: [defer] upper",
            )
        if is_pairwise(bench.task):
            yield (
                "the judge compares two answers, and says nothing of one that is the incumbent's own",
                'options = { mode = "absolute" } of the judge scores each answer alone',
            )
        known = sum(one.incumbent is not None for one in samples)
        if known < len(samples) or not samples:
            yield (
                f"{known:,} of {len(samples):,} selection samples have an answer of the incumbent",
                "freehold freeze --split validation records them"
                if samples
                else "[data] validation = 0.15 makes a selection split",
            )
        held = [one for one in self._filled("held_out") if one.incumbent is not None]
        of_users = any(one.group is not None for one in held)
        units = len({one.id if one.group is None else one.group for one in held})
        least = (power.rare_loss_n if of_users else power.zero_loss_n)(bench.task.margin, self.alpha)
        if units < (needed := max(least, MIN_PAIRS_PROMOTE)):
            what = "users or conversations among the held-out samples" if of_users else "held-out samples"
            yield (
                f"{units:,} {what} with an answer of the incumbent cannot show a drop of less than "
                f"{100 * bench.task.margin:g} points, even where nothing is lost: it takes {needed:,}",
                "freehold freeze records answers; [data] held_out holds out more",
            )

    def _unplanned(self, candidate: Candidate, made: Made, samples: int, notes: list[str]) -> Mixture:
        """What is known of the mixture before anything is asked."""
        bench, ending, upper = self.bench, ending_of(self.incumbent), self._upper
        if ending is not None and upper is None:
            notes = [*notes, ending.of_fallback]
        said = unreadable_note(made.plan.engine_kind)
        return Mixture(
            id="",
            candidate=made.plan.served_name,
            incumbent=self.incumbent,
            dataset_id=bench.dataset.id,
            margin=bench.task.margin,
            alpha=self.alpha,
            label=candidate.label,
            selection_samples=samples,
            curves=(),
            rule=None,
            upper=None if upper is None else upper_tier(upper).title,
            incumbent_until=None if ending is None else ending.shutdown,
            made_from=(bench.dataset.id,),
            notes=tuple(notes) if said is None else (*notes, said),
        )

    def _planned(self, base: Mixture, split: SelectionSplit) -> Mixture:
        found, notes = find_curves(split)
        curves = tuple(one.curve for one in found)
        best = best_curve(curves)
        base = msgspec.structs.replace(base, curves=curves, best=best, notes=(*base.notes, *notes))
        if best is None:
            why = "; ".join(refusals(found)) or "nothing says how sure the candidate is"
            way_out = "more traffic, or a smaller share ([defer] least_share)"
            return _with_id(msgspec.structs.replace(base, refused=why, way_out=way_out))
        rule = rule_of(found[best], base.incumbent, split.config, self.bench.project.state / "routers")
        self.bench.progress.say(
            f"{curves[best].signal.replace('_', ' ')} ({rule.way}) tells best which answers are as good, by "
            f"{len(split.samples):,} selection samples"
        )
        path_id = content_id([rule.id, [one.threshold for one in curves[best].points]])
        return _with_id(msgspec.structs.replace(base, rule=rule, path_id=path_id))


def _routers_are_there(planned: Mixture) -> bool:
    tiers = () if planned.rule is None else planned.rule.tiers
    return all(one.router is None or Path(one.router.path).exists() for one in tiers)


def _with_id(mixture: Mixture) -> Mixture:
    """The mixture with the id of what it says; prices are no part of it, nor what this machine knows of evaluations of
    others, which may be more when the same is looked up again."""
    rule, compared = mixture.rule, mixture.comparison
    if compared is not None and compared.look is not None:
        look = msgspec.structs.replace(compared.look, known=None)
        compared = msgspec.structs.replace(compared, look=look, notes=())
    plain = msgspec.structs.replace(mixture, id="", rule=None, cost=None, notes=(), comparison=compared)
    id = content_id([plain, None if rule is None else rule.id])
    if rule is not None:
        rule = msgspec.structs.replace(rule, mixture_id=id)
    return msgspec.structs.replace(mixture, id=id, rule=rule)
