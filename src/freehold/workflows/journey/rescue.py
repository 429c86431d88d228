"""`freehold rescue`: a fine-tuned GPT stops on a date; an adapter of one's own takes its place.

It writes a `freehold.toml` and goes through `freehold migrate`, with one step more: the fine-tune's answers to the
held-out samples are frozen while it still answers. What that costs is known before (`Rescue.asking`).
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import anyio

from freehold import files
from freehold.costs.decision import usd_text
from freehold.datasets import importing, messages
from freehold.datasets.importing.records import Imported
from freehold.datasets.sampling import Recipe
from freehold.errors import InputError, UsageError
from freehold.evals.asking import Budget
from freehold.evals.replay import ReplayOptions
from freehold.progress import Progress
from freehold.store import open_store
from freehold.types.choosing import Needs
from freehold.types.config import DataConfig
from freehold.types.dataset import Dataset
from freehold.types.evaluated import Freeze
from freehold.types.finding import Preflight
from freehold.types.record import Record
from freehold.workflows.incumbent.retirements import Account, FineTune
from freehold.workflows.journey.before import look_first
from freehold.workflows.journey.drafting import (
    Guess,
    answer_tokens,
    context_for,
    guess_scorer,
    name_of,
    options_text,
    place,
    prompt_size,
    quoted,
    tokens_in,
)
from freehold.workflows.journey.migrate import Migration, migrate
from freehold.workflows.journey.proposals import (
    QuestionLanguages,
    known_candidates,
    only_here,
    picked_for,
    proposed,
    task_kind,
)
from freehold.workflows.journey.step_costs import REQUEST_TOKENS, Asking, estimate, to_ask
from freehold.workflows.journey.steps import prepare
from freehold.workflows.project import CONFIG_NAME, Project, agree, now, open_project, reach_of
from freehold.workflows.prove.freeze import freeze

OPENAI = "https://api.openai.com/v1"
SAMPLES = 400
"""Held-out samples at most: enough to show a drop of three points, few enough to ask for pennies."""


class RescueRequest(NamedTuple):
    """What `freehold rescue` is asked for. `model` names the fine-tune; it may be left out where the account
    has just one."""

    folder: Path
    file: Path | None = None
    held_out: Path | None = None
    model: str | None = None
    base_url: str = OPENAI
    api_key_env: str | None = None
    budget_usd: Decimal | None = None


class _Seen(NamedTuple):
    """What a look through the file tells."""

    answers: list[str]
    prompt_characters: list[int]
    languages: QuestionLanguages


def _look(path: Path) -> _Seen:
    answers, sizes, languages = [], [], QuestionLanguages()
    for record in importing.read(path, DataConfig(format="auto")):
        if not isinstance(record, Imported):
            continue
        message = messages.response_message(record.response) if record.response else None
        said = record.gold or (messages.message_text(message) if message else None)
        if said:
            answers.append(said)
            languages.add(record.request["messages"])
            sizes.append(prompt_size(record.request["messages"], record.request.get("tools")))
    if not answers:
        raise InputError(
            "no record with messages and an answer",
            path=str(path),
            hint='one JSON object a line: {"messages": [… {"role": "assistant", "content": "…"}]}',
        )
    return _Seen(answers, sizes, languages)


def _affordable(request: RescueRequest, model: str, seen: _Seen) -> int:
    """Held-out samples the budget pays for. Raises `UsageError` when the price is not known or pays for none."""
    if request.budget_usd is None or request.api_key_env is None:
        return SAMPLES
    each = estimate(
        model,
        [tokens_in(size) + REQUEST_TOKENS for size in seen.prompt_characters],
        [tokens_in(len(text)) for text in seen.answers],
    ).cost_usd
    if each is None:
        raise UsageError(
            f"no price of {model} is known here, so --budget-usd cannot be kept",
            hint="pip install 'freehold[costs]' knows list prices; or leave it out and lower held_out_limit",
        )
    price = each / len(seen.answers)
    # The samples that will be held out may be longer than most; a tenth is kept back for that.
    count = int(request.budget_usd * Decimal("0.9") / price) if price else SAMPLES
    if count < 1:
        raise UsageError(
            f"one answer costs about {usd_text(price)}, the budget is {usd_text(request.budget_usd)}",
            hint="raise --budget-usd",
        )
    return min(SAMPLES, count)


def _candidate_lines(folder: Path, seen: _Seen, guess: Guess, context: int) -> list[str]:
    """The ladder, as far as it can be made here."""
    needs = Needs(task=task_kind(guess, seen.answers), context_tokens=context)
    writes = picked_for(folder, needs)
    recipe = Recipe()
    samples = round(len(seen.answers) * (1 - recipe.held_out) * (1 - recipe.validation))
    rungs = proposed(guess, seen.answers, seen.languages, samples, writes=writes)
    return [
        "# The cheapest of these that suffices is proven; freehold assess ranks other models.",
        *only_here(rungs),
    ]


def config_text(request: RescueRequest, tune: FineTune | None, file: Path, held_out: Path | None) -> str:
    """The text of a `freehold.toml` for this rescue."""
    seen = _look(file)
    guess = guess_scorer(seen.answers)
    model = tune.model if tune is not None else request.model or "fine-tune"
    longest_answer = max(map(len, seen.answers))
    longest = tokens_in(max(seen.prompt_characters) + longest_answer)
    context = context_for(longest)
    count = len(seen.answers)
    batch = 8 if count < 400 else 16 if count < 2000 else 32
    key = [f"api_key_env = {quoted(request.api_key_env)}"] if request.api_key_env else []
    base_url = [f"base_url = {quoted(request.base_url)}"] if request.api_key_env else []
    held = [f"held_out_files = [{quoted(place(held_out, request.folder))}]"] if held_out is not None else []
    options = options_text(guess)
    lines = [
        "# Written by freehold rescue. It is yours now: change what you like, then run the same command again.",
        "",
        "[app]",
        f"name = {quoted(name_of(request.folder))}",
        "",
        "[incumbent]",
        f"model = {quoted(model)}",
        *base_url,
        *key,
        "",
        "[use]   # what you do with the model; the licence ruling follows from it",
        "commercial = true",
        "",
        "[data]",
        f"files = [{quoted(place(file, request.folder))}]",
        *held,
        'answers = "gold"   # the file holds what was wanted; the fine-tune\'s own answers are frozen apart',
        f"held_out_limit = {_affordable(request, model, seen)}",
        "",
        "[task]",
        f"scorer = {quoted(guess.scorer)}   # {guess.why}",
        *([f"options = {options}"] if options else []),
        "margin = 0.03   # largest drop you accept: three points",
        f"max_tokens = {answer_tokens(longest_answer)}",
        "",
        *_candidate_lines(request.folder, seen, guess, context),
        "[train]",
        f"batch_size = {batch}",
        f"max_tokens = {context}",
        "",
        "[serve]",
        f"context_tokens = {context}",
        "",
    ]
    return "\n".join(lines)


_SEEN = (
    "The fine-tune was trained on the file that the held-out samples come from: it has seen their answers and the "
    "candidate has not, so the comparison leans towards the fine-tune. A file it has not seen (--held-out) is fair."
)


class Rescue(Record, frozen=True, kw_only=True):
    """A rescue that is ready to go: the project, its data, and what freezing will take (None: nothing to freeze)."""

    config_path: str
    model: str
    shutdown: date | None
    days_left: int | None
    samples: dict[str, int]
    scorer: str
    candidates: tuple[str, ...]
    asking: Asking | None
    preflight: Preflight
    why_not_asked: str | None = None


def begin(request: RescueRequest, *, progress: Progress) -> tuple[Project, Rescue]:
    """Write `freehold.toml` (one that is there is used as it is), import, build the dataset, count the cost.

    Raises `UsageError`, `InputError`, `UpstreamError` and `StorageError`, each with the way out; nothing has been
    paid for then.
    """
    path = request.folder / CONFIG_NAME
    tune: FineTune | None = None
    if path.exists():
        progress.say(f"{path} is there and used as it is")
    else:
        tune = _choose(request, progress) if request.api_key_env else None
        file, held_out = _files(request, tune, progress)
        _write(path, config_text(request, tune, file, held_out))
        written = open_project(path, looks=True)
        agree(path, reach_of(written.config, path, written.settings).all)
    project = open_project(path, must_exist=True)
    dataset = prepare(project, progress=progress)
    return project, _described(project, dataset, request, path, tune)


def _choose(request: RescueRequest, progress: Progress) -> FineTune:
    """The fine-tune that is meant, from the account's list."""
    assert request.api_key_env is not None
    progress.step("ask which fine-tuned models there are")
    found = Account(request.base_url, request.api_key_env).fine_tunes()
    for one in found:
        progress.say(describe(one))
    if request.model is not None:
        named = next((one for one in found if one.model == request.model), None)
        return named or FineTune(model=request.model, base=request.model, answers=True)
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(
            "the account lists no fine-tuned model",
            hint="name it with --model, or go without the API: freehold rescue FILE (no --api-key-env)",
        )
    raise UsageError(
        f"the account has {len(found)} fine-tuned models; which one?", hint=f"--model {found[0].model}"
    )


