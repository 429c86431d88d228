"""Samples become runs of tokens, through the base's own chat template and the method's own formatting."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from freehold.training import base, formatting, job, preview
from freehold.types.planning.token_mask import MaskedSample, MaskedSamples, MaskRequest, TokenRun
from freehold.types.planning.training_plan import LeftOut, Piece, PreviewSample
from freehold.types.training import WrittenCalls

SHOWN_TOKENS = 600
"""Of a sample, about; of a longer one the middle of each run is passed over."""
_FEWEST_OF_A_RUN = 20
_MOST_RUNS = 40
_SAMPLE_CHARACTERS = 200_000
"""A longer sample is not tokenized for a look at it."""


def tokenizer_of(request: MaskRequest) -> tuple[Any, WrittenCalls]:
    """The base's tokenizer, its template as a run on this dataset would use it, and who writes tools and calls.

    Raises `MissingExtraError`, `WeightsError` and `TrainingError`.
    """
    base.require()
    tokenizer = base.load_tokenizer(request.base)
    formatting.template_sha256(tokenizer)  # a base without a template is reported at once
    train = job.read_samples(request.dataset, "train")
    return tokenizer, formatting.choose_calls(tokenizer, train, request.config.call_format)


def masked(tokenizer: Any, calls: WrittenCalls, request: MaskRequest) -> MaskedSamples:
    """The samples of a request as tokens with their mask; those a run leaves out, with the reason."""
    short, left_out = [], []
    for sample in request.samples:
        size = sum(len(str(turn.content or "")) for turn in (*sample.messages, *sample.answer))
        if size > _SAMPLE_CHARACTERS:
            reason = f"{size:,} characters are too many to be shown as tokens"
            left_out.append(LeftOut(sample_id=sample.id, code="not_shown", reason=reason))
        else:
            short.append(sample)
    found, rejects = preview.preview_all(tokenizer, short, request.config)
    left_out += [LeftOut(sample_id=one.sample_id, code=one.code, reason=one.reason) for one in rejects]
    return MaskedSamples(samples=tuple(map(_masked, found)), left_out=tuple(left_out), call_format=calls)


def _masked(sample: PreviewSample) -> MaskedSample:
    return MaskedSample(
        id=sample.id,
        tokens=sample.tokens,
        learned_tokens=sample.learned_tokens,
        runs=runs_of(sample.pieces),
    )


def runs_of(pieces: Sequence[Piece]) -> tuple[TokenRun, ...]:
    """Pieces by what is learned, bounded: at most `_MOST_RUNS` runs and their gaps, of each run its two ends."""
    runs = [(learned, list(run)) for learned, run in groupby(pieces, key=lambda one: one.learned)]
    most = max(_FEWEST_OF_A_RUN, SHOWN_TOKENS // min(max(len(runs), 1), _MOST_RUNS))
    if len(runs) <= _MOST_RUNS:
        return tuple(shown for learned, run in runs for shown in _ends(learned, run, most))
    first, middle, last = (
        runs[: _MOST_RUNS // 2],
        runs[_MOST_RUNS // 2 : -_MOST_RUNS // 2],
        runs[-_MOST_RUNS // 2 :],
    )
    # Of a gap over targets and others both, it is said how many of each.
    counts = {
        kind: sum(len(one.ids) for learned, run in middle if learned == kind for one in run)
        for kind in (False, True)
    }
    gaps = [TokenRun(learned=kind, left_out=count) for kind, count in counts.items() if count]
    return (
        *(shown for learned, run in first for shown in _ends(learned, run, most)),
        *gaps,
        *(shown for learned, run in last for shown in _ends(learned, run, most)),
    )


def _ends(learned: bool, run: Sequence[Piece], most: int) -> list[TokenRun]:
    if len(run) <= most:
        return [TokenRun(learned=learned, tokens=tuple(one.text for one in run))]
    half = most // 2
    return [
        TokenRun(learned=learned, tokens=tuple(one.text for one in run[:half])),
        TokenRun(learned=learned, left_out=sum(len(one.ids) for one in run[half:-half])),
        TokenRun(learned=learned, tokens=tuple(one.text for one in run[-half:])),
    ]
