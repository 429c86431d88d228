"""`freehold rescue --harvest`: everything that only the living incumbent can give, within a budget said before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import anyio
import msgspec

from freehold.datasets import building
from freehold.datasets.identity import question_id
from freehold.errors import FreeholdError, UsageError
from freehold.evals.answers import ChatAnswer
from freehold.evals.chat.asker import Budget
from freehold.evals.chat.chat_client import Patience
from freehold.evals.replay import ReplayOptions
from freehold.licensing.ruling import SEVERITY
from freehold.store import open_store
from freehold.types.dataset import SPLITS, Dataset, Sample, SplitName
from freehold.types.endpoint import Endpoint
from freehold.types.evaluated import Evaluation
from freehold.types.harvest import Harvest, HarvestPart, HarvestTerms
from freehold.types.progress import Progress
from freehold.types.ruling import Lineage, LineageEdge, Ruling
from freehold.workflows.data.dataset import find_dataset
from freehold.workflows.data.harvested import harvest_folder, taught_digest
from freehold.workflows.incumbent.account_files import AccountCopy
from freehold.workflows.incumbent.fine_tunes import Account, AccountError
from freehold.workflows.journey.beginning import LOCK, prepare
from freehold.workflows.journey.harvest.asking import TITLES, Sender
from freehold.workflows.journey.harvest.outputs import (
    ASKED,
    freeze_as_well,
    usable,
    write_manifest,
    write_outputs,
)
from freehold.workflows.journey.harvest.parts import Ask, Asked, PlannedPart, answers_to, repeats_of
from freehold.workflows.journey.harvest.unlabelled import unlabelled
from freehold.workflows.journey.harvest.written import critiques_part, paraphrases_part, rubric_part
from freehold.workflows.journey.paying.answers import PaidAnswers
from freehold.workflows.journey.paying.prices import Prices, prompt_tokens
from freehold.workflows.license.rule import rule_for_model
from freehold.workflows.project import Project, now
from freehold.workflows.project_lock import one_at_a_time
from freehold.workflows.prove.freeze import asked_file, freeze
from freehold.workflows.prove.results import frozen_answers
from freehold.workflows.prove.task import task_of

_TO_TRAIN = frozenset({"train", "unlabelled", "paraphrases"})
"""Parts that are there to be learned from: the incumbent's terms must not forbid that."""
_FORBIDDEN = frozenset({"not_allowed", "needs_separate_license"})


class HarvestOptions(NamedTuple):
    """What a harvest is asked for. `repeats` answers are taken at the application's own temperature; `budget_usd`
    covers all runs of it; `unlabelled` is a file of requests without answers."""

    repeats: int = 3
    budget_usd: Decimal | None = None
    unlabelled: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestPlan:
    """What will be asked, part by part; `manifest` is the same for people and for ``--dry-run``."""

    project: Project
    dataset: Dataset
    asked: Asked
    prices: Prices
    options: HarvestOptions
    parts: tuple[PlannedPart, ...]
    splits: dict[str, SplitName]
    held_out: set[str]
    manifest: Harvest


def plan(project: Project, options: HarvestOptions) -> HarvestPlan:
    """Count what a harvest will ask and cost. Nothing is sent.

    Raises `UsageError` without an incumbent that can be asked, and for a budget where no price is known.
    """
    incumbent = project.config.incumbent
    has_key = incumbent is not None and (incumbent.api_key_env or incumbent.credentials) is not None
    if incumbent is None or incumbent.base_url is None or not has_key:
        raise UsageError(
            "no incumbent that can be asked is named",
            hint="freehold rescue FILE --model NAME --api-key-env OPENAI_API_KEY --harvest, or base_url and "
            "api_key_env (or credentials) in [incumbent]",
        )
    if incumbent.api != "openai":
        raise UsageError(
            f"the incumbent speaks the {incumbent.api} API, which a harvest does not speak",
            hint="put the gateway in front of it (freehold up) and name its address in [incumbent] base_url",
        )
    endpoint = Endpoint(
        name=incumbent.base_url,
        engine="remote",
        base_url=incumbent.base_url,
        api_key_env=incumbent.api_key_env,
        credentials=incumbent.credentials,
    )
    asked = Asked(endpoint, incumbent.model, task_of(project))
    prices = Prices(incumbent.price, incumbent.model)
    with open_store(project.store_url) as store:
        dataset = find_dataset(store)
        by_split = {name: list(building.samples(dataset, name)) for name in SPLITS}
        known = {question_id(one.messages) for some in by_split.values() for one in some}
        loose = unlabelled(project, store, options.unlabelled, known)
        evaluation = store.latest(Evaluation)
    terms = _terms(project, incumbent.model)
    parts = [_ruled(part, terms) for part in _all_parts(asked, by_split, loose, evaluation, options.repeats)]
    folder = harvest_folder(project)
    with PaidAnswers(folder / ASKED, reading=True) as paid:
        told = [
            HarvestPart(name="account"),
            *(_told(one, paid, prices) for one in parts),
        ]
        spent = paid.spent_usd
    manifest = Harvest(
        at=now(),
        model=incumbent.model,
        base_url=incumbent.base_url,
        folder=str(folder),
        dataset_id=dataset.id,
        budget_usd=options.budget_usd,
        spent_usd=spent,
        repeats=options.repeats,
        terms=terms,
        parts=tuple(told),
    )
    if options.budget_usd is not None:
        _check_prices(prices, parts)
    return HarvestPlan(
        project=project,
        dataset=dataset,
        asked=asked,
        prices=prices,
        options=options,
        parts=tuple(parts),
        splits={one.id: name for name, some in by_split.items() for one in some},
        held_out={question_id(one.messages) for one in by_split["held_out"]},
        manifest=manifest,
    )


