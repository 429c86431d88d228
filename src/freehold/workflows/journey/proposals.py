"""Candidates for a project that names none: the ways that suit its task, data and machine, the cheapest first.

What is proposed is little on purpose: a few candidates that differ in kind. `freehold assess` ranks more models.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from freehold.catalog import models as catalog
from freehold.datasets import messages
from freehold.errors import UsageError
from freehold.settings import load
from freehold.training.encoder.answers import form_of
from freehold.types.choosing import ModelLimits, Needs, TaskKind
from freehold.types.config import DEFAULT_MODEL, AppConfig, CandidateConfig, ProjectConfig
from freehold.types.dataset import Dataset
from freehold.types.encoder import WORDS_MODEL
from freehold.types.license import BARRED
from freehold.types.method import METHOD_KINDS, MethodName
from freehold.types.use import UseProfile
from freehold.workflows.choose.assess import assess
from freehold.workflows.choose.needs import language_of
from freehold.workflows.data.curate import read_card
from freehold.workflows.journey.drafting import Guess
from freehold.workflows.journey.log_tasks import LEAST_TO_TRAIN
from freehold.workflows.journey.methods import METHODS, Candidate, candidate_of, candidates
from freehold.workflows.journey.suits import TaskFacts, missing_extra
from freehold.workflows.license.rule import rule_for_model
from freehold.workflows.project import Project
from freehold.workflows.train.encoder import MULTILINGUAL_BASE, base_for, foreign_share
from freehold.workflows.weights.pull import why_not_here

_WIDE = 100
FEW_A_CLASS = 20
"""Training samples for a label below which the methods that make up for few are worth a try."""
FEWEST_EXAMPLES = 10
"""Training samples from which it is worth looking for near ones."""


class Rung(NamedTuple):
    """A candidate that is proposed, and why. `lacks` is the command that installs what it needs and is not here."""

    candidate: CandidateConfig
    why: str
    lacks: str | None = None


class PickedModel(NamedTuple):
    """A model, and why it was picked; `instead` says of one that would come first that it cannot be had here."""

    model: str
    why: str
    instead: str | None = None


@dataclass(frozen=True, slots=True)
class LadderFacts:
    """What decides the ladder. `closed` says that answers are from closed sets, `foreign` the share of questions that
    are not in English."""

    closed: bool
    samples: int
    foreign: float
    use: UseProfile
    copies: bool = False
    """A field has to be copied from the message."""
    writes: PickedModel | None = None
    """The model that writes its answers, where one was picked for the task; else the smallest."""
    per_class: float | None = None
    """Training samples for each of the labels, where there are such."""


def facts_of(project: Project, facts: TaskFacts) -> LadderFacts:
    """What a dataset and a project say."""
    return LadderFacts(
        closed=facts.not_closed is None,
        samples=facts.training_samples,
        copies=facts.not_closed is None and facts.copies,
        foreign=foreign_share(read_card(facts.dataset)),
        use=facts.config.use,
        writes=picked(project),
    )


class KnownCandidates(NamedTuple):
    """The candidates of a project, and what is said about where they come from."""

    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()


def known_candidates(project: Project, dataset: Dataset) -> KnownCandidates:
    """The candidates that a project names; where it names none and its engine brings no models, the ladder.

    Raises `UsageError` where none can be proposed, or nothing is installed that makes one.
    """
    config = project.config
    if config.candidates is not None or config.engine.brings_weights:
        return KnownCandidates(candidates(config))
    rungs = ladder(facts_of(project, TaskFacts(config, dataset)))
    here = [one for one in rungs if one.lacks is None]
    if not here:
        raise UsageError("nothing that makes a candidate is installed", hint=rungs[0].lacks)
    proposed = tuple(candidate_of(config, rung.candidate) for rung in here)
    notes = [
        f"Proposed, since none is named: {one.label} ({rung.why})."
        for one, rung in zip(proposed, here, strict=True)
    ]
    notes += [
        f"Left out: {one.candidate.model} · {one.candidate.method}, which needs {one.lacks}."
        for one in rungs
        if one.lacks is not None
    ]
    return KnownCandidates(proposed, tuple(notes))


def ladder(facts: LadderFacts) -> tuple[Rung, ...]:
    """The candidates for such a project, each with its reason and with what it lacks here.

    Raises `UsageError` where the licence of each forbids the use.
    """
    found: list[Rung] = []
    for rung in _rungs(facts):
        method = rung.candidate.method
        if method is None or method not in METHODS:
            continue
        if rule_for_model(rung.candidate.model, facts.use).outcome in BARRED:
            continue
        lacks = missing_extra(method, rung.candidate.model)
        found.append(rung if lacks is None else rung._replace(lacks=lacks.fix))
    if not found:
        raise UsageError(
            "no candidate could be proposed: the licences of the usual models do not permit this use",
            hint="freehold assess ranks others; name one in [[candidates]]",
        )
    return tuple(found)


def _rungs(facts: LadderFacts) -> Iterator[Rung]:
    model = facts.writes.model if facts.writes else DEFAULT_MODEL
    trains = facts.samples >= LEAST_TO_TRAIN
    if facts.closed and trains and not facts.copies:
        why = "a linear head over words: learned in seconds, answers in well under a millisecond, and what all others"
        yield _rung(WORDS_MODEL, "encoder", f"{why} have to beat")
    if facts.closed and facts.samples:
        base = base_for(facts.foreign)
        why = "answers are from a closed set: a sentence encoder with heads learns that in seconds to minutes"
        if base == MULTILINGUAL_BASE:
            why += f"; {facts.foreign:.0%} of the questions are not in English"
        if facts.per_class is not None and facts.per_class < FEW_A_CLASS:
            why += "; with few samples a label [data] unlabelled lets it learn from messages without an answer, too"
        yield _rung(base, "encoder", why)
    if trains:
        why = f"{facts.samples:,} training samples teach a model the task; {_why(facts.writes)}"
        yield _rung(model, "lora", why)
    if facts.samples >= FEWEST_EXAMPLES and not (trains and facts.closed):
        why = (
            f"near ones of {facts.samples:,} training samples stand before each question; nothing is trained"
        )
        if not trains:
            why += f"; {_why(facts.writes)}"
        yield _rung(model, "examples", why)
    if not trains:
        yield _rung(model, "as_is", f"as it is: {facts.samples:,} training samples are too few to learn from")


def _why(writes: PickedModel | None) -> str:
    if writes is None:
        return "a small model that a package brings"
    if writes.instead is not None:
        return f"{writes.instead}; the first that can stand in its place: {writes.why}"
    return f"top pick of freehold assess: {writes.why}"


def _rung(model: str, method: MethodName, why: str) -> Rung:
    return Rung(CandidateConfig(model=model, method=method), why)


def as_toml(rungs: tuple[Rung, ...]) -> list[str]:
    """The rungs as tables of a `freehold.toml`, each under its reason."""
    lines = []
    for rung in rungs:
        lines += [
            *textwrap.wrap(rung.why, _WIDE, initial_indent="# ", subsequent_indent="# "),
            *([f"# needs: {rung.lacks}"] if rung.lacks is not None else []),
            "[[candidates]]",
            f'model = "{rung.candidate.model}"',
            f'method = "{rung.candidate.method}"',
            "",
        ]
    return lines


LANGUAGES_OF = 2_000
"""Requests whose language is looked at."""


class QuestionLanguages:
    """The languages of a log's first questions."""

    def __init__(self) -> None:
        self._found: Counter[str | None] = Counter()

    def add(self, asked: Sequence[dict[str, Any]]) -> None:
        """Count the language of a request's questions; past `LANGUAGES_OF` requests it does nothing."""
        if self._found.total() < LANGUAGES_OF:
            said = [messages.message_text(one) for one in asked if one.get("role") == "user"]
            self._found[language_of("\n".join(filter(None, said)))] += 1

    @property
    def foreign_share(self) -> float:
        """Questions in other languages than English, of those whose language can be told."""
        known = self._found.total() - self._found[None]
        return (known - self._found["en"]) / known if known else 0.0


