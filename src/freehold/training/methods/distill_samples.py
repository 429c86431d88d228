"""Samples of a teacher: its answers, and its probabilities where they were recorded, on the student's own tokens.

Teacher and student cut text differently. A position of the answer is *aligned* where both begin a token at the same
character. There each of the teacher's alternatives is tokenized by the student, and its probability counts for the
student's first token of it; alternatives that begin alike add up. What the teacher's listed alternatives leave over
stays one rest, whose tokens are not told apart. Positions that are not aligned teach by their word alone.

Covered: OpenAI's ``logprobs`` (`content` with `top_logprobs`) of text answers.
Not covered: tool calls; answers whose recorded tokens don't spell the text (they teach by their words).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from freehold.training.formatting import (
    Encoded,
    RejectedSample,
    SoftTarget,
    TaughtSample,
    format_samples,
)
from freehold.types.dataset import Sample, TeacherToken


class TaughtSamples(NamedTuple):
    """All samples of a split, and what is not trained on."""

    samples: list[TaughtSample]
    rejects: list[RejectedSample]


def format_taught(tokenizer: Any, samples: Iterable[Sample], *, max_tokens: int) -> TaughtSamples:
    """Tokenize samples with the incumbent's answer as the target, gold or not. Those without one are rejected."""
    found: list[TaughtSample] = []
    rejects: list[RejectedSample] = []
    for sample in samples:
        if sample.incumbent is None:
            rejects.append(
                RejectedSample(
                    sample_id=sample.id, code="no_teacher", reason="the incumbent's answer is not recorded"
                )
            )
            continue
        own = msgspec.structs.replace(sample, gold=None) if sample.gold is not None else sample
        if sample.gold is not None and sample.completion is not None:
            own = msgspec.structs.replace(own, completion=None)  # that was the gold one
        formatted = format_samples(tokenizer, [own], max_tokens=max_tokens)
        rejects += formatted.rejects
        found += [_taught(tokenizer, one, own) for one in formatted.samples]
    return TaughtSamples(found, rejects)


def _taught(tokenizer: Any, encoded: Encoded, sample: Sample) -> TaughtSample:
    soft = soft_targets(tokenizer, encoded, sample.teacher) if sample.teacher else ()
    return TaughtSample(encoded.id, encoded.ids, encoded.mask, soft)


def soft_targets(tokenizer: Any, encoded: Encoded, teacher: Sequence[TeacherToken]) -> tuple[SoftTarget, ...]:
    """The teacher's distributions at the aligned targets of an answer."""
    targets = [token for token, wanted in zip(encoded.ids, encoded.mask, strict=True) if wanted]
    starts = _starts(tokenizer, targets)
    spelled = "".join(token.text for token in teacher)
    # The student's answer goes on after the teacher's: with the token that ends the turn.
    if not tokenizer.decode(targets, skip_special_tokens=False).startswith(spelled):
        return ()
    at_character: dict[int, TeacherToken] = {}
    place = 0
    for token in teacher:
        at_character[place] = token
        place += len(token.text)
    found = []
    for at, start in enumerate(starts):
        told = at_character.get(start) if start is not None else None
        soft = _soft(tokenizer, at, told) if told is not None else None
        if soft is not None:
            found.append(soft)
    return tuple(found)


def _starts(tokenizer: Any, targets: Sequence[int]) -> list[int | None]:
    """The character each target begins at; None where it begins inside one (a cut UTF-8 sequence)."""
    starts: list[int | None] = []
    for at in range(len(targets)):
        before = tokenizer.decode(targets[:at], skip_special_tokens=False)
        starts.append(None if before.endswith("�") else len(before))
    return starts


def _soft(tokenizer: Any, at: int, told: TeacherToken) -> SoftTarget | None:
    shares: dict[int, float] = {}
    for text, logprob in told.top:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
        if ids:
            shares[ids[0]] = shares.get(ids[0], 0.0) + math.exp(min(0.0, logprob))
    if not shares:
        return None
    total = sum(shares.values())
    if total > 1.0:  # rounding of the log-probabilities
        shares = {token: share / total for token, share in shares.items()}
    return SoftTarget(at, tuple(shares), tuple(shares.values()))
