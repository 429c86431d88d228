"""What a search for a prompt will ask, of whom, and what that costs: known, and refused, before anything is fetched."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from freehold.datasets import building
from freehold.errors import UsageError
from freehold.prompts import halving, reflection, replies
from freehold.prompts.forms import StatedForm, form_of
from freehold.prompts.leaks import LeakCheck
from freehold.prompts.measuring import FORMAT_WEIGHT
from freehold.prompts.variants import AskedOf, Variant, most_common_system, variants
from freehold.types.config import EndpointConfig, ProjectConfig
from freehold.types.dataset import Dataset, Sample
from freehold.types.evaluation import Task
from freehold.types.prompting import PromptBudget, PromptEstimate
from freehold.types.record import Record
from freehold.workflows.journey.drafting import tokens_in
from freehold.workflows.journey.paying.prices import Prices
from freehold.workflows.journey.prompting.proposer import FREE, Proposer, proposer_named
from freehold.workflows.project import Project

SAMPLES = 64
"""Validation samples that each way is measured on, unless more or fewer are asked for."""
FEWEST_SAMPLES = 8
_SHOWN_SAMPLES = 200
"""Training samples that are drawn from for the proposer."""
_ONE_SYSTEM = 0.5
"""From this share of requests on, a system prompt is that of the application; below, each request has its own."""
_MOST_PROPOSALS = 1000
_NO_BUDGET = (
    "--budget-requests 60 or --budget-usd 2 (budget_requests, budget_usd in [[candidates]]); without a proposer, plain "
    "changes of the prompt are measured"
)
_PROPOSAL_TOKENS = 300
"""What a proposer says around a prompt, about."""


class PromptRequest(Record, frozen=True, kw_only=True):
    """What is asked of a search. `endpoint` names the one of ``[[endpoints]]`` behind which the model runs; None: it is
    served here."""

    model: str
    endpoint: str | None = None
    proposer: str | None = None
    budget: PromptBudget = PromptBudget()
    samples: int = SAMPLES
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptPlan:
    """A search that may begin. `fits` says why a system prompt is too long, None where it is not."""

    project: Project
    dataset: Dataset
    task: Task
    request: PromptRequest
    asked: AskedOf
    form: StatedForm
    variants: tuple[Variant, ...]
    validation: tuple[Sample, ...]
    train: tuple[Sample, ...]
    system_share: float
    prices: Prices
    proposer: Proposer | None
    most_proposals: int
    fits: Callable[[str], str | None]
    estimate: PromptEstimate

    def leak_check(self) -> LeakCheck:
        """Knows what no prompt may carry: what is measured on, and what the proposer is shown."""
        held_out = list(building.samples(self.dataset, "held_out"))
        validation = list(building.samples(self.dataset, "validation"))
        explained = [self.asked.system or "", *self.form.values, self.form.statement or ""]
        return LeakCheck(
            [("train", self.train), ("validation", validation), ("held_out", held_out)], explained
        )


def plan(project: Project, dataset: Dataset, task: Task, request: PromptRequest) -> PromptPlan:
    """Say what a search will take. Nothing is sent, and nothing fetched.

    Raises `UsageError` for a proposer without a budget or a budget without a known price, for too few samples, and for
    requests that have no one system prompt to rewrite; `MissingExtraError` where the library is not installed.
    """
    config = project.config
    proposer = _proposer(request, config, task)
    validation, train = (_usable(dataset, split) for split in ("validation", "train"))
    system, share = most_common_system([_system(one) for one in train or validation])
    varied = share < _ONE_SYSTEM
    if varied and proposer is not None:
        raise UsageError(
            f"no system prompt is there to rewrite: the most frequent of the requests' is that of {share:.0%} of them",
            hint="leave the proposer out: plain changes are made whatever a request's own prompt is",
        )
    if not varied:
        validation, train = ([one for one in some if _system(one) == system] for some in (validation, train))
    chooser = random.Random(request.seed)
    chosen = chooser.sample(validation, min(request.samples, len(validation)))
    shown = chooser.sample(train, min(_SHOWN_SAMPLES, len(train))) if proposer is not None else []
    _check_counts(len(chosen), len(shown), proposer)
    asked = AskedOf(request.model, dataset.id, None if varied else system, varied)
    endpoint = _endpoint(config, request.endpoint)
    context = (endpoint.context_tokens if endpoint else None) or config.serve.context_tokens
    fits = _fits(asked.system, [*chosen, *shown], task, context)
    form = form_of(task, train or validation)
    made = variants(asked, form)
    ways = [made[0], *(one for one in made[1:] if fits(one.preparation.system or "") is None)]
    prices = Prices(endpoint.price, request.model) if endpoint else Prices(FREE, request.model)
    most = _most_proposals(request, proposer, asked, shown)
    _check_prices(request, proposer, prices)
    return PromptPlan(
        project=project,
        dataset=dataset,
        task=task,
        request=request,
        asked=asked,
        form=form,
        variants=tuple(ways),
        validation=tuple(chosen),
        train=tuple(shown),
        system_share=1.0 if varied else share,
        prices=prices,
        proposer=proposer,
        most_proposals=most,
        fits=fits,
        estimate=_Sizes(request, proposer, prices, asked, ways, chosen, shown, most).estimate(
            len(made) - len(ways)
        ),
    )


def _proposer(request: PromptRequest, config: ProjectConfig, task: Task) -> Proposer | None:
    budget = request.budget
    if request.proposer is None:
        if budget.requests is not None:
            raise UsageError(
                f"a budget of {budget.requests:,} requests is given and no proposer to spend them on",
                hint="name one: incumbent, judge, itself, or one of [[endpoints]]",
            )
        return None
    if budget.requests is None and budget.usd is None:
        raise UsageError(f"the proposer {request.proposer} is named and no budget", hint=_NO_BUDGET)
    reflection.require()
    return proposer_named(request.proposer, config, task, request.model)


def _check_counts(validation: int, train: int, proposer: Proposer | None) -> None:
    if validation < FEWEST_SAMPLES:
        raise UsageError(
            f"a prompt is chosen on at least {FEWEST_SAMPLES} validation samples, there are {validation}",
            hint="raise [data] validation (0.1 or 0.2), then freehold dataset build",
        )
    if proposer is not None and train < reflection.MINIBATCH:
        raise UsageError(
            f"a proposer is shown at least {reflection.MINIBATCH} training samples, there are {train}",
            hint="leave the proposer out: plain changes of the prompt need none",
        )


def _check_prices(request: PromptRequest, proposer: Proposer | None, prices: Prices) -> None:
    if request.budget.usd is None:
        return
    unknown = [] if prices.usd(request.model, 1, 1) is not None else [request.model]
    unknown += [proposer.model] if proposer is not None and not proposer.priced else []
    if unknown:
        raise UsageError(
            f"no price of {unknown[0]} is known, so a budget in dollars cannot be kept",
            hint="state it: price = { prompt = 2.5, completion = 10 } in its [[endpoints]] or in [incumbent], in "
            "dollars per million tokens (the prices of other models come with pip install 'freehold[costs]')",
        )


def _endpoint(config: ProjectConfig, name: str | None) -> EndpointConfig | None:
    if name is None:
        return None
    found = next((one for one in config.endpoints if one.name == name), None)
    if found is None:
        raise UsageError(f"no endpoint {name}", hint="add [[endpoints]] with that name and its base_url")
    return found


def _usable(dataset: Dataset, split: Any) -> list[Sample]:
    """The samples whose answers can be scored and whose system prompt is text."""
    return [one for one in building.samples(dataset, split) if one.target and _is_plain(one)]


def _is_plain(sample: Sample) -> bool:
    system = [one for one in sample.messages if one.role in ("system", "developer")]
    has_user = any(one.role == "user" for one in sample.messages)
    return has_user and len(system) < 2 and all(isinstance(one.content, str) for one in system)


def _system(sample: Sample) -> str | None:
    return next((one.content for one in sample.messages if one.role in ("system", "developer")), None)


def _fits(
    system: str | None, samples: Sequence[Sample], task: Task, context_tokens: int
) -> Callable[[str], str | None]:
    """Whether a prompt leaves room for the longest of the samples and its answer. A prompt that is no longer than the
    application's own fits, whatever an estimate says."""
    rest = max(tokens_in(len(msgspec.json.encode([one.messages, one.tools]))) for one in samples) - tokens_in(
        len((system or "").encode())
    )
    room = max(context_tokens - task.max_tokens - rest, tokens_in(len((system or "").encode())))

    def too_long(text: str) -> str | None:
        tokens = tokens_in(len(text.encode()))
        if tokens <= room:
            return None
        return f"about {tokens:,} tokens, and the context of {context_tokens:,} has room for {max(room, 0):,}"

    return too_long


