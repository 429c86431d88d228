"""What a trained encoder answers where it was trained, in PyTorch: kept in the run's folder, so that what is served can
be compared with what was trained, without the trainer's model being loaded again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from freehold import files
from freehold.encoders.answers import answer
from freehold.encoders.runner import (
    EncodedText,
    EncoderRunner,
    ServedEncoder,
    Span,
    TextVectors,
    TooLong,
    unit_length,
)
from freehold.errors import WeightsError
from freehold.training.encoder import base as bases
from freehold.training.encoder.answers import TaughtForm, targets_of
from freehold.training.encoder.base import TorchBase
from freehold.training.encoder.job import ANSWERS, EncoderJob
from freehold.training.encoder.prepared import taught_samples
from freehold.types.encoder import EncoderManifest, EncoderModel
from freehold.types.parity import EncoderReference

MOST_MESSAGES = 200
_UNCUT = 1 << 30


class TorchRunner(EncoderRunner):
    """The trainer's model in place of the exported graph."""

    def __init__(self, served: ServedEncoder, base: TorchBase) -> None:
        super().__init__(served)
        self._base = base

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in self._base.encode(texts, _UNCUT).ids]

    def _read(self, texts: Sequence[str]) -> list[TextVectors | TooLong]:
        base, manifest, given = self._base, self._manifest, list(texts)
        counts = [
            sum(map(len, base.chunks([text], manifest.max_tokens, manifest.chunks)[0])) for text in texts
        ]
        plain = bases.by_torch(base, manifest.max_tokens, manifest.chunks, fast=False)(given)
        encoded = base.encode(given, manifest.max_tokens)
        tokens = bases.embed(base, encoded.ids, tokens=True)[1] if self._copies else [None] * len(given)
        rows = zip(counts, plain, unit_length(plain), tokens, encoded.offsets, strict=True)
        return [
            TextVectors(
                count,
                0,
                one,
                unit,
                {} if each is None else self._of_tokens(each),
                tuple(Span(*at) for at in spans),
            )
            for count, one, unit, each, spans in rows
        ]


def answered(
    job: EncoderJob, form: TaughtForm, manifest: EncoderManifest, runner: EncoderRunner
) -> list[EncoderReference]:
    """The answers to the first samples, those of the validation split before those that were taught."""
    held, taught = (taught_samples(job.dataset, form, split) for split in ("validation", "train"))
    samples = [*held, *taught][:MOST_MESSAGES]
    asked = [manifest.texts_of(one.messages) for one in samples]
    found = []
    for at, (sample, texts, one) in enumerate(zip(samples, asked, runner.run(asked), strict=True)):
        assert isinstance(one, EncodedText)  # nothing is too long here
        given = answer(manifest, one, texts[0])
        right = values(form, given.text) == values(form, sample.target or "")
        found.append(
            EncoderReference(
                sample=sample,
                tokens=one.tokens,
                answer=given.text,
                probability=given.probability,
                right=right if at < len(held) else None,
            )
        )
    return found


def values(form: TaughtForm, text: str) -> list[Any] | None:
    """An answer's values as the trainer compares them: a list of labels has no order."""
    found = targets_of(form, text)
    return None if found is None else [set(one) if isinstance(one, tuple) else one for one in found]


def read(encoder: EncoderModel) -> list[EncoderReference]:
    """What the trainer's model answered. Raises `WeightsError` where that is gone."""
    path = Path(encoder.path) / ANSWERS
    if not path.is_file():
        raise WeightsError(
            f"{path} is gone, so there is nothing to compare with what is served",
            hint="freehold migrate makes it again",
        )
    with files.reading(path):
        return msgspec.json.Decoder(EncoderReference).decode_lines(path.read_bytes())
