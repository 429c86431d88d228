"""What a candidate is taught besides right answers: the incumbent's that are agreed with.

The samples that choose and prove are the project's own. Only the training samples become another dataset, which the
project keeps beside its own, so that each candidate's data can be looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from freehold import __version__
from freehold.datasets import building
from freehold.errors import UsageError
from freehold.training.encoder import pseudo
from freehold.training.encoder.prepared import prepare
from freehold.types.config import PseudoLabelsWay
from freehold.types.dataset import Dataset, Sample
from freehold.types.encoder import text_of
from freehold.types.model import Weights
from freehold.types.record import Record, content_id
from freehold.types.teaching import PseudoLabels, PseudoLabelsKept, Teaching
from freehold.workflows.data.curate import read_card
from freehold.workflows.data.derived import derive
from freehold.workflows.data.unlabelled import unlabelled_traffic
from freehold.workflows.journey.methods.method import Bench, Candidate, NotMadeError
from freehold.workflows.train.encoder import base_for, foreign_share
from freehold.workflows.weights.pull import ensure_weights


class TeachingData(NamedTuple):
    """The dataset a candidate is trained on, what is special about it (None: it is the project's own), and messages
    without an answer that an encoder reads as well."""

    dataset: Dataset
    teaching: Teaching | None = None
    messages: tuple[Sample, ...] = ()

    def texts(self) -> tuple[str, ...]:
        """The messages as an encoder reads them."""
        if not self.messages:
            return ()
        lines = prepare(self.dataset).system_lines
        read = (text_of(one.messages, system_lines=lines) for one in self.messages)
        return tuple(text for text in read if text)


class JudgedPseudoLabels(Record, frozen=True, kw_only=True):
    """What was found of the incumbent's answers; `without` are ids of training samples that are not learned."""

    told: PseudoLabels
    without: tuple[str, ...]


def taught(candidate: Candidate, bench: Bench, weights: Weights | None) -> TeachingData:
    """Make the candidate's training samples. `weights` are the encoder's own where it is one.

    Raises `NotMadeError` where this candidate cannot be taught so.
    """
    try:
        judged = _pseudo_labels(candidate, bench, weights)
    except UsageError as error:
        if bench.only_one:
            raise
        raise NotMadeError(error.message) from None
    without = () if judged is None else judged.without
    messages = _messages(candidate, bench, set(without))
    teaching = Teaching(
        id="",
        dataset_id="",
        pseudo_labels=None if judged is None else judged.told,
        texts=len(messages),
    )
    if not teaching.lines:
        return TeachingData(bench.dataset)
    dataset = derive(
        bench.project,
        bench.store,
        bench.dataset,
        without=without,
        notes=teaching.lines,
    )
    teaching = Teaching(
        id=content_id([candidate.key, dataset.id, teaching]),
        dataset_id=dataset.id,
        pseudo_labels=teaching.pseudo_labels,
        texts=teaching.texts,
        made_from=(bench.dataset.id,),
    )
    bench.store.put(teaching, made_from=teaching.made_from)
    for line in teaching.lines:
        bench.progress.say(f"{candidate.short_name}: {line}")
    return TeachingData(dataset, teaching, messages)


def _way(candidate: Candidate) -> PseudoLabelsWay:
    said = candidate.settings.pseudo_labels
    return said if said is not None else "auto" if candidate.method == "encoder" else "all"


def _pseudo_labels(candidate: Candidate, bench: Bench, weights: Weights | None) -> JudgedPseudoLabels | None:
    """None where all of the incumbent's answers are learned as they are, or there are none."""
    way = _way(candidate)
    counts = bench.dataset.targets_from
    stated = candidate.settings.pseudo_labels is not None
    enough = min(counts.get("gold", 0), counts.get("incumbent", 0)) >= pseudo.FEWEST
    if way == "all" or not counts.get("incumbent") or (not enough and not stated):
        return None
    if way == "none":
        return _without_pseudo(bench)
    if not enough:
        raise UsageError(
            f"{counts.get('gold', 0):,} training samples have a right answer: too few to tell which of the incumbent's "
            f"{counts['incumbent']:,} answers are to be learned",
            hint=f'pseudo_labels = "all"; from {pseudo.FEWEST} right answers on they can be judged',
        )
    base = weights or _usual_base(bench)
    return bench.steps.run(
        f"pseudo:{candidate.key}",
        f"{candidate.short_name}: which of the incumbent's answers to learn?",
        [bench.dataset.id, base.sha256, way, __version__],
        JudgedPseudoLabels,
        lambda: _judged(bench, base, way),
    )


def _judged(bench: Bench, base: Weights, way: PseudoLabelsWay) -> JudgedPseudoLabels:
    bench.progress.update(0, None, unit="samples", note="answered by heads that did not learn them")
    job = pseudo.AgreementJob(
        dataset=bench.dataset, base=base, choose=way == "auto", threads=bench.project.settings.threads
    )
    found = pseudo.judge(job)
    kept: PseudoLabelsKept = found.best if way == "auto" else "agreed"
    told = PseudoLabels(
        way=kept,
        right_answers=found.right_answers,
        pseudo=found.pseudo,
        agreed=found.pseudo - len(found.doubted),
        asked=found.asked,
        right=found.right,
    )
    if kept == "none":
        return JudgedPseudoLabels(told=told, without=tuple(_pseudo_ids(bench.dataset)))
    return JudgedPseudoLabels(told=told, without=found.doubted if kept == "agreed" else ())


def _without_pseudo(bench: Bench) -> JudgedPseudoLabels:
    ids = tuple(_pseudo_ids(bench.dataset))
    right = bench.dataset.split("train").samples - len(ids)
    told = PseudoLabels(way="none", right_answers=right, pseudo=len(ids), agreed=0)
    return JudgedPseudoLabels(told=told, without=ids)


def _pseudo_ids(dataset: Dataset) -> Iterable[str]:
    return (one.id for one in building.samples(dataset, "train") if one.gold is None)


def _usual_base(bench: Bench) -> Weights:
    """The sentence encoder that judges for methods without one of their own."""
    name = base_for(foreign_share(read_card(bench.dataset)))
    return ensure_weights(name, bench.project.settings, progress=bench.progress)


def _messages(candidate: Candidate, bench: Bench, without: set[str]) -> tuple[Sample, ...]:
    """Messages that only an encoder learns from: without an answer, or with one that is not trusted."""
    if candidate.method != "encoder" or candidate.settings.unlabelled is None:
        return ()
    if candidate.settings.stage in ("frozen", "tuned"):
        bench.progress.say(
            f"{candidate.short_name}: stage {candidate.settings.stage} reads no unlabelled messages"
        )
        return ()
    doubted = [one for one in building.samples(bench.dataset, "train") if one.id in without]
    found = unlabelled_traffic(bench.project, bench.store, bench.dataset)
    for why, count in found.left_out.items():
        bench.progress.say(f"{count:,} messages without an answer are left out: {why}")
    return (*found.samples, *doubted)
