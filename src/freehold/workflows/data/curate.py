"""What is done to samples on their way into a dataset, and the card that says so."""

from __future__ import annotations

import importlib.util
import math
import os
import secrets as random
from collections import Counter
from collections.abc import Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from freehold import files
from freehold.datasets import card as profiles
from freehold.datasets.building import Building
from freehold.datasets.card import LabelTimes, card_in_short, card_markdown, label_shifts
from freehold.datasets.messages import all_asked
from freehold.datasets.replacing import Replacer
from freehold.datasets.sampling import Recipe
from freehold.evals import scorers
from freehold.privacy import patterns
from freehold.privacy.finds import Finder
from freehold.privacy.library import LIBRARY
from freehold.stats.selection import selection_size
from freehold.types.config import DataConfig, ProjectConfig, TaskConfig
from freehold.types.dataset import SPLITS, DataCard, Dataset, LabelConflict, Origin, Sample, SplitName
from freehold.types.trace import Trace
from freehold.workflows.license.rule import lineage_of, rule_for_model
from freehold.workflows.project import Project

CARD, CARD_PAGE = "card.json", "CARD.md"
KEY = "pseudonyms.key"
SCORERS_AT_ONCE = frozenset({"label", "exact", "numeric", "regex", "contains", "json_fields", "tool_call"})
"""Scorers that need no model and no process."""
LEARNED_FROM = 0.5
"""An incumbent's answer that scores less against the right answer is not learned from."""
MOST_ORIGINS = 20


def personal_data(wanted: str) -> str:
    """How personal data is looked for, as a recipe says it. Loads the library where it is wanted.

    Raises `MissingExtraError` for ``library`` without its extra.
    """
    if wanted == "auto":
        wanted = "library" if importlib.util.find_spec("presidio_analyzer") else "patterns"
    if wanted == "library":
        LIBRARY.load()
        return "library with names" if LIBRARY.finds_names else "library"
    return wanted


class Curator:
    """Changes samples one by one and keeps count; `change` goes to `make_samples`."""

    def __init__(self, recipe: Recipe, task: TaskConfig, key: bytes) -> None:
        self.recipe = recipe
        finders: list[Finder] = []
        if recipe.secrets:
            finders.append(patterns.find_secrets)
        if recipe.personal_data.startswith("library"):
            finders.append(LIBRARY.find_surely)
        elif recipe.personal_data == "patterns":
            finders.append(patterns.find)
        self._replacer = Replacer(tuple(finders), key) if finders else None
        scored = task.scorer in SCORERS_AT_ONCE
        self._scorer = scorers.make(task.scorer, task.options) if scored else None
        self._right: Counter[str] = Counter()
        self._origins: Counter[tuple[str, str]] = Counter()
        self._times: list[str] = []
        self._label_times = LabelTimes()

    def change(self, sample: Sample, split: SplitName) -> Sample:
        """The sample as it goes into the dataset: replaced, and without an incumbent's answer that is wrong.

        Held-out and validation samples keep the incumbent's answer: it is what candidates are compared with.
        """
        sample = self._judged(sample, split)
        return sample if self._replacer is None else self._replacer.sample(sample)

    def _judged(self, sample: Sample, split: SplitName) -> Sample:
        """The sample without an incumbent's answer that is wrong, where that would be learned."""
        if self._scorer is not None and sample.gold is not None and sample.incumbent is not None:
            value = _finished(self._scorer.score(sample, sample.incumbent, sample.gold)).value
            if value is not None:
                self._right["scored"] += 1
                self._right["right"] += value >= LEARNED_FROM
                if value < LEARNED_FROM and split == "train":
                    self._right["not_learned"] += 1
                    return msgspec.structs.replace(sample, incumbent=None)
        return sample

    def counted(self, traces: Iterable[Trace]) -> Iterator[Trace]:
        """The traces, with their origins counted on the way."""
        for trace in traces:
            source = trace.source.partition("#")[0]
            # A record that holds a right answer only was answered by no model.
            self._origins[source, trace.model if trace.response is not None else ""] += 1
            self._label_times.add(trace)
            at = trace.at.strftime("%Y-%m-%d %H:%M")
            if not self._times:
                self._times = [at, at]
            self._times = [min(self._times[0], at), max(self._times[1], at)]
            yield trace

    def card(self, project: Project, dataset: Dataset, building: Building) -> DataCard:
        """What the dataset is. Reads the building once more."""
        splits = {name: profiles.profile(building.by_split[name]) for name in SPLITS}
        origins = [
            Origin(source=s, model=m, traces=n) for (s, m), n in self._origins.most_common(MOST_ORIGINS)
        ]
        more = self._origins.total() - sum(origin.traces for origin in origins)
        if more:
            origins.append(Origin(source="other places", model="", traces=more))
        are_labels = splits["train"].labels and splits["held_out"].labels
        shifts = tuple(label_shifts(building.by_split, self._label_times)) if are_labels else ()
        counted = {name: self._right[name] for name in ("scored", "right", "not_learned")}
        return DataCard(
            dataset_id=dataset.id,
            name=dataset.name,
            splits={str(name): one for name, one in splits.items()},
            origins=tuple(origins),
            first_at=self._times[0] if self._times else None,
            last_at=self._times[1] if self._times else None,
            personal_data=self.recipe.personal_data,
            replaced=self._replacer.counts if self._replacer else {},
            near_duplicates=building.near_duplicates,
            left_out=dict(building.dropped),
            label_conflicts=building.conflict_count,
            first_conflicts=tuple(_conflict(*pair) for pair in building.conflicts),
            targets_from=dataset.targets_from,
            incumbent_model=dataset.incumbent_model,
            incumbent_right={**counted, "scorer": self._scorer.name} if self._scorer else {},
            warnings=(*profiles.warnings(splits, building.conflict_count), *shifts),
            label_shifts=shifts,
            terms=tuple(_terms(project, dataset)),
        )