def run(planned: HarvestPlan, *, progress: Progress, patience: Patience | None = None) -> Harvest:
    """Take what was planned, and write the files and the manifest; also where it ends early, with the reason.

    Run again it goes on: what was answered is not asked again. Raises `UpstreamError` where the key is refused or
    nothing is answered, `StorageError` where the disk refuses, `LockedError` while a migration of the project runs.
    """
    folder, project = harvest_folder(planned.project), planned.project
    with (
        open_store(project.store_url) as store,
        one_at_a_time(store, LOCK, say=progress.say),
        PaidAnswers(folder / ASKED) as paid,
    ):
        sender = Sender(
            planned.asked.endpoint, paid, planned.prices, planned.options.budget_usd, patience=patience
        )
        lacks: list[str] = []
        stopped: str | None = None
        failed: dict[str, int] = {}

        def on_answer(ask: Ask, answer: ChatAnswer) -> None:
            if not usable(answer):
                failed[ask.key] = 1

        try:
            lacks += _copy_account(planned, folder / "account", progress)
            anyio.run(sender.send, planned.parts, progress, on_answer)
            stopped = sender.stopped
        except FreeholdError as error:
            stopped = error.message
            raise
        finally:
            made = _write(planned, paid, folder, lacks, stopped, failed)
    dataset = planned.dataset
    if taught_digest(project) is not None:  # a dataset to distill from takes in what was harvested
        dataset = prepare(project, progress=progress)
    if made.part("held_out").answered:
        _freeze(project, dataset)
    return made


def _all_parts(
    asked: Asked,
    by_split: dict[SplitName, list[Sample]],
    loose: Sequence[Sample],
    evaluation: Evaluation | None,
    repeats: int,
) -> list[PlannedPart]:
    taught = [*by_split["train"], *by_split["validation"]]
    return [
        answers_to("held_out", asked, by_split["held_out"]),
        repeats_of(asked, by_split["held_out"], repeats),
        answers_to("train", asked, taught),
        answers_to("unlabelled", asked, loose),
        rubric_part(asked, by_split["train"]),
        critiques_part(asked, evaluation),
        paraphrases_part(asked, by_split["train"]),
    ]


def _terms(project: Project, model: str) -> HarvestTerms:
    """May a candidate learn from the incumbent's answers? Told is the strictest ruling under which one may, since an
    answer that some may learn from is worth having: what a candidate learns from is ruled on again when it is made."""

    def ruled(candidate: str) -> tuple[str, Ruling]:
        edges = (
            LineageEdge(kind="base", model=candidate),
            LineageEdge(kind="distilled_from", model=model, note="answers taken by a harvest"),
        )
        return candidate, rule_for_model(
            candidate, project.config.use, lineage=Lineage(model=candidate, edges=edges)
        )

    found = [ruled(candidate) for candidate in project.config.models]
    open_ones = [one for one in found if one[1].outcome not in _FORBIDDEN]
    candidate, ruling = max(open_ones or found, key=lambda one: SEVERITY[one[1].outcome])
    return HarvestTerms(
        outcome=ruling.outcome,
        ruling_id=ruling.id,
        reasons=tuple(reason.text for reason in ruling.reasons),
        candidate=candidate,
    )


def _ruled(part: PlannedPart, terms: HarvestTerms) -> PlannedPart:
    if part.name in _TO_TRAIN and terms.outcome in _FORBIDDEN:
        why = f"the incumbent's terms: training with its answers is ruled {terms.outcome.replace('_', ' ')}"
        return part._replace(asks=(), not_taken=why)
    return part


def _check_prices(prices: Prices, parts: Sequence[PlannedPart]) -> None:
    for model in sorted({ask.model for part in parts for ask in part.asks}):
        if prices.usd(model, 1, 1) is None:
            raise UsageError(
                f"no price of {model} is known, so a budget in dollars cannot be kept",
                hint="state it: [incumbent] price = { prompt = 2.5, completion = 10 }, in dollars per million tokens "
                "(the prices of other models come with pip install 'freehold[costs]')",
            )


