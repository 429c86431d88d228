"""What the steps of a journey take in requests, minutes and dollars, told before the first is taken."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from itertools import islice

import msgspec

from freehold.catalog import models
from freehold.costs.decision import usd_text
from freehold.costs.prices import flat_price, total_price
from freehold.datasets import building
from freehold.errors import FreeholdError, MissingExtraError, UsageError
from freehold.training.schedule import epochs_of
from freehold.types.config import PriceConfig
from freehold.types.dataset import Dataset, Sample
from freehold.types.encoder import WORDS_MODEL
from freehold.types.evaluation import Task
from freehold.types.finding import Finding, ok
from freehold.types.machine import Machine, Speed
from freehold.types.method import METHOD_KINDS
from freehold.types.record import Record
from freehold.types.trace import Usage
from freehold.workflows.journey.drafting import prompt_size, tokens_in
from freehold.workflows.journey.examples import ROUNDS
from freehold.workflows.journey.measuring import SELECTION_SPLIT, hour_price, is_pairwise
from freehold.workflows.journey.methods.examples import NUMBERS, ORDERS
from freehold.workflows.journey.methods.method import Candidate, endpoint_of, fetches
from freehold.workflows.journey.methods.training import served_fit
from freehold.workflows.journey.selection import search_minutes
from freehold.workflows.project import Project
from freehold.workflows.prove.preflight import scorer_addresses
from freehold.workflows.prove.results import frozen_answers
from freehold.workflows.prove.task import task_of
from freehold.workflows.train.plan import FORWARDS, training_time

REQUEST_TOKENS = 8
"""What a chat request adds around its messages."""
_JUDGE_PROMPT, _JUDGE_ANSWER = 400, 100
"""Tokens of a judge's instructions, and of what it says."""
_LOOKED_AT = 2000
_MEASURED_SIZE = 6 * 384**2
"""Layers times the square of their width of all-MiniLM-L6-v2, with which the following was measured."""
_READ, _TUNED = (1700, 7000), (2200, 2900)
"""Tokens a second that its heads are learned from, and that it is tuned on, on two cores, at least and at most:
Banking77, SNIPS and the demo (docs/benchmarks.md)."""
_STARTS = (5, 30)
_PASSES = (2, 8)
"""Over the training samples."""
_FEW_LABELS_S = 170.0
"""For tuning with five to ten samples a label (the same page: 162 and 165 s)."""
_SOURCE = "by what two cores took (docs/benchmarks.md, Encoders)"
_COST = "cost"


class Asking(Record, frozen=True, kw_only=True):
    """Requests to a rented model, at most. `cost_usd` is None where the model's price is not known here."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: Decimal | None


def estimate(
    model: str, prompts: Sequence[int], completions: Sequence[int], price: PriceConfig | None = None
) -> Asking:
    """Requests with these tokens, at the model's list price or as stated."""
    usages = [
        Usage(prompt_tokens=prompt, completion_tokens=completion)
        for prompt, completion in zip(prompts, completions, strict=True)
    ]
    usd = None
    with suppress(UsageError, MissingExtraError):
        usd = total_price(model, usages, flat=flat_price(price)) if usages else None
    return Asking(
        requests=len(prompts), prompt_tokens=sum(prompts), completion_tokens=sum(completions), cost_usd=usd
    )


def to_ask(project: Project, dataset: Dataset, model: str, repeats: int = 1) -> Asking:
    """What the held-out samples that have too few frozen answers will take."""
    frozen, incumbent = frozen_answers(project, dataset), project.config.incumbent
    sizes = [
        _sizes(sample)
        for sample in building.samples(dataset, "held_out")
        for _ in range(repeats - len(frozen.get(sample.id, ())))
    ]
    stated = None if incumbent is None or incumbent.model != model else incumbent.price
    return estimate(model, [one for one, _ in sizes], [one for _, one in sizes], stated)


def _sizes(sample: Sample) -> tuple[int, int]:
    """About how many tokens a sample's request and its answer have."""
    prompt = tokens_in(prompt_size(msgspec.to_builtins(sample.messages), sample.tools)) + REQUEST_TOKENS
    return prompt, tokens_in(len(sample.target or ""))


