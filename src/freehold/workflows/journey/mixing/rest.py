"""Who answers what the candidate is not sure of, and what that costs: the incumbent, or a larger model of one's own.

The larger model is asked by its endpoint, and scored against the incumbent.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import NamedTuple

import anyio

from freehold import __version__
from freehold.costs.prices import flat_price
from freehold.errors import FreeholdError
from freehold.evals.replay import ReplayOptions
from freehold.evals.task_comparison import prepared
from freehold.types.choosing import RequestCost, SelectionScores
from freehold.types.config import PriceConfig, ProjectConfig
from freehold.types.dataset import Sample
from freehold.types.deferral import Tier
from freehold.types.evaluation import EvalResult
from freehold.types.mixture import MixtureCost
from freehold.types.record import content_id
from freehold.wire.base_url import stem
from freehold.workflows.choose.traffic import StatedTraffic, price_traffic
from freehold.workflows.journey.measuring import SELECTION_SPLIT, score_on_selection
from freehold.workflows.journey.methods import Bench, Candidate
from freehold.workflows.journey.methods.method import endpoint_of
from freehold.workflows.journey.paying import PricedModel, asked_model
from freehold.workflows.project import Project
from freehold.workflows.prove.evaluate import EvaluationPlan, ServedCandidate, ask_and_score
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
