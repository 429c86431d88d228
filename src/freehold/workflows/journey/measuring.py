"""What a candidate does on the selection split: samples that choose among candidates and are no part of the proof.

No look is counted here and no verdict made: what is seen of these samples costs the held-out ones nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import anyio

from freehold import __version__
from freehold.catalog import accelerators
from freehold.costs.decision import TARGET_UTILISATION
from freehold.costs.prices import flat_price, request_price
from freehold.engines import start
from freehold.errors import MissingExtraError, UsageError
from freehold.evals.comparing import SideBySide, summarize
from freehold.evals.judging import JudgeOptions
from freehold.evals.replay import ReplayOptions
from freehold.evals.scorer import read_options
from freehold.evals.task_comparison import WIN_SCALE, compare_by_task, prepared
from freehold.late import np
from freehold.progress import Progress
from freehold.stats.clustered import encode_groups
from freehold.stats.selection import SelectionRule, TriedCandidate
from freehold.types.choosing import RequestCost, SelectionScores
from freehold.types.config import ProjectConfig
from freehold.types.dataset import SplitName
from freehold.types.deferral import SignalName
from freehold.types.endpoint import ServePlan
from freehold.types.evaluated import LatencySummary
from freehold.types.evaluation import EvalResult, Task
from freehold.types.machine import Machine
from freehold.types.trace import Usage
from freehold.workflows.journey.methods import Bench, Candidate, Made
from freehold.workflows.journey.methods.method import endpoint_of
from freehold.workflows.prove.evaluate import EvaluationPlan, ServedCandidate, ask_and_score
from freehold.workflows.prove.evidence_basis import answers_folder
from freehold.workflows.prove.results import frozen_answers

SELECTION_SPLIT: SplitName = "validation"
"""It watches training as well: a candidate that stopped at its best epoch there looks a little better than it is, which
the held-out samples then show."""


async def score_on_selection(
    plan: EvaluationPlan,
    candidate: ServedCandidate,
    *,
    items: int,
    cache_dir: Path,
    options: ReplayOptions,
    progress: Progress,
) -> SelectionScores:
    """Ask the first `items` samples of the plan's split; answers that are kept in `cache_dir` are not asked for again.

    Raises `UsageError` for an empty split, and what `freehold.evals.replay.answers` raises.
    """
    whole = plan.split_size()
    samples, repeats = replace(plan, limit=items, without_incumbent=True).samples()
    options = options._replace(cache_path=candidate.answers_file(cache_dir))
    task = prepared(plan.task, cache_dir)
    name = plan.dataset.incumbent_model or "incumbent"
    answered = await ask_and_score(candidate, name, samples, repeats, task, options, progress)
    results = answered.results
    compares = any(sample.incumbent is not None for sample in samples)
    scale = (0.0, 1.0)
    if compares and is_pairwise(task):
        compared = await compare_by_task(
            results,
            task,
            patience=options.patience,
            on_progress=lambda done, of: progress.update(done, of, unit="judged"),
        )
        results = results._replace(incumbent=compared.incumbent, candidate=compared.candidate)
        scale = (WIN_SCALE.lo, WIN_SCALE.hi)
    theirs = [one.score.value for one in results.incumbent]
    scores = [one.score.value for one in results.candidate]
    return SelectionScores(
        of=whole,
        differences=_differences(scores, theirs if compares else [1.0] * len(scores)),
        groups=tuple(sample.group for sample in samples),
        against="incumbent" if compares else "right",
        lo=scale[0],
        hi=scale[1],
        mean=_mean(scores),
        incumbent_mean=_mean(theirs) if compares else None,
        latency=summarize(
            results.candidate, concurrency=options.concurrency, wall_seconds=answered.wall_seconds
        ),
        seconds_per_request=_seconds(results, options.concurrency),
        signals=signal_columns(results.candidate),
    )


def is_pairwise(task: Task) -> bool:
    """Whether a judge scores by comparing two answers."""
    return task.scorer == "judge" and read_options("judge", task.options, JudgeOptions).mode == "pairwise"


def _differences(scores: Sequence[float | None], others: Sequence[float | None]) -> tuple[float | None, ...]:
    return tuple(
        None if own is None or other is None else own - other
        for own, other in zip(scores, others, strict=True)
    )


def signal_columns(results: Sequence[EvalResult]) -> dict[SignalName, tuple[float | None, ...]]:
    """A column for every signal that any of the results carries, in their order."""
    names = sorted({name for one in results for name in one.signals})
    return {name: tuple(one.signals.get(name) for one in results) for name in names}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _seconds(results: SideBySide, concurrency: int) -> float | None:
    """The machine's seconds for one request: the mean time of a request over how many are under way (Little 1961). It
    holds for answers that were kept as well, so a run that goes on after a kill says the same."""
    times = [one.total_ms for one in results.candidate if one.total_ms is not None]
    return sum(times) / len(times) / 1000 / min(concurrency, len(times)) if times else None


def tried(
    name: str, scores: SelectionScores, *, usd: float | None = None, stopped: str | None = None
) -> TriedCandidate:
    """The scores under a candidate's name. `usd` is what 1,000 requests cost, `stopped` why it was not asked all."""
    return TriedCandidate(
        name=name,
        differences=np.array([np.nan if d is None else d for d in scores.differences], dtype=float),
        cost=usd,
        codes=encode_groups(scores.groups),
        stopped=stopped,
    )


def on_scale_of(scores: SelectionScores, rule: SelectionRule) -> SelectionRule:
    """The rule on the scale of the scores, which a pairwise judge has from -1 to 1."""
    return replace(rule, decision=replace(rule.decision, lo=scores.lo, hi=scores.hi))


