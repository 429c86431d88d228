"""Samples as the tokens a model is trained on, short enough to be looked at."""

from __future__ import annotations

from typing import Literal

from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Dataset, Sample
from freehold.types.model import Weights
from freehold.types.planning.training_plan import LeftOut
from freehold.types.record import Record
from freehold.types.training import WrittenCalls

BaseReason = Literal["named", "chosen", "trained", "first"]
"""Why a base's tokenizer is taken: it was named; it is the base of the chosen candidate, of the last run, or of the
first candidate that writes text."""


class TokenRun(Record, frozen=True, kw_only=True):
    """Neighbouring tokens of which all are targets of the loss (`learned`), or none is. `tokens` are their texts,
    special tokens included; where it is empty, `left_out` tokens stand there and are not shown."""

    learned: bool
    tokens: tuple[str, ...] = ()
    left_out: int = 0


class MaskedSample(Record, frozen=True, kw_only=True):
    """One sample as it is trained on, cut to what can be looked at. `tokens` and `learned_tokens` count all of
    it."""

    id: str
    tokens: int
    learned_tokens: int
    runs: tuple[TokenRun, ...]


class MaskRequest(Record, frozen=True, kw_only=True):
    """Samples whose tokens are wanted, and what they would be trained with. `dataset` decides how tool calls are
    written."""

    base: Weights
    dataset: Dataset
    config: FinetuneConfig
    samples: tuple[Sample, ...]


class MaskedSamples(Record, frozen=True, kw_only=True):
    """What became of a `MaskRequest`. `left_out` are those that a run would leave out, each with the reason."""

    samples: tuple[MaskedSample, ...]
    left_out: tuple[LeftOut, ...]
    call_format: WrittenCalls


class TokenMasks(Record, frozen=True, kw_only=True):
    """Samples of a dataset as the tokens of one base, and why it is that base."""

    base_model: str
    because: BaseReason
    dataset_id: str
    method: str
    masked: MaskedSamples