def _finished(scoring: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        scoring.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("this scorer waits for something")


def _conflict(first: Sample, second: Sample, alike: float) -> LabelConflict:
    answers = {first.incumbent, second.incumbent}
    sides: Literal["gold", "other_gold"] | None = None
    if answers == {first.gold}:
        sides = "gold"
    elif answers == {second.gold}:
        sides = "other_gold"
    return LabelConflict(
        question=all_asked(first)[:300],
        other_question=all_asked(second)[:300],
        gold=first.gold or "",
        other_gold=second.gold or "",
        sample_ids=(first.id, second.id),
        similarity=round(alike, 3),
        incumbent_sides_with=sides,
    )


def _terms(project: Project, dataset: Dataset) -> Iterator[str]:
    """Whose answers are learned from, and what the catalog says about their terms."""
    gold, learned = dataset.targets_from.get("gold", 0), dataset.targets_from.get("incumbent", 0)
    if gold:
        yield f"{gold:,} training targets are right answers you brought; check that you own them"
    if not learned:
        return
    whose = dataset.incumbent_model or "an unnamed model"
    yield f"{learned:,} training targets are answers of {whose}: its terms count (distillation)"
    if dataset.incumbent_model is None:
        return
    base = project.config.models[0]
    ruling = rule_for_model(base, project.config.use, lineage=lineage_of(base, dataset))
    yield (
        f"ruling for {base} taught with it, under the use in freehold.toml: {ruling.outcome.replace('_', ' ')} "
        f"({', '.join(ruling.licenses)}); freehold license {base} explains"
    )
    for reason in ruling.reasons:
        if reason.model == dataset.incumbent_model:
            yield f"{reason.text} ({reason.license_id}, {reason.section})"


def write_card(folder: Path, card: DataCard) -> None:
    """Write the card next to the manifest, for machines and for people. Raises `StorageError`."""
    with files.writing(f"{folder}: data card cannot be written"):
        (folder / CARD).write_bytes(msgspec.json.format(msgspec.json.encode(card)))
        (folder / CARD_PAGE).write_text(card_markdown(card), encoding="utf-8")


def read_card(dataset: Dataset) -> DataCard | None:
    """The card of a dataset; None where it was built without one."""
    try:
        return msgspec.json.decode((Path(dataset.path) / CARD).read_bytes(), type=DataCard)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def label_shifts_of(dataset: Dataset) -> tuple[str, ...]:
    """How labels differ within a dataset; nothing where it has no card."""
    card = read_card(dataset)
    return () if card is None else card.label_shifts


def data_in_short(dataset: Dataset | None) -> tuple[str, ...]:
    """A dataset's card in lines for other pages; none where it has no card."""
    card = None if dataset is None else read_card(dataset)
    return () if card is None else card_in_short(card)


def pseudonym_key(project: Project) -> bytes:
    """The project's secret that placeholders are made with, made on first use and readable by its owner only.

    Raises `StorageError`.
    """
    path = project.state / KEY
    with files.writing(f"{path}: cannot be kept"):
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return path.read_bytes()
        with os.fdopen(handle, "wb") as file:
            key = random.token_bytes(32)
            file.write(key)
    return key


NOTHING_LEARNS = 0.95
"""Share held out where no sample is for learning, choosing or calibrating."""


def held_out_share(data: DataConfig, *, learns: bool = True) -> float:
    """What is stated, else a fifth, or nearly all where nothing `learns`; nothing where whole files are held out: mixed
    with those, samples of `files` would be judged as if they were of that kind."""
    if data.held_out is not None:
        return data.held_out
    return 0.0 if data.held_out_files else Recipe().held_out if learns else NOTHING_LEARNS


LEAST_VALIDATION = 0.05
"""Share kept to watch training where nothing is chosen by it."""
MOST_VALIDATION = 0.25
_STEPS = 20
"""Shares are twentieths, so that a few more traces do not move samples between splits."""


def validation_share(config: ProjectConfig, traces: int | None) -> float:
    """What is stated, else what choosing among the candidates is worth, of about `traces` traces (None: not known).

    That many samples tell a candidate on the incumbent's level from one that is worse by more than the margin; see
    `freehold.stats.selection.selection_size`. Where nothing is chosen, a twentieth watches training; where nothing
    learns either, there is no such split.
    """
    if config.data.validation is not None:
        return config.data.validation
    if not config.learns:
        return 0.0
    if traces is None or not config.chooses:
        return LEAST_VALIDATION
    rest = round(traces * (1 - held_out_share(config.data)))
    wanted = selection_size(rest, config.task.margin) / max(1, rest)
    twentieths = math.ceil(wanted * _STEPS - 1e-9) / _STEPS
    return min(MOST_VALIDATION, max(LEAST_VALIDATION, twentieths))


def recipe_of(project: Project, *, traces: int | None = None) -> Recipe:
    """The recipe `freehold.toml` asks for, with what is left to freehold chosen for about `traces` traces."""
    data, curate = project.config.data, project.config.curate
    return Recipe(
        held_out=held_out_share(data, learns=project.config.learns),
        validation=validation_share(project.config, traces),
        group_by=project.config.task.group_by,
        limit=data.limit,
        held_out_limit=data.held_out_limit,
        personal_data=personal_data(curate.personal_data),
        secrets=True,
        near_duplicates=curate.near_duplicates,
    )