def proposed(
    guess: Guess,
    answers: Sequence[str],
    languages: QuestionLanguages,
    samples: int,
    *,
    writes: PickedModel | None = None,
) -> tuple[Rung, ...]:
    """The ladder for a log with that many training samples. Raises `UsageError` where no licence permits the use."""
    closed = _are_closed(answers, guess)
    facts = LadderFacts(
        closed=closed,
        samples=samples,
        writes=writes,
        per_class=samples / max(1, len(set(answers))) if closed and guess.scorer == "label" else None,
        foreign=languages.foreign_share,
        use=UseProfile(commercial=True),
    )
    return ladder(facts)


def only_here(rungs: Sequence[Rung]) -> list[str]:
    """The rungs whose extras are installed, as tables of a `freehold.toml`, and the others as remarks: for a command
    that begins at once."""
    lines = as_toml(tuple(one for one in rungs if one.lacks is None))
    for rung in rungs:
        if rung.lacks is not None:
            lines += [
                f"# left out: {rung.candidate.model} · {rung.candidate.method}, which needs {rung.lacks}",
                "",
            ]
    return lines


_TASKS: dict[str, TaskKind] = {
    "label": "labels", "json_fields": "extraction", "tool_call": "tools", "turn": "agent", "code": "code",
}  # fmt: skip


def task_kind(guess: Guess, answers: Sequence[str]) -> TaskKind:
    """The kind of task that such answers show."""
    task: TaskKind = _TASKS.get(guess.scorer, "text")
    return "labels" if task == "extraction" and _are_closed(answers, guess) else task


def picked(project: Project, stated: Needs | None = None) -> PickedModel | None:
    """The first model that writes of `freehold assess` whose weights can be had here, for the task that the project or
    `stated` says and this machine; one that can be trained here, if there is any. None where nothing is left."""
    for limits in (ModelLimits(trainable=True), ModelLimits()):
        first = None
        for row in assess(project, stated=stated, limits=limits).shortlist:
            if row.method is not None or not catalog.get(row.model).instruct:
                continue
            why_not = why_not_here(row.model, project.settings)
            if why_not is None:
                return PickedModel(row.model, row.why, first)
            first = (
                first or f"weights of {row.model}, the top pick of freehold assess, cannot be had: {why_not}"
            )
    return None


def picked_for(folder: Path, stated: Needs) -> PickedModel | None:
    """As `picked`, for a project that is still to be written: its use, its settings, nothing measured yet."""
    config = ProjectConfig(app=AppConfig(name="new"), use=UseProfile(commercial=True))
    return picked(Project(root=folder, config=config, settings=load(), config_path=None), stated)


def stand_in(project: Project, dataset: Dataset, method: MethodName) -> str:
    """The first model that can be had here for a candidate of this method."""
    if METHOD_KINDS[method].closed_set_only:
        return base_for(foreign_share(read_card(dataset)))
    found = picked(project)
    return DEFAULT_MODEL if found is None else found.model


def _are_closed(answers: Sequence[str], guess: Guess) -> bool:
    """Whether answers are labels, or JSON whose fields are."""
    if guess.scorer not in ("label", "json_fields"):
        return False
    try:
        form_of(answers, [""] * len(answers))
    except UsageError:
        return False
    return True
