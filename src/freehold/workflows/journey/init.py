"""`freehold init`: a first `freehold.toml`, from what a traffic log tells."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold import files
from freehold.catalog.retirements import ending_of
from freehold.costs.traffic import LoggedRequest
from freehold.datasets import importing, messages
from freehold.datasets.importing import Imported, RecordOutcome, RejectedRecord
from freehold.datasets.importing.importer import holds, present
from freehold.datasets.tasks import any_fits, asked_task
from freehold.errors import FreeholdError, InputError, MissingExtraError, UsageError
from freehold.evals.scorers import make
from freehold.types.choosing import Needs
from freehold.types.config import AppConfig, DataConfig, ProjectConfig, TaskConfig
from freehold.types.config_file import parse
from freehold.types.identity import question_id
from freehold.types.record import Record
from freehold.workflows.choose.traffic import logged, price_requests
from freehold.workflows.data.curate import held_out_share, validation_share
from freehold.workflows.journey.drafting import (
    WANTED,
    DraftedMargin,
    Guess,
    answer_tokens,
    api_of,
    context_for,
    data_lines,
    drafted_margin,
    guess_scorer,
    incumbent_lines,
    name_of,
    options_text,
    prompt_size,
    quoted,
    spoken,
    tokens_in,
)
from freehold.workflows.journey.proposals import QuestionLanguages, as_toml, picked_for, proposed, task_kind
from freehold.workflows.license.rule import learning_sentence
from freehold.workflows.project import CONFIG_NAME, now

LOOKED_AT = 20_000
"""Records that are read of each file: enough to see what there is, a few seconds at most."""
_MOST_KINDS = 20
_NEARLY_ALL = 0.95
_FEWER = 0.9


class DraftRequest(NamedTuple):
    """What the drafted file should say. What is None is guessed from the files."""

    folder: Path
    files: tuple[Path, ...] = ()
    held_out: tuple[Path, ...] = ()
    name: str | None = None
    incumbent: str | None = None
    data: DataConfig = DataConfig()
    captured_in: Path | None = None
    """The project whose store holds the other tasks' requests."""


class Seen(Record, frozen=True, kw_only=True):
    """What a look through a file told. `mapping` says what of a request comes from which field."""

    file: str
    format: str
    mapping: dict[str, str]
    records: int
    rejected: int
    first_reject: str | None
    whole: bool


class Draft(Record, frozen=True, kw_only=True):
    """A `freehold.toml` that was written. `open` lists what the files could not tell."""

    path: str
    seen: tuple[Seen, ...]
    incumbent: str | None
    scorer: str | None
    scorer_why: str | None
    rented: str | None = None
    """When the incumbent is shut down and, where all of the files was read and its price is known, what it costs."""
    open: tuple[str, ...]
    least: int | None = None
    """Records that it takes at least, where these can prove nothing."""


