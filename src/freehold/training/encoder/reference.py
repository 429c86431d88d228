"""What a trained encoder answers in PyTorch, so that what is served can be compared with what was trained.

A child process (``python -m freehold.training.encoder.reference``: an `EncoderReferenceJob` on stdin, a list of
`EncoderReference` on stdout), so that the model's memory is given back when it is done.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from freehold.encoders.answers import answer
from freehold.encoders.folder import read_heads, read_words
from freehold.encoders.runner import (
    EncodedText,
    EncoderRunner,
    ServedEncoder,
    Span,
    TextVectors,
    TooLong,
    load_runner,
    unit_length,
)
from freehold.errors import TrainingError
from freehold.training.encoder import base as bases
from freehold.training.encoder.base import TorchBase
from freehold.training.encoder.job import TUNED
from freehold.training.reference import ask_child
from freehold.types.dataset import Message
from freehold.types.encoder import EncoderModel
from freehold.types.model import Weights
from freehold.types.parity import EncoderReference
from freehold.types.record import Record


class EncoderReferenceJob(Record, frozen=True, kw_only=True):
    """All that the child process needs. `samples` are pairs of an id and what is asked."""

    encoder: EncoderModel
    base: Weights
    samples: tuple[tuple[str, tuple[Message, ...]], ...]
    threads: int | None = None


class _TorchRunner(EncoderRunner):
    """The trainer's model in place of the exported graph."""

    def __init__(self, served: ServedEncoder, base: TorchBase) -> None:
        super().__init__(served)
        self._base = base

    def count(self, texts: Sequence[str]) -> list[int]:
        manifest = self._manifest
        read = [self._base.chunks([text], manifest.max_tokens, manifest.chunks)[0] for text in texts]
        return [sum(map(len, rows)) for rows in read]

    def _read(self, texts: Sequence[str]) -> list[TextVectors | TooLong]:
        base, manifest, given = self._base, self._manifest, list(texts)
        plain = bases.by_torch(base, manifest.max_tokens, manifest.chunks, fast=False)(given)
        encoded = base.encode(given, manifest.max_tokens)
        tokens = bases.embed(base, encoded.ids, tokens=True)[1] if self._copies else [None] * len(given)
        rows = zip(self.count(given), plain, unit_length(plain), tokens, encoded.offsets, strict=True)
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


def judge(job: EncoderReferenceJob) -> list[EncoderReference]:
    """Run the child process. Raises `MissingExtraError`, and `TrainingError` with what the child said last."""
    bases.require(job.base)
    return ask_child("freehold.training.encoder.reference", job, list[EncoderReference])


def answers_of(job: EncoderReferenceJob) -> list[EncoderReference]:
    """The answers, computed here. Raises `TrainingError` where the tuned weights are gone."""
    manifest, folder = job.encoder.manifest, Path(job.encoder.path)
    if manifest.runs_on == "onnx":
        heads = read_heads(folder, manifest)
        served = ServedEncoder(manifest, heads, read_words(folder, manifest, heads))
        runner: EncoderRunner = _TorchRunner(served, _base(job))
    else:
        runner = load_runner(folder, threads=job.threads or 1)
    asked = [manifest.texts_of(messages) for _, messages in job.samples]
    found = []
    for (sample_id, _), texts, read in zip(job.samples, asked, runner.run(asked), strict=True):
        assert isinstance(read, EncodedText)  # nothing is too long here
        given = answer(manifest, read, texts[0])
        found.append(
            EncoderReference(
                sample_id=sample_id, tokens=read.tokens, answer=given.text, probability=given.probability
            )
        )
    return found


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


if __name__ == "__main__":
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=EncoderReferenceJob)
    # What libraries print while they load must not stand among the answers.
    answers_out, sys.stdout = sys.stdout, sys.stderr
    answers_out.buffer.write(msgspec.json.encode(answers_of(asked)))