def _told(part: PlannedPart, paid: PaidAnswers, prices: Prices, failed: int = 0) -> HarvestPart:
    """The part in numbers, as it stands."""
    assert (
        part.name != "labels"
    )  # of paraphrases that are learned from at once, which a harvest leaves to others
    left = [ask for ask in part.asks if paid.get(ask.key) is None]
    costs = [prices.usd(ask.model, prompt_tokens(ask.body), ask.completion_tokens) for ask in left]
    known = [one for one in costs if one is not None]
    spent, notes = paid.of(part.name), list(part.notes)
    answers = [answer for ask in part.asks if usable(answer := paid.get(ask.key)) and answer is not None]
    without = sum(answer.teacher is None for answer in answers)
    if part.name in ("held_out", "train", "unlabelled") and without:
        notes.append(f"{without:,} of {len(answers):,} answers came without log-probabilities")
    if part.name == "repeats":
        notes += _different(part, paid)
    return HarvestPart(
        name=part.name,
        model=part.model,
        requests=len(part.asks),
        kept=len(part.asks) - len(left),
        estimate_prompt_tokens=sum(prompt_tokens(ask.body) for ask in left),
        estimate_completion_tokens=sum(ask.completion_tokens for ask in left),
        estimate_usd=sum(known, Decimal(0)) if len(known) == len(left) else None,
        answered=len(answers),
        failed=failed,
        prompt_tokens=spent.prompt_tokens,
        completion_tokens=spent.completion_tokens,
        spent_usd=spent.usd,
        not_taken=part.not_taken,
        notes=tuple(notes),
    )


def _different(part: PlannedPart, paid: PaidAnswers) -> list[str]:
    """How often the model differs from itself, word for word; how often that matters is for a scorer to say."""
    texts: dict[str, list[str | None]] = {}
    for ask in part.asks:
        answer = paid.get(ask.key)
        if answer is not None and usable(answer):
            texts.setdefault(ask.about, []).append(answer.output)
    repeated = [set(some) for some in texts.values() if len(some) > 1]
    differing = sum(len(some) > 1 for some in repeated)
    return (
        [f"on {differing:,} of {len(repeated):,} samples the answers are not all the same"]
        if repeated
        else []
    )


def _copy_account(planned: HarvestPlan, folder: Path, progress: Progress) -> list[str]:
    endpoint = planned.asked.endpoint
    assert endpoint.api_key_env is not None
    progress.step(TITLES["account"], note=endpoint.base_url)
    copy = AccountCopy(Account(endpoint.base_url, endpoint.api_key_env), folder, progress)
    try:
        copy.take()
    except AccountError as error:  # answers are worth more than lists, and tell of a wrong key themselves
        return [*copy.lacks, f"the rest of the account: {error.message}"]
    return copy.lacks


def _write(
    planned: HarvestPlan,
    paid: PaidAnswers,
    folder: Path,
    lacks: Sequence[str],
    stopped: str | None,
    failed: dict[str, int],
) -> Harvest:
    answers = {
        ask.key: answer
        for part in planned.parts
        for ask in part.asks
        if (answer := paid.get(ask.key)) is not None
    }
    write_outputs(folder, planned.parts, answers, planned.splits, planned.held_out)
    held_out = next(part for part in planned.parts if part.name == "held_out")
    endpoint = planned.asked.endpoint
    freeze_as_well(asked_file(planned.project, endpoint.base_url, planned.asked.model), held_out, answers)
    told = [
        _told(part, paid, planned.prices, sum(failed.get(ask.key, 0) for ask in part.asks))
        for part in planned.parts
    ]
    if stopped is not None:
        told = [
            msgspec.structs.replace(one, not_taken=f"ended early: {stopped}")
            if one.kept < one.requests
            else one
            for one in told
        ]
    missing = [f"{one.name}: {one.not_taken}" for one in told if one.not_taken is not None]
    account = planned.manifest.part("account")
    return write_manifest(
        folder,
        msgspec.structs.replace(
            planned.manifest,
            at=now(),
            spent_usd=paid.spent_usd,
            parts=(account, *told),
            not_to_be_had=(*lacks, *missing),
            stopped=stopped,
        ),
    )


def _freeze(project: Project, dataset: Dataset) -> None:
    """Have the held-out answers stand as frozen ones: everything is kept already, so nothing is asked."""
    most = max((len(some) for some in frozen_answers(project, dataset).values()), default=1)

    async def work() -> None:
        options = ReplayOptions(budget=Budget(requests=0))
        await freeze(project, dataset_id=dataset.id, repeats=most, options=options)

    anyio.run(work)