def describe(one: FineTune) -> str:
    """One line for people: model, date, whether it still answers."""
    when = "no shutdown date known" if one.shutdown is None else f"stops {one.shutdown}"
    left = ""
    if one.days_left is not None:
        left = f", in {one.days_left} days" if one.days_left >= 0 else f", {-one.days_left} days ago"
    return f"{one.model}: {when}{left}" + ("" if one.answers else "; not listed any more")


def _files(request: RescueRequest, tune: FineTune | None, progress: Progress) -> tuple[Path, Path | None]:
    """The fine-tuning file and, where there is one, the file kept for evaluation; fetched where they are not given."""
    file, held_out = request.file, request.held_out
    if file is None:
        if tune is None or tune.training_file is None or request.api_key_env is None:
            raise UsageError(
                "which fine-tuning file?",
                hint="freehold rescue FILE; or with --api-key-env NAME it is fetched where the account still has it",
            )
        account = Account(request.base_url, request.api_key_env)
        progress.step("fetch the fine-tuning file", note=tune.training_file)
        file = account.download(tune.training_file, request.folder / "training.jsonl")
        if held_out is None and tune.validation_file is not None:
            held_out = account.download(tune.validation_file, request.folder / "validation.jsonl")
    for one in filter(None, (file, held_out)):
        importing.size_bytes(one)
    return file, held_out


