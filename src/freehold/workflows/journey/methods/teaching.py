"""What an encoder is taught besides right answers: the incumbent's that are agreed with, messages without an answer.

The samples that choose and prove are the project's own. Only the training samples become another dataset, which the
project keeps beside its own, so that each candidate's data can be looked at.
"""

from __future__ import annotations

from typing import NamedTuple

from freehold import __version__
from freehold.datasets import building
from freehold.training.encoder import pseudo
from freehold.training.encoder.prepared import prepare
from freehold.types.dataset import Dataset, Sample
from freehold.types.encoder import WORDS_MODEL, texts_of
from freehold.types.model import Weights
from freehold.types.record import Record, content_id
from freehold.types.teaching import PseudoLabels, Teaching
from freehold.workflows.data.dataset import derive, unlabelled_traffic
from freehold.workflows.journey.methods.method import Bench, Candidate


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
        read = (texts_of(one.messages, system_lines=lines)[0] for one in self.messages)
        return tuple(text for text in read if text)


class JudgedPseudoLabels(Record, frozen=True, kw_only=True):
    """What was found of the incumbent's answers; `without` are ids of training samples that are not learned."""

    told: PseudoLabels
    without: tuple[str, ...]


def taught(candidate: Candidate, bench: Bench, weights: Weights) -> TeachingData:
    """Make the training samples of a candidate by method `encoder`, whose base has these `weights`."""
    judged = _pseudo_labels(candidate, bench, weights)
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


def _pseudo_labels(candidate: Candidate, bench: Bench, weights: Weights) -> JudgedPseudoLabels | None:
    """None where the incumbent has answered nothing that is learned, there are too few right answers to judge by, or
    no embeddings to do it with: all are learned then."""
    counts = bench.dataset.targets_from
    if weights.format == "words" or min(counts.get("gold", 0), counts.get("incumbent", 0)) < pseudo.FEWEST:
        return None
    return bench.steps.run(
        f"pseudo:{candidate.key}",
        f"{candidate.short_name}: which of the incumbent's answers to learn?",
        [bench.dataset.id, weights.sha256, __version__],
        JudgedPseudoLabels,
        lambda: _judged(bench, weights),
    )


def _judged(bench: Bench, weights: Weights) -> JudgedPseudoLabels:
    bench.progress.update(0, None, unit="samples", note="answered by heads that did not learn them")
    found = pseudo.judge(
        pseudo.AgreementJob(dataset=bench.dataset, base=weights, threads=bench.project.settings.threads)
    )
    agreed = found.pseudo - len(found.doubted)
    told = PseudoLabels(right_answers=found.right_answers, pseudo=found.pseudo, agreed=agreed)
    return JudgedPseudoLabels(told=told, without=found.doubted)


def _messages(candidate: Candidate, bench: Bench, without: set[str]) -> tuple[Sample, ...]:
    """Messages without an answer, or with one that is not trusted."""
    if not bench.project.config.data.unlabelled or candidate.model == WORDS_MODEL:
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
