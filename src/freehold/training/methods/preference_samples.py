"""Preferences as tokens: a better and a worse answer to one prompt (DPO), or one answer that was liked or not (KTO).

Both go through the chat template as every sample does (see `freehold.training.formatting`), so the prompt is exactly
what a server sees and an answer ends with the token that ends its turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from freehold.training.formatting import Encoded, RejectedSample, Tokenizer, format_samples
from freehold.types.dataset import Sample


class PreferencePair(NamedTuple):
    """A prompt with a better and a worse answer, as token ids."""

    id: str
    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """All that is computed for it: the prompt counts twice."""
        return self.prompt + self.chosen + self.prompt + self.rejected


class JudgedAnswer(NamedTuple):
    """A prompt with one answer that was liked or disliked."""

    id: str
    prompt: tuple[int, ...]
    completion: tuple[int, ...]
    liked: bool

    @property
    def ids(self) -> tuple[int, ...]:
        """All that is computed for it."""
        return self.prompt + self.completion


class PreferencePairs(NamedTuple):
    """All pairs of a split, and what is not trained on."""

    samples: list[PreferencePair]
    rejects: list[RejectedSample]


class JudgedAnswers(NamedTuple):
    """All judged answers of a split, and what is not trained on."""

    samples: list[JudgedAnswer]
    rejects: list[RejectedSample]


class _Cut(NamedTuple):
    prompt: tuple[int, ...]
    answer: tuple[int, ...]


def format_pairs(tokenizer: Tokenizer, samples: Iterable[Sample], *, max_tokens: int) -> PreferencePairs:
    """Tokenize samples that have a worse answer next to the target; others are rejected (``no_pair``)."""
    found: list[PreferencePair] = []
    rejects: list[RejectedSample] = []
    for sample in samples:
        if not sample.rejected:
            rejects.append(_reject(sample, "no_pair", "no worse answer next to the right one"))
            continue
        better = _cut(tokenizer, msgspec.structs.replace(sample, rejected=None, desirable=None), max_tokens)
        worse = _cut(
            tokenizer,
            msgspec.structs.replace(
                sample, completion=sample.rejected, rejected=None, desirable=None, gold=None, incumbent=None
            ),
            max_tokens,
        )
        if isinstance(better, RejectedSample) or isinstance(worse, RejectedSample):
            rejects.append(better if isinstance(better, RejectedSample) else worse)  # type: ignore[arg-type]
        elif better.answer == worse.answer:
            rejects.append(_reject(sample, "same_answers", "the better and the worse answer are the same"))
        else:
            found.append(PreferencePair(sample.id, better.prompt, better.answer, worse.answer))
    return PreferencePairs(found, rejects)


def format_judged(tokenizer: Tokenizer, samples: Iterable[Sample], *, max_tokens: int) -> JudgedAnswers:
    """Tokenize samples with a like or dislike. A pair counts as one liked and one disliked answer; others are
    rejected (``not_judged``)."""
    found: list[JudgedAnswer] = []
    rejects: list[RejectedSample] = []
    for sample in samples:
        plain = msgspec.structs.replace(sample, rejected=None, desirable=None)
        parts: list[tuple[Sample, bool]] = []
        if sample.rejected:
            worse = msgspec.structs.replace(plain, completion=sample.rejected, gold=None, incumbent=None)
            parts = [(plain, True), (worse, False)]
        elif sample.desirable is not None:
            parts = [(plain, sample.desirable)]
        else:
            rejects.append(_reject(sample, "not_judged", "no feedback says whether this answer is good"))
        for part, liked in parts:
            cut = _cut(tokenizer, part, max_tokens)
            if isinstance(cut, RejectedSample):
                rejects.append(cut)
            else:
                found.append(JudgedAnswer(sample.id, cut.prompt, cut.answer, liked))
    return JudgedAnswers(found, rejects)


def _cut(tokenizer: Tokenizer, sample: Sample, max_tokens: int) -> _Cut | RejectedSample:
    """Prompt and answer of a sample, or why there are none."""
    formatted = format_samples(tokenizer, [sample], max_tokens=max_tokens)
    if formatted.rejects:
        return formatted.rejects[0]
    encoded: Encoded = formatted.samples[0]
    at = encoded.mask.index(True)
    if not all(encoded.mask[at:]):
        return _reject(sample, "not_one_answer", "the answer is several messages")
    return _Cut(encoded.ids[:at], encoded.ids[at:])


def _reject(sample: Sample, code: str, reason: str) -> RejectedSample:
    return RejectedSample(sample_id=sample.id, code=code, reason=reason)