class _Told:
    """What all files together tell."""

    def __init__(self) -> None:
        self.at = now()
        self.records = self.held_out = 0
        self.units: list[int] = []
        self.questions: set[str] = set()
        self.models: Counter[str] = Counter()
        self.gold: list[str] = []
        self.said: list[str] = []
        self.longest_request = 0
        self.longest_tokens = self.longest_answer_tokens = 0
        self.prompt_tokens: list[int] = []
        self.apis: Counter[str] = Counter()
        self.tools = 0
        self.conversations = self.users = self.instructed = 0
        self.kinds: dict[str, Counter[str]] = {}
        self.languages = QuestionLanguages()
        self.requests: dict[int, LoggedRequest] = {}
        """By what makes them one: an import keeps records that are alike once."""

    def add(self, found: Imported) -> None:
        self.records += 1
        alike = (
            found.id,
            found.request,
            found.response,
            found.gold,
            found.conversation_id,
            found.metadata,
            found.at,
        )
        self.requests.setdefault(hash(msgspec.json.encode(alike)), logged(found, found.at or self.at))
        self.units.append(_unit(found))
        self.questions.add(question_id(found.request["messages"]))
        if model := found.request.get("model") or (found.response or {}).get("model"):
            self.models[str(model)] += 1
        if found.gold is not None:
            self.gold.append(found.gold)
        message = messages.response_message(found.response) if found.response else None
        if message is not None and (said := messages.message_text(message)):
            self.said.append(said)
        size = prompt_size(found.request["messages"], found.request.get("tools"))
        self.longest_request = max(self.longest_request, size)
        self._count(found)
        self.languages.add(found.request["messages"])
        self.conversations += found.conversation_id is not None
        self.users += found.user is not None
        self.instructed += found.request["messages"][0].get("role") in ("system", "developer")
        for key, given in found.metadata.items():
            counted = self.kinds.setdefault(key, Counter())
            if isinstance(given, str | int | bool) and len(counted) <= _MOST_KINDS:
                counted[str(given)] += 1

    def _count(self, found: Imported) -> None:
        """Tokens as the log's own usage counts them, and which API the record speaks."""
        self.tools += bool(found.request.get("tools"))
        self.apis[api_of(found)] += 1
        if found.usage is None:
            return
        prompt, answer = found.usage.prompt_tokens or 0, found.usage.completion_tokens or 0
        self.prompt_tokens.append(prompt)
        self.longest_tokens = max(self.longest_tokens, prompt + answer)
        self.longest_answer_tokens = max(self.longest_answer_tokens, answer)

    @property
    def longest(self) -> int:
        """Tokens of the longest request and answer: estimated, or as the log counted them where that is more."""
        guessed = tokens_in(self.longest_request + max(map(len, self.answers), default=0))
        return max(guessed, self.longest_tokens)

    @property
    def answers(self) -> list[str]:
        """What answers look like: right ones where most records have one, else what was said."""
        return self.gold if len(self.gold) >= len(self.said) / 2 and self.gold else self.said

    def slices(self) -> list[str]:
        """Fields with a few values, on nearly every record: harm may hide in one of them."""
        return [
            key
            for key, counted in self.kinds.items()
            if 2 <= len(counted) <= _MOST_KINDS and counted.total() >= _NEARLY_ALL * self.records
        ][:5]


def draft(request: DraftRequest) -> Draft:
    """Write `freehold.toml` into `request.folder`.

    Raises `UsageError` when there is one already, `InputError` for a file nothing can be read from, `ConfigError` when
    what was asked for does not make a valid file (nothing is written then), `StorageError` when it cannot be written.
    """
    target = request.folder / CONFIG_NAME
    if target.exists():
        raise UsageError(f"{target} is there already", hint="change it, or move it away first")
    told = _Told()
    importing.check_fields((*request.files, *request.held_out), request.data)
    seen = tuple(_look(path, request.data, told) for path in (*request.files, *request.held_out))
    told.held_out = sum(one.records for one in seen[len(request.files) :])
    incumbent = request.incumbent or next(iter(dict(told.models.most_common(1))), None)
    guess = guess_scorer(told.answers) if told.answers else None
    text = _text(request, told, incumbent, guess)
    config = parse(text, path=str(target))
    with (
        files.writing(f"{target}: cannot be written", hint="choose another folder with --dir"),
        files.shared(target),
    ):
        request.folder.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return Draft(
        path=str(target),
        seen=seen,
        incumbent=incumbent,
        scorer=guess.scorer if guess else None,
        scorer_why=guess.why if guess else None,
        rented=_rented(told, incumbent, whole=all(one.whole for one in seen)),
        open=tuple(_open(request, told, incumbent, config)),
        least=_margin(request, told, guess).least,
    )


def _rented(told: _Told, incumbent: str | None, *, whole: bool) -> str | None:
    """What `freehold cost` will say of the rented model, or its end alone."""
    if incumbent is None:
        return None
    if whole:
        with suppress(UsageError, MissingExtraError):
            return price_requests(list(told.requests.values()), incumbent).sentence
    ending = ending_of(incumbent)
    return None if ending is None else f"{ending.text(told.at.date())}."


