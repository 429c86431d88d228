"""Samples as a run will see them, without a run: tokens, mask, lengths, and what is left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

from freehold.late import np
from freehold.training.formatting import Encoded, RejectedSample, Tokenizer, format_samples
from freehold.training.packing import common_prefix
from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Sample
from freehold.types.training import LeftOut, Piece, PreviewSample, SplitMeasurement

MOST_LOOKED_AT = 10_000
_MOST_IDS_OF_A_PIECE = 12
_FIRST = 5
_BATCH = 256


def preview_samples(
    tokenizer: Tokenizer, samples: Iterable[Sample], config: FinetuneConfig, count: int
) -> list[PreviewSample]:
    """The first `count` samples that are trained on, token by token."""
    found: list[PreviewSample] = []
    stream = iter(samples)
    while len(found) < count and (batch := list(islice(stream, max(count, 8)))):
        for one in format_samples(tokenizer, batch, max_tokens=config.max_tokens).samples:
            found.append(_preview(tokenizer, one))
    return found[:count]


def measure_split(
    tokenizer: Tokenizer, samples: Iterable[Sample], config: FinetuneConfig, total: int
) -> SplitMeasurement:
    """Lengths and rejects of a split of `total` samples; of a large one every n-th is looked at."""
    every = max(1, -(-total // MOST_LOOKED_AT))
    stream = islice(samples, 0, None, every)
    rejects: Counter[str] = Counter()
    first: list[RejectedSample] = []
    lengths: list[int] = []
    learned = looked = 0
    kept: list[Encoded] = []
    longest_over: int | None = None
    while batch := list(islice(stream, _BATCH)):
        looked += len(batch)
        formatted = format_samples(tokenizer, batch, max_tokens=config.max_tokens)
        rejects.update(one.code for one in formatted.rejects)
        first += formatted.rejects[: _FIRST - len(first)]
        for reject in formatted.rejects:
            if reject.code == "over_long" and (tokens := re.match(r"\d+", reject.reason)):
                longest_over = max(longest_over or 0, int(tokens[0]))
        for one in formatted.samples:
            lengths.append(len(one.ids))
            learned += sum(one.mask)
            if len(kept) < config.batch_size:
                kept.append(one)
    numbers = np.array(lengths, dtype=np.int64)
    return SplitMeasurement(
        samples=total,
        looked_at=looked,
        usable=len(lengths),
        left_out=dict(rejects.most_common()),
        first_left_out=tuple(
            LeftOut(sample_id=one.sample_id, code=one.code, reason=one.reason) for one in first
        ),
        max_tokens=config.max_tokens,
        median_tokens=int(np.median(numbers)) if lengths else 0,
        p95_tokens=int(np.percentile(numbers, 95)) if lengths else 0,
        longest_tokens=int(numbers.max()) if lengths else 0,
        shared_tokens=common_prefix(kept) if len(kept) > 1 else 0,
        tokens=int(numbers.sum()),
        learned_tokens=learned,
        longest_over=longest_over,
    )


def _preview(tokenizer: Tokenizer, one: Encoded) -> PreviewSample:
    return PreviewSample(
        id=one.id,
        tokens=len(one.ids),
        learned_tokens=sum(one.mask),
        pieces=tuple(_pieces(tokenizer, one.ids, one.mask)),
    )


def _pieces(tokenizer: Tokenizer, ids: Sequence[int], mask: Sequence[bool]) -> Iterable[Piece]:
    """Token by token; tokens that are a part of a character only are joined until it is whole."""
    at = before = 0
    while at < len(ids):
        end = at + 1
        text = _text_after(tokenizer, ids, before, at, end)
        while "�" in text and end < len(ids) and mask[end] == mask[at] and end - at < _MOST_IDS_OF_A_PIECE:
            end += 1
            text = _text_after(tokenizer, ids, before, at, end)
        yield Piece(ids=tuple(ids[at:end]), text=text, learned=mask[at])
        before, at = at, end


def _text_after(tokenizer: Tokenizer, ids: Sequence[int], before: int, at: int, end: int) -> str:
    """What the ids from `at` to `end` add to the text of those from `before`.

    A SentencePiece decoder takes the space from the front of what it is given: decoded alone, words run together.
    """
    context, whole = _text(tokenizer, ids[before:at]), _text(tokenizer, ids[before:end])
    return whole[len(context) :] if whole.startswith(context) else _text(tokenizer, ids[at:end])


def _text(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))