def cost_findings(
    project: Project, dataset: Dataset, known: Sequence[Candidate], machine: Machine, *, freezes: bool
) -> Iterator[Finding]:
    """What each step takes, and what that costs, as far as it is known."""
    return (ok(_COST, text) for text in _Steps(project, dataset, known, machine).told(freezes))


class _Steps:
    def __init__(
        self, project: Project, dataset: Dataset, known: Sequence[Candidate], machine: Machine
    ) -> None:
        self._project, self._dataset, self._known, self._machine = project, dataset, known, machine
        self._hour = hour_price(project.config, machine)
        self._sizes: list[tuple[int, int]] = []
        self._recorded = False
        for one in building.samples(dataset, "held_out"):
            self._sizes.append(_sizes(one))
            self._recorded |= one.incumbent is not None
        self._choosing = dataset.split(SELECTION_SPLIT).samples if len(known) > 1 else 0

    def told(self, freezes: bool) -> Iterator[str]:
        """A sentence for each step, in the order in which they are taken."""
        config = self._project.config
        if freezes and config.incumbent is not None:
            model = config.incumbent.model
            yield f"asking {model} again: {_priced(model, to_ask(self._project, self._dataset, model))}"
        elif config.incumbent is not None and self._recorded:
            yield f"{config.incumbent.model} is not asked again: its recorded answers are compared with"
        minutes = search_minutes(config.selection, self._machine)
        if len(self._known) > 1 and minutes is not None:
            said = (
                f"making and measuring candidates ends after {self._took(minutes * 60)}, with the best so far"
            )
            yield f"{said} ([selection] within_minutes)"
        for one in self._known:
            yield f"{one.label}: {self._candidate(one)}"
        task = task_of(self._project)
        for asked in scorer_addresses(task):
            if asked.model is not None:
                yield f"{asked.who}, for each candidate: {_priced(asked.model, self._judging(task, asked.model))}"
        yield f"this machine counts {self._hour.why}"

    def _candidate(self, one: Candidate) -> str:
        """Making it, and asking it what it is chosen and proven by."""
        config, kind = self._project.config, METHOD_KINDS[one.method]
        if one.model == WORDS_MODEL:
            return "learned and measured in seconds"
        if kind.closed_set_only:
            return self._encoder(one)
        prompts, answers = [one for one, _ in self._sizes], [one for _, one in self._sizes]
        if not fetches(one, config):
            stated = None if one.endpoint is None else endpoint_of(config, one.endpoint).price
            return _priced(one.model, self._with_choosing(estimate(one.model, prompts, answers, stated)))
        speed, steps = self._speed(one), {}
        asked, shown = self._more * len(self._sizes), (0, 0)
        if kind.trains:
            steps["training"] = self._training(one, speed)
        if kind.shows_answers:
            shown, tried = (min(NUMBERS), max(NUMBERS)), self._dataset.split("validation").samples
            halved = len(ORDERS) * len(NUMBERS)
            asked += sum(min(tried, most) * max(1, halved >> number) for number, most in enumerate(ROUNDS))
        if speed is not None:
            prompt, answer, example = _mean(prompts), _mean(answers), self._taught()
            reads, writes = speed.prefill_tokens_per_second, speed.decode_tokens_per_second
            low, high = (
                asked * ((prompt + shown[end] * example) / reads[1 - end] + answer / writes[1 - end])
                for end in (0, 1)
            )
        steps[f"answering {asked:,.0f} items"] = None if speed is None else (low, high)
        known = {what: seconds for what, seconds in steps.items() if seconds is not None}
        said = [f"{what} about {self._took(*seconds)}" for what, seconds in known.items()]
        if unknown := [what for what in steps if what not in known]:
            way = f"freehold fit {one.model} --measure speed measures its speed"
            said.append(f"{' and '.join(unknown)} not known: {way}")
        return "; ".join(said)

    def _encoder(self, one: Candidate) -> str:
        """By what its size reads and learns, where that is known."""
        known = models.find(one.model)
        if known is None:
            return f"not known before its texts are read: the catalog has no {one.model}"
        work = known.shape.layers * known.shape.hidden**2 / _MEASURED_SIZE
        read = (
            sum(self._dataset.split(name).samples for name in ("train", "validation")) * self._asked() * work
        )
        taught = self._dataset.split("train").samples * self._asked() * work
        heads = self._took(_STARTS[0] + read / _READ[1], _STARTS[1] + read / _READ[0])
        if one.settings.stage == "frozen":
            return f"about {heads}, {_SOURCE}"
        few, many = _PASSES
        tuned = self._took(few * taught / _TUNED[1], max(many * taught / _TUNED[0], _FEW_LABELS_S * work))
        tuning = (
            "tuning it"
            if one.settings.stage in ("contrastive", "tuned")
            else "where they do not suffice, tuning it"
        )
        return f"its heads about {heads}; {tuning} {tuned}, {_SOURCE}"

    def _taught(self) -> float:
        """Tokens of a training sample, in the mean."""
        return _mean(
            sum(_sizes(each)) for each in islice(building.samples(self._dataset, "train"), _LOOKED_AT)
        )

    def _asked(self) -> float:
        """Tokens that an encoder reads of one: what users wrote."""
        return _mean(
            tokens_in(sum(len(str(one.content or "")) for one in each.messages if one.role == "user"))
            for each in islice(building.samples(self._dataset, "train"), _LOOKED_AT)
        )

    def _training(self, one: Candidate, speed: Speed | None) -> tuple[float, float] | None:
        """Seconds: as they were measured here, else by what its speed is estimated to be."""
        options, samples = one.training(self._project.config), self._dataset.split("train").samples
        tokens = round(self._taught() * samples * epochs_of(options, samples))
        time = training_time(self._project, one.model, options.method, tokens, self._machine.name)
        most = math.inf if options.max_minutes is None else 60 * options.max_minutes
        if time is not None:
            return min(time.seconds, most), min(time.seconds, most)
        if speed is None:
            return None
        slow, fast = (tokens * FORWARDS / reads for reads in speed.prefill_tokens_per_second)
        return min(fast, most), min(slow, most)

    def _speed(self, one: Candidate) -> Speed | None:
        with suppress(FreeholdError):  # too little is known of it before it is here
            return served_fit(
                one.model, self._project.config.serve, self._machine, self._project.settings
            ).speed
        return None

    @property
    def _more(self) -> float:
        """By what asking for the held-out samples is multiplied, as those are asked for that it is chosen by."""
        return 1 + self._choosing / max(1, len(self._sizes))

    def _with_choosing(self, asking: Asking) -> Asking:
        usd = None if asking.cost_usd is None else asking.cost_usd * Decimal(str(self._more))
        return msgspec.structs.replace(asking, requests=asking.requests + self._choosing, cost_usd=usd)

    def _judging(self, task: Task, model: str) -> Asking:
        """One candidate's answers; a pair is judged in both orders."""
        sizes = self._sizes * (2 if is_pairwise(task) else 1)
        prompts = [asked + 2 * answer + _JUDGE_PROMPT for asked, answer in sizes]
        return self._with_choosing(estimate(model, prompts, [_JUDGE_ANSWER] * len(sizes)))

    def _took(self, low: float, high: float | None = None) -> str:
        """A time and its dollars, or a range of both."""
        ends = sorted({low, low if high is None else high})
        times = dict.fromkeys(
            f"{float(f'{end / 60:.2g}'):,g} minutes" if end >= 90 else f"{max(1.0, end):,.0f} s"
            for end in ends
        )
        paid = dict.fromkeys(usd_text(Decimal(str(end)) / 3600 * self._hour.usd) for end in ends)
        return f"{' to '.join(times)} ({' to '.join(paid)})"


def _mean(counts: Iterable[int]) -> float:
    found = list(counts)
    return sum(found) / max(1, len(found))


def _priced(model: str, asking: Asking) -> str:
    if asking.cost_usd is None and asking.requests:
        return f"{asking.requests:,} requests, not known: no price of {model} (price = {{ … }} in its table)"
    return f"{asking.requests:,} requests, about {usd_text(asking.cost_usd or Decimal(0))}"