def _look(path: Path, data: DataConfig, told: _Told) -> Seen:
    source = importing.sniff(path, data)
    records = rejected = 0
    held: Counter[str] = Counter()
    first: RejectedRecord | None = None
    reading = (one for one in importing.read(path, data) if _is_wanted(one, data))
    for found in islice(reading, LOOKED_AT):
        if isinstance(found, Imported):
            records += 1
            held.update(holds(found))
            told.add(found)
        elif isinstance(found, RejectedRecord):
            rejected += 1
            first = first or found
    if not records:
        reason = f"line {first.line}: {first.reason}" if first else "it holds no calls of a model"
        raise InputError(
            f"no record could be used; {reason}",
            path=str(path),
            hint="freehold import --dry-run FILE shows how it is read; [data] format, input and label change that",
        )
    return Seen(
        file=str(path),
        format=source.importer.title,
        mapping=spoken(present(source.mapping, held), told.apis),
        records=records,
        rejected=rejected,
        first_reject=f"line {first.line}: {first.reason}" if first else None,
        whole=next(reading, None) is None,
    )


def _is_wanted(one: RecordOutcome, data: DataConfig) -> bool:
    """Whether a record is of the task that the file will select."""
    if not data.match or not isinstance(one, Imported):
        return True
    model = one.request.get("model") or (one.response or {}).get("model")
    return any_fits(data.match, asked_task(one.request, model=str(model or "")), own_system=data.system)


def _open(request: DraftRequest, told: _Told, incumbent: str | None, config: ProjectConfig) -> list[str]:
    """What is left to say, in words."""
    left = []
    if incumbent is None:
        left.append("[incumbent]: the files name no model; which one do you pay for?")
    elif len(told.models) > 1 and request.incumbent is None:
        others = [name for name, _ in told.models.most_common(4) if name != incumbent]
        named = ", ".join(f"{name} ({told.models[name]:,})" for name in others)
        left.append(f"[incumbent]: the files also name {named}")
        ends = (ending for name in others if (ending := ending_of(name)) is not None)
        left += (f"[incumbent]: {ending.text(told.at.date())}" for ending in ends)
    if not request.files:
        left.append("[data]: no traffic yet; freehold up --capture patterns records it")
    elif not told.gold:
        left.append(
            "[data]: no record says what is right, so a candidate is measured by how often it answers as the recorded "
            'answer; answers = "gold" if those are right, or add a field for what is'
        )
    if incumbent is not None and told.gold and not told.said:
        left.append(
            f"[incumbent]: no record has an answer of {incumbent}, so nothing can be promoted yet; bring some, or set "
            "base_url and have it asked by freehold freeze"
        )
    if request.files and not told.instructed and request.data.system is None:
        left.append("[data] system: the records carry no instruction; add the one your application sends")
    if incumbent is not None and told.said and len(told.gold) < told.records and config.candidates:
        sentence = learning_sentence(config.named, config, incumbent, config.use)
        left += [] if sentence is None else [f"[use]: {sentence}"]
    left.append("[use]: who you are decides what a licence allows; freehold license init asks")
    left.append("[task] margin: the largest drop you accept; decide it before the first result")
    return left


def _text(request: DraftRequest, told: _Told, incumbent: str | None, guess: Guess | None) -> str:
    lines = [
        "# Written by freehold init. It is yours now: every key is explained by: freehold settings --keys",
        "",
        "[app]",
        f"name = {quoted(request.name or name_of(request.folder))}",
        "",
        *incumbent_lines(incumbent, told.apis),
        "",
        "[use]   # what you do with the model; the licence ruling follows from it (freehold license init)",
        "commercial = true",
        "",
        *data_lines(request.data, request.files, request.held_out, request.folder),
        "",
        *_task_lines(told, guess, _margin(request, told, guess)),
        "",
        *_candidate_lines(request, told, guess),
    ]
    if told.answers:
        longest = told.longest
        context = context_for(longest)
        lines += [
            "[train]",
            f"max_tokens = {context}   # longer samples are left out; the longest has {longest:,} or fewer",
            *_probe_lines(request),
            "",
            "[serve]",
            f"context_tokens = {context}   # question and answer together",
            "",
        ]
    return "\n".join(lines)


def _probe_lines(request: DraftRequest) -> list[str]:
    if request.captured_in is None:
        return []
    where = os.path.relpath(request.captured_in.resolve(), request.folder.resolve())
    return [f"probe_logs = [{quoted(where)}]   # its other tasks' requests: did training unlearn them?"]