def measured(bench: Bench, candidate: Candidate, made: Made, *, items: int) -> SelectionScores:
    """What a candidate does on the first `items` samples of the split; answers that are kept are not asked for again.

    Raises what starting its engine and asking it raise.
    """
    frozen = frozen_answers(bench.project, bench.dataset, SELECTION_SPLIT)
    return bench.steps.run(
        f"select-{items}:{candidate.key}",
        f"{candidate.short_name}: measure it on {items:,} selection samples",
        [(made.judged or made.plan).identity, bench.dataset.id, bench.task, items, frozen, __version__],
        SelectionScores,
        lambda: anyio.run(partial(_ask, bench, made, items, frozen)),
    )


async def _ask(bench: Bench, made: Made, items: int, frozen: dict[str, tuple[str, ...]]) -> SelectionScores:
    plan = made.judged or made.plan
    async with start(plan, log_dir=bench.project.state / "engines", name="select") as endpoint:
        return await score_on_selection(
            EvaluationPlan(dataset=bench.dataset, task=bench.task, split=SELECTION_SPLIT, frozen=frozen),
            ServedCandidate(endpoint, plan.served_name),
            items=items,
            cache_dir=answers_folder(bench.project.state / "evaluations", plan),
            options=ReplayOptions(plan.parallel),
            progress=bench.progress,
        )


USD_PER_CORE_HOUR = Decimal("0.05")
"""Assumed of a machine without accelerators where nothing is stated: list prices of general-purpose instances lie
between about 1 and 6 cents. Candidates that run on one machine keep their order whatever it is."""
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})
_DIGITS = 4


class HourPrice(NamedTuple):
    """Dollars for an hour of this machine, and where that is from."""

    usd: Decimal
    why: str


def request_cost(
    candidate: Candidate, plan: ServePlan, scores: SelectionScores, config: ProjectConfig, machine: Machine
) -> RequestCost:
    """The cost of requests like those of the selection split.

    A price that is stated, and not zero, counts also of an address on this machine, which may pass requests on.
    """
    if _states_price(candidate, config) or not _runs_here(plan):
        return _priced(candidate, plan, scores.latency, config)
    if scores.seconds_per_request is None:
        return RequestCost(usd_per_1000=None, basis="unknown", why="no request was timed")
    hour = hour_price(config, machine)
    seconds = Decimal(str(scores.seconds_per_request)) * 1000
    usd = seconds / 3600 * hour.usd / Decimal(str(TARGET_UTILISATION))
    return RequestCost(
        usd_per_1000=_rounded(usd),
        basis="measured_here",
        why=f"{seconds:.1f} s of {machine.name} for 1,000 requests, busy {TARGET_UTILISATION:.0%} of the time, at "
        f"{hour.why}",
        machine_hour=hour.why,
    )


def hour_price(config: ProjectConfig, machine: Machine) -> HourPrice:
    """What an hour of this machine costs: as stated, else what its accelerators rent for, else an assumption."""
    stated = config.selection.usd_per_hour
    if stated is not None:
        return HourPrice(stated, f"${stated} an hour ([selection] usd_per_hour)")
    found = [accelerators.rental_price(device.name) for device in machine.accelerators]
    known = [(one.usd_per_hour.low + one.usd_per_hour.high) / 2 for one in found if one is not None]
    if known and len(known) == len(found):
        usd = sum(known, Decimal(0))
        return HourPrice(usd, f"${usd:.2f} an hour (middle of rental prices)")
    usd = USD_PER_CORE_HOUR * machine.cores
    return HourPrice(
        usd,
        f"${usd:.2f} an hour (assumed: {USD_PER_CORE_HOUR * 100:.0f} cents a core; state yours as "
        "[selection] usd_per_hour)",
    )


def _states_price(candidate: Candidate, config: ProjectConfig) -> bool:
    price = endpoint_of(config, candidate.endpoint).price if candidate.endpoint is not None else None
    return price is not None and bool(price.prompt or price.completion)


def _runs_here(plan: ServePlan) -> bool:
    """Whether this machine answers: one of localhost is not rented."""
    return not plan.engine_kind.is_rented or urlsplit(str(plan.options.get("base_url", ""))).hostname in _HERE


def _priced(
    candidate: Candidate, plan: ServePlan, latency: LatencySummary, config: ProjectConfig
) -> RequestCost:
    """By the endpoint's own price, else its model's list price, for as many tokens as were counted."""
    price = endpoint_of(config, candidate.endpoint).price if candidate.endpoint is not None else None
    if not latency.n or latency.prompt_tokens is None:
        return RequestCost(usd_per_1000=None, basis="unknown", why="the endpoint counts no tokens")
    prompt, completion = latency.prompt_tokens / latency.n, (latency.completion_tokens or 0) / latency.n
    flat = flat_price(price)
    try:
        usage = Usage(prompt_tokens=round(prompt), completion_tokens=round(completion))
        usd = 1000 * request_price(plan.model, usage, flat=flat)
    except (UsageError, MissingExtraError) as error:
        hint = "price = { prompt = …, completion = … } of its [[endpoints]] says it"
        return RequestCost(usd_per_1000=None, basis="unknown", why=f"{error.message}: {hint}")
    whose = f"the price of endpoint {candidate.endpoint}" if flat is not None else "its maker's list price"
    return RequestCost(
        usd_per_1000=_rounded(usd),
        basis="price",
        why=f"{prompt:,.0f} prompt and {completion:,.0f} completion tokens each, at {whose}",
    )


def _rounded(usd: Decimal) -> Decimal:
    """To four significant digits: more are not known."""
    return Decimal(f"{usd:.{_DIGITS}g}").normalize() + 0 if usd else Decimal(0)
