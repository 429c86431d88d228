"""The incumbent's recorded answers: filled in where a sample has none, compared with each other for noise, used as
references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from freehold import files
from freehold.errors import StorageError
from freehold.evals.scorer import ChatAnswer, Scorer
from freehold.types.dataset import Sample
from freehold.types.evaluated import References
from freehold.types.record import Record


class FrozenAnswers(Record, frozen=True, kw_only=True):
    """One line of the file of frozen answers: all answers of one sample, in the order they were asked."""

    sample_id: str
    answers: tuple[str, ...]


def read_frozen(path: Path) -> dict[str, tuple[str, ...]]:
    """The frozen answers in a file by sample id; empty where nothing was frozen. Raises `StorageError`."""
    if not path.exists():
        return {}
    try:
        lines = path.read_bytes().splitlines()
        read = [msgspec.json.decode(line, type=FrozenAnswers) for line in lines]
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise StorageError(
            f"{path}: cannot be read: {error}", hint="freehold freeze writes it again"
        ) from None
    return {one.sample_id: one.answers for one in read}


def write_frozen(path: Path, kept: Sequence[FrozenAnswers]) -> Path:
    """Write frozen answers in one step. Raises `StorageError`."""
    with files.writing(
        f"{path}: frozen answers cannot be written",
        hint="free some space and run it again: answers received so far are kept",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, b"".join(msgspec.json.encode(one) + b"\n" for one in kept))
    return path


def with_frozen(
    samples: Sequence[Sample], frozen: Mapping[str, Sequence[str]]
) -> tuple[list[Sample], dict[str, tuple[str, ...]]]:
    """The samples with the incumbent's answer put in where it was missing, and its further answers by sample id."""
    filled, repeats = [], {}
    for sample in samples:
        answers_there = tuple(frozen.get(sample.id, ()))
        if sample.incumbent is None and answers_there:
            sample = msgspec.structs.replace(sample, incumbent=answers_there[0])
            answers_there = answers_there[1:]
        filled.append(sample)
        if answers_there:
            repeats[sample.id] = answers_there
    return filled, repeats


def frozen_answer(sample: Sample, repeats: Mapping[str, Sequence[str]]) -> ChatAnswer:
    """The incumbent's recorded answer; an infrastructure fault where there is none.

    Without gold its first answer is the reference, so another one of its answers is scored where there is one.
    """
    if sample.incumbent is None:
        return ChatAnswer(
            fault="infrastructure", error="no_frozen_answer: the incumbent's answer was not recorded"
        )
    if sample.gold is None and sample.id in repeats:
        return ChatAnswer(output=repeats[sample.id][0])
    return ChatAnswer(output=sample.incumbent)


async def self_noise(
    scorer: Scorer, samples: Sequence[Sample], repeats: Mapping[str, Sequence[str]]
) -> float | None:
    """Share of samples on which two answers of the incumbent score differently; None where none has two answers."""
    differing = pairs = 0
    for sample in samples:
        more = repeats.get(sample.id, ())
        told = [sample.incumbent, *more] if sample.gold is not None else list(more)
        known = [one for one in told if one is not None]
        if len(known) < 2:
            continue
        reference = sample.gold if sample.gold is not None else sample.incumbent
        first, second = [(await scorer.score(sample, one, reference)).value for one in known[:2]]
        if first is not None and second is not None:
            pairs += 1
            differing += first != second
    return differing / pairs if pairs else None


def references_kind(samples: Sequence[Sample]) -> References:
    """What the samples' answers are compared with."""
    with_gold = sum(sample.gold is not None for sample in samples)
    return "gold" if with_gold == len(samples) else "mixed" if with_gold else "incumbent"


def unmeasured(samples: Sequence[Sample], repeats: Mapping[str, Sequence[str]]) -> float:
    """Share of samples whose right answer is the incumbent's only one, so that it is right by construction."""
    alone = sum(sample.gold is None and sample.id not in repeats for sample in samples)
    return alone / len(samples) if samples else 0.0


def reference_notes(samples: Sequence[Sample], repeats: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """What a reader must know about the references."""
    without = [sample for sample in samples if sample.gold is None]
    repeated = sum(sample.id in repeats for sample in without)
    notes = []
    if repeated:
        notes.append(
            f"On {repeated:,} of {len(samples):,} samples the right answer is not known: both models are compared "
            "with the incumbent's first answer, the incumbent by another answer of its own."
        )
    if len(without) > repeated:
        notes.append(
            f"On {len(without) - repeated:,} of {len(samples):,} samples the reference is the incumbent's own frozen "
            "answer: there it is right by construction and the candidate can only lose. Gold answers, or repeats "
            "of the incumbent (freehold freeze), make the comparison fair."
        )
    return tuple(notes)