def _write(path: Path, text: str) -> None:
    with (
        files.writing(f"{path}: cannot be written", hint="choose another folder with --dir"),
        files.shared(path),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _described(
    project: Project, dataset: Dataset, request: RescueRequest, path: Path, tune: FineTune | None
) -> Rescue:
    from freehold.catalog.retirements import retirement_of

    incumbent = project.config.incumbent
    model = incumbent.model if incumbent else "fine-tune"
    row = retirement_of(model)
    shutdown = tune.shutdown if tune is not None and tune.shutdown else row.shutdown if row else None
    asking, why_not = None, None
    if incumbent is None or incumbent.base_url is None:
        why_not = "no API was named, so the fine-tune cannot be asked and there is no verdict on leaving it"
    elif tune is not None and not tune.answers:
        why_not = f"{model} does not answer any more"
    else:
        asking = to_ask(project, dataset, model)
        if asking.requests == 0:
            asking, why_not = None, "its answers are frozen already"
        elif (
            request.budget_usd is not None
            and asking.cost_usd is not None
            and asking.cost_usd > request.budget_usd
        ):
            fewer = int(dataset.split("held_out").samples * request.budget_usd / asking.cost_usd)
            raise UsageError(
                f"freezing costs about {usd_text(asking.cost_usd)}, the budget is {usd_text(request.budget_usd)}",
                hint=f"set held_out_limit = {max(1, fewer)} in [data] of {path}",
            )
    with open_store(project.store_url) as store:
        known = known_candidates(project, dataset).candidates
        found = look_first(project, dataset, store, known, freezes=asking is not None)
    return Rescue(
        config_path=str(path),
        model=model,
        shutdown=shutdown,
        days_left=(shutdown - now().date()).days if shutdown else None,
        samples={split.name: split.samples for split in dataset.splits},
        scorer=project.config.task.scorer,
        candidates=project.config.models,
        asking=asking,
        preflight=found,
        why_not_asked=why_not,
    )


def freeze_answers(
    project: Project, rescue: Rescue, *, budget_usd: Decimal | None, progress: Progress
) -> Freeze | None:
    """Freeze the fine-tune's answers, within the budget; None where there is nothing to ask for.

    Raises what `freeze` raises; what was answered is kept and not asked again.
    """
    asking = rescue.asking
    if asking is None:
        return None
    tokens = None
    if budget_usd is not None and asking.cost_usd:
        # The estimate's dollars per token, so that an estimate that was too low can't overrun the budget far.
        each = asking.cost_usd / (asking.prompt_tokens + asking.completion_tokens)
        tokens = int(budget_usd / each)

    async def work() -> Freeze:
        options = ReplayOptions(budget=Budget(tokens=tokens))
        return await freeze(project, options=options, progress=progress)

    return anyio.run(work)


def finish(project: Project, *, progress: Progress, fresh: bool = False) -> Migration:
    """Train the candidates, judge them against the frozen answers, write the report. `Rescue.preflight` was looked at
    before."""
    data = project.config.data
    notes = () if data.held_out_files else (_SEEN,)
    return migrate(project, progress=progress, fresh=fresh, beginning="looked_at", notes=notes)
