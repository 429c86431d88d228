"""The candidates that a new `freehold.toml` names: the ladder for what the log tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from freehold.datasets import messages
from freehold.datasets.recipe import Recipe
from freehold.errors import UsageError
from freehold.hardware.probes.machine import probe_machine
from freehold.training.encoder.answers import form_of
from freehold.types.config import UseProfile
from freehold.types.planning.assessment import ModelLimits, Needs, TaskKind
from freehold.workflows.choose.assess import assess
from freehold.workflows.choose.languages import language_of
from freehold.workflows.journey.drafting import Guess
from freehold.workflows.journey.ladder import LadderFacts, PickedModel, Rung, as_toml, ladder
from freehold.workflows.project import Project

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
    records: int,
    *,
    writes: PickedModel | None = None,
) -> tuple[Rung, ...]:
    """The ladder for a log of that many records. Raises `UsageError` where no licence permits the use."""
    recipe = Recipe()
    closed = _are_closed(answers, guess)
    samples = round(records * (1 - recipe.held_out) * (1 - recipe.validation))
    facts = LadderFacts(
        closed=closed,
        samples=samples,
        writes=writes,
        per_class=samples / max(1, len(set(answers))) if closed and guess.scorer == "label" else None,
        foreign=languages.foreign_share,
        accelerated=bool(probe_machine().accelerators),
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


def picked(project: Project, guess: Guess, answers: Sequence[str], needs: Needs) -> PickedModel | None:
    """The first model that writes of `freehold assess`, for the task that such a log shows and this machine; one that
    can be trained here, if there is any. None where nothing is left."""
    task: TaskKind = _TASKS.get(guess.scorer, "text")
    if task == "extraction" and _are_closed(answers, guess):
        task = "labels"
    stated = msgspec.structs.replace(needs, task=task)
    for limits in (ModelLimits(trainable=True), ModelLimits()):
        rows = [row for row in assess(project, stated=stated, limits=limits).shortlist if row.method is None]
        if rows:
            return PickedModel(rows[0].model, rows[0].why)
    return None


def _are_closed(answers: Sequence[str], guess: Guess) -> bool:
    """Whether answers are labels, or JSON whose fields are."""
    if guess.scorer not in ("label", "json_fields"):
        return False
    try:
        form_of(answers, [""] * len(answers))
    except UsageError:
        return False
    return True