def _candidate_lines(request: DraftRequest, told: _Told, guess: Guess | None) -> list[str]:
    """A ladder from what the files tell."""
    if guess is None:
        return ["# [[candidates]]   # left out, freehold migrate proposes some, and says why", ""]
    lines = [
        "# The cheapest of these that suffices is proven; freehold assess ranks other models.",
        *as_toml(
            proposed(
                guess,
                told.answers,
                told.languages,
                _training(request, told, guess),
                writes=picked_for(request.folder, _needs(told, guess)),
            )
        ),
    ]
    if request.data.validation is None:
        lines += [
            "# [selection]",
            '# stop = "all"   # make and measure all of them, not only until one suffices',
            "",
        ]
    return lines


def _needs(told: _Told, guess: Guess) -> Needs:
    """What the log asks of a model."""
    prompts = sorted(told.prompt_tokens)
    mean = sum(map(len, told.answers)) / len(told.answers) if told.answers else None
    return Needs(
        task=task_kind(guess, told.answers),
        tools=bool(told.tools),
        context_tokens=context_for(told.longest),
        prompt_tokens=prompts[len(prompts) // 2] if prompts else tokens_in(told.longest_request),
        completion_tokens=None if mean is None else tokens_in(mean),
    )


def _margin(request: DraftRequest, told: _Told, guess: Guess | None) -> DraftedMargin:
    """A first margin. Only scores that are 0 or 1 can be told apart beforehand; of an empty log nothing is known."""
    usual = DraftedMargin(WANTED, "largest drop you accept: two points")
    if guess is None or not told.records or not _is_binary(guess):
        return usual
    looked_at = told.units[-told.held_out :] if request.held_out else told.units
    units = len(set(looked_at))
    found = drafted_margin(units, share=1.0 if request.held_out else held_out_share(request.data))
    if units > _FEWER * len(looked_at):
        return found
    said = f"The {len(looked_at):,} records are of {units:,} conversations, users or questions, and each counts once."
    return found._replace(before=(said, *found.before))


def _training(request: DraftRequest, told: _Told, guess: Guess) -> int:
    """Records that will be learned from: repeats of a question, what is held out, and what candidates are chosen by,
    left out."""
    config = ProjectConfig(
        app=AppConfig(name="new"),
        data=msgspec.structs.replace(request.data, held_out_files=tuple(map(str, request.held_out))),
        task=TaskConfig(margin=_margin(request, told, guess).margin),
        candidates=None,
    )
    distinct = len(told.questions) / told.records if told.records else 0.0
    records = round(distinct * (told.records - told.held_out))
    kept = records * (1 - held_out_share(config.data)) * (1 - validation_share(config, records))
    return round(kept)


def _unit(found: Imported) -> int:
    """What is independent of others: a conversation, a user, or requests that begin alike."""
    asked = found.request["messages"]
    first = next((place for place, one in enumerate(asked) if one.get("role") == "user"), 0)
    return hash(found.conversation_id or found.user or msgspec.json.encode(asked[: first + 1]))


def _is_binary(guess: Guess) -> bool:
    try:
        return make(guess.scorer, guess.options).binary
    except FreeholdError:
        return False  # options are missing that only the user knows


def _task_lines(told: _Told, guess: Guess | None, margin: DraftedMargin) -> list[str]:
    if guess is None:
        return ["[task]", '# scorer = "label"   # freehold settings --keys task', *margin.lines]
    lines = ["[task]", f"scorer = {quoted(guess.scorer)}   # {guess.why}"]
    if options := options_text(guess):
        lines.append(f"options = {options}")
    lines += margin.lines
    longest = max(answer_tokens(max(map(len, told.answers))), min(2048, told.longest_answer_tokens))
    lines.append(f"max_tokens = {longest}")
    if told.users >= _NEARLY_ALL * told.records and told.conversations < _NEARLY_ALL * told.records:
        lines.append('group_by = "user"   # one person\'s requests are not torn across training and proof')
    if slices := told.slices():
        lines.append(
            f"# slices = [{', '.join(map(quoted, slices))}]   # fields tested for harm value by value"
        )
    return lines