def _proposal_usd(proposer: Proposer, asked: AskedOf, shown: Sequence[Sample]) -> Decimal | None:
    """About what one proposal costs."""
    system = len((asked.system or "").encode())
    mean = sum(len(msgspec.json.encode(one.messages)) - system for one in shown) // max(1, len(shown))
    prompt = tokens_in(
        len(reflection.TEMPLATE + replies.AS_BLOCK) + system + reflection.MINIBATCH * (mean + 300)
    )
    return proposer.prices.usd(proposer.model, prompt, _PROPOSAL_TOKENS + 2 * tokens_in(system))


def _most_proposals(
    request: PromptRequest, proposer: Proposer | None, asked: AskedOf, shown: Sequence[Sample]
) -> int:
    if proposer is None:
        return 0
    if request.budget.requests is not None:
        return min(request.budget.requests, _MOST_PROPOSALS)
    usd = _proposal_usd(proposer, asked, shown)
    assert request.budget.usd is not None  # one of the two is there
    return min(max(1, int(request.budget.usd / usd)), _MOST_PROPOSALS) if usd else _MOST_PROPOSALS


class _Sizes(NamedTuple):
    """What decides how much a search asks."""

    request: PromptRequest
    proposer: Proposer | None
    prices: Prices
    asked: AskedOf
    ways: Sequence[Variant]
    chosen: Sequence[Sample]
    shown: Sequence[Sample]
    most_proposals: int

    @property
    def requests(self) -> int:
        """Requests to the candidate at most."""
        plain = halving.requests(len(self.ways), len(self.chosen))
        return plain + self.most_proposals * (2 * reflection.MINIBATCH + len(self.chosen))

    def usd(self) -> Decimal | None:
        """About what it costs, the budget at most; None where a price is not known."""
        tokens = sum(tokens_in(len(msgspec.json.encode([one.messages, one.tools]))) for one in self.chosen)
        answer = tokens_in(sum(len(one.target or "") for one in self.chosen) // len(self.chosen)) + 8
        each = self.prices.usd(self.request.model, tokens // len(self.chosen), answer)
        if each is None:
            return None
        usd = each * self.requests
        if self.proposer is not None:
            proposal = _proposal_usd(self.proposer, self.asked, self.shown)
            if proposal is None:
                return None
            usd += proposal * self.most_proposals
        budget = self.request.budget.usd
        return usd if budget is None else min(usd, budget)

    def estimate(self, too_long: int) -> PromptEstimate:
        """All of it, as it is told; `too_long` plain changes were left out."""
        notes = [
            f"What is climbed is the task's score, and {FORMAT_WEIGHT:.0%} of it that an answer has the right form."
        ]
        if too_long:
            notes.append(
                f"{too_long} plain changes are not tried: with them a request would not fit the context."
            )
        if self.asked.varied:
            notes.append(
                "The requests have different system prompts: none is rewritten, plain changes are tried."
            )
        proposer = self.proposer
        return PromptEstimate(
            model=self.request.model,
            validation_samples=len(self.chosen),
            train_samples=len(self.shown),
            variants=len(self.ways),
            proposer=None if proposer is None else f"{proposer.name} ({proposer.model})",
            proposer_url=proposer.endpoint.base_url if proposer and proposer.endpoint else None,
            proposer_requests=self.most_proposals,
            candidate_requests=self.requests,
            usd=self.usd(),
            notes=tuple(notes),
        )
