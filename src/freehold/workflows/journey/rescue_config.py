"""The `freehold.toml` that `freehold rescue` writes: what the fine-tuning file tells, and what asking will cost."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from freehold.datasets import importing, messages
from freehold.datasets.importing import Imported
from freehold.errors import InputError, UsageError
from freehold.types.config import DataConfig
from freehold.types.record import Record
from freehold.types.trace import Usage
from freehold.workflows.incumbent.fine_tunes import FineTune
from freehold.workflows.incumbent.list_price import asking_cost
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
from freehold.workflows.journey.drafts.candidates import QuestionLanguages, only_here, proposed
from freehold.workflows.project import now

OPENAI = "https://api.openai.com/v1"
SAMPLES = 400
"""Held-out samples at most: enough to show a drop of three points, few enough to ask for pennies."""
REQUEST_TOKENS = 8
"""What a chat request adds around its messages."""


class Asking(Record, frozen=True, kw_only=True):
    """What freezing will ask for, at most. `cost_usd` is None where the model's price is not known here."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: Decimal | None


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


def dollars(amount: Decimal) -> str:
    """For people: cents, and more digits below one."""
    return f"${amount:.2f}" if amount >= Decimal("0.01") else f"${amount:.2g}"


def estimate(model: str, prompts: Sequence[int], completions: Sequence[int]) -> Asking:
    # One by one: a prompt as long as all of them together would be priced as a long one.
    usages = [
        Usage(prompt_tokens=prompt, completion_tokens=completion)
        for prompt, completion in zip(prompts, completions, strict=True)
    ]
    return Asking(
        requests=len(prompts),
        prompt_tokens=sum(prompts),
        completion_tokens=sum(completions),
        cost_usd=asking_cost(model, usages, at=now()),
    )


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
            f"one answer costs about {dollars(price)}, the budget is {dollars(request.budget_usd)}",
            hint="raise --budget-usd",
        )
    return min(SAMPLES, count)


def _candidate_lines(seen: _Seen, guess: Guess) -> list[str]:
    """The ladder, as far as it can be made here."""
    rungs = proposed(guess, seen.answers, seen.languages, len(seen.answers))
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
        *_candidate_lines(seen, guess),
        "[train]",
        f"batch_size = {batch}",
        f"max_tokens = {context}",
        "",
        "[serve]",
        f"context_tokens = {context}",
        "",
    ]
    return "\n".join(lines)
