"""What the same messages say, served and where the encoder was trained: the same answers, or not and why. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from freehold import __version__
from freehold.types.encoder import EncoderManifest
from freehold.types.parity import Cause, EncoderReference, ParityItem, ParityReport
from freehold.types.record import Record

MOST_APART = 0.01
"""Of probabilities. The served graph computes in the same precision as PyTorch and stays within 0.001; an encoder that
was cut into other tokens, pooled otherwise or packed into fewer bits does not."""
MOST_OTHER = 0.01
"""Share of values that may differ: near ties, which rounding decides."""


class EncoderAnswered(Record, frozen=True, kw_only=True):
    """The served side of one sample."""

    tokens: int
    answer: str
    confidence: float


def compare(manifest: EncoderManifest, served: EncoderAnswered, trained: EncoderReference) -> ParityItem:
    """One message's two sides."""
    equal_tokens = served.tokens == trained.tokens
    mine, other = (_values(manifest, text) for text in (served.answer, trained.answer))
    return ParityItem(
        sample_id=trained.sample.id,
        prompt_tokens=trained.tokens,
        difference_at=None if equal_tokens else min(served.tokens, trained.tokens),
        trainer_token=None if equal_tokens else f"{trained.tokens} tokens",
        served_token=None if equal_tokens else f"{served.tokens} tokens",
        tokens=len(other),
        agreeing=sum(a == b for a, b in zip(mine, other, strict=False)) if len(mine) == len(other) else 0,
        distance=abs(served.confidence - trained.probability),
    )


def summarize(items: Sequence[ParityItem], *, model: str, adapter_id: str | None) -> ParityReport:
    """Join items into a report; id and time are added later. An item's distance is one of probabilities."""
    values = sum(item.tokens for item in items)
    agreeing = sum(item.agreeing for item in items)
    apart = max((item.distance or 0.0 for item in items), default=0.0)
    faults: list[tuple[Cause, str]] = []
    first = next((item for item in items if item.difference_at is not None), None)
    if not values:
        faults.append(("numbers", "no message was compared"))
    elif first is not None:
        unequal = sum(item.difference_at is not None for item in items)
        faults.append(
            (
                "template",
                f"{unequal} of {len(items)} messages are cut into other tokens; the first has "
                f"{first.trainer_token} trained, {first.served_token} served",
            )
        )
    elif apart > MOST_APART or values - agreeing > MOST_OTHER * values:
        faults.append(
            (
                "numbers",
                f"{values - agreeing} of {values} values differ, probabilities are up to {apart:.3f} apart: other "
                "weights, pooling or heads than those trained",
            )
        )
    return ParityReport(
        id="",
        at="",
        version=__version__,
        model=model,
        adapter_id=adapter_id,
        engine="encoder",
        passed=not faults,
        causes=tuple(cause for cause, _ in faults),
        reasons=tuple(reason for _, reason in faults),
        prompts=len(items),
        prompts_equal=sum(item.difference_at is None for item in items),
        tokens=values,
        token_agreement=agreeing / values if values else 0.0,
        distance=None,
        base_distance=None,
        stops=0,
        stops_equal=0,
        probability_distance=apart,
        # An item's distance is in nats everywhere else.
        items=tuple(msgspec.structs.replace(item, distance=None) for item in items),
    )


def _values(manifest: EncoderManifest, answer: str) -> list[Any]:
    """The values of an answer, one of each field; the whole text where it is not of the encoder's own form."""
    if manifest.answer != "json":
        return [answer]
    try:
        value = json.loads(answer)
    except ValueError:
        return [answer]
    return [value.get(field.name) for field in manifest.fields] if isinstance(value, dict) else [answer]
